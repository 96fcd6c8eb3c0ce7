//! Faults for tests: a share of the responses fails, and a share is delayed. Spread evenly, not by
//! chance, so that few requests show what was asked for.

use std::time::Duration;

/// A share, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ppm(pub u32);

/// The whole, 100 %.
pub const ALL: Ppm = Ppm(1_000_000);

/// Picks its share of a sequence, as evenly as possible.
#[derive(Clone)]
struct EvenSampler {
    share: Ppm,
    /// What has accumulated since the last pick. It starts at half of the whole, so that of the
    /// first `n` the rounded share is picked.
    accumulated: u32,
}

impl EvenSampler {
    fn new(share: Ppm) -> EvenSampler {
        EvenSampler { share, accumulated: ALL.0 / 2 }
    }

    /// Whether to pick the next one.
    fn next(&mut self) -> bool {
        self.accumulated += self.share.0;
        let is_picked = self.accumulated >= ALL.0;
        if is_picked {
            self.accumulated -= ALL.0;
        }
        is_picked
    }
}

/// What is wrong with the responses of `/v1/appinfo`.
#[derive(Clone)]
pub struct Faults {
    errors: EvenSampler,
    /// By how much the delayed responses are delayed.
    pub delay: Duration,
    /// Of the responses that fail and of the others, each by itself: else all delayed ones might fail.
    delays: [EvenSampler; 2],
}

impl Faults {
    /// A share of the responses fails, and a share is delayed by this time.
    pub fn new(error_rate: Ppm, delay: Duration, delay_rate: Ppm) -> Faults {
        let delays = [EvenSampler::new(delay_rate), EvenSampler::new(delay_rate)];
        Faults { errors: EvenSampler::new(error_rate), delay, delays }
    }

    /// Whether the next response is the broken variant's, and by how much it is delayed.
    pub fn next(&mut self) -> (bool, Duration) {
        let fails = self.errors.next();
        let is_delayed = self.delays[usize::from(fails)].next();
        (fails, if is_delayed { self.delay } else { Duration::ZERO })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn any_thousand_in_a_row_have_their_share_evenly_spread() {
        for (share, picks, widest) in
            [(50_000, 50, 20), (3_000, 3, 334), (1_000_000, 1_000, 1), (700_000, 700, 2), (0, 0, 0)]
        {
            let mut sampler = EvenSampler::new(Ppm(share));
            let sequence: Vec<_> = (0..10_000).map(|_| sampler.next()).collect();
            for thousand in sequence.windows(1_000) {
                let picked = thousand.iter().filter(|is_picked| **is_picked).count();
                assert!(picked.abs_diff(picks) <= 1, "{picked} of 1,000 at {share} ppm");
            }
            let places: Vec<_> = (0..10_000).filter(|place| sequence[*place]).collect();
            let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.max().unwrap_or(0) <= widest, "at {share} ppm");
        }
    }

    #[test]
    fn failing_and_other_responses_are_delayed_alike() {
        let mut faults = Faults::new(Ppm(250_000), Duration::from_secs(3), Ppm(100_000));
        let mut counts = BTreeMap::new();
        for _ in 0..400 {
            let (fails, delay) = faults.next();
            *counts.entry((fails, delay.as_secs())).or_insert(0) += 1;
        }
        let expected = [((false, 0), 270), ((false, 3), 30), ((true, 0), 90), ((true, 3), 10)];
        assert_eq!(counts, BTreeMap::from(expected));
    }
}
