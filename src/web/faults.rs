//! A pod that is only a little bad: a share of its answers fails, and a share is late. Spread evenly,
//! not by chance, so that few requests show what was asked for.

use std::time::Duration;

/// A share of the answers, in ten-thousandths of a percent, up to [`Percentage::ALL`].
#[derive(Clone, Copy, Default)]
pub struct Percentage(pub u32);

impl Percentage {
    /// The whole, 100 %.
    pub const ALL: Percentage = Percentage(1_000_000);
}

/// Picks its percentage of whatever it is asked for, as evenly as can be.
struct Picker {
    percentage: Percentage,
    /// What has come together since the last pick. Half of the whole at first: any `n` in a row hold
    /// their part of them, rounded.
    gathered: u32,
}

impl Picker {
    fn of(percentage: Percentage) -> Picker {
        Picker { percentage, gathered: Percentage::ALL.0 / 2 }
    }

    fn picks(&mut self) -> bool {
        self.gathered += self.percentage.0;
        let picks = self.gathered >= Percentage::ALL.0;
        if picks {
            self.gathered -= Percentage::ALL.0;
        }
        picks
    }
}

/// What is wrong with one answer; nothing by default.
#[derive(Default)]
pub struct Fault {
    /// It is the broken variant's.
    pub fails: bool,
    /// How much later it is sent than it could be.
    pub delay: Duration,
}

/// What is to be wrong with the answers of `/v1/appinfo`.
pub struct Faults {
    errors: Picker,
    /// How much later the late answers are sent.
    pub delay: Duration,
    /// Of the answers that fail and of the others, each by itself: else all the late ones might fail.
    late: [Picker; 2],
}

impl Faults {
    /// So many answers fail, and so many are so late.
    pub fn new(error_rate: Percentage, delay: Duration, delay_rate: Percentage) -> Faults {
        let late = [Picker::of(delay_rate), Picker::of(delay_rate)];
        Faults { errors: Picker::of(error_rate), delay, late }
    }

    /// What is wrong with the next answer.
    pub fn next(&mut self) -> Fault {
        let fails = self.errors.picks();
        let is_late = self.late[usize::from(fails)].picks();
        Fault { fails, delay: if is_late { self.delay } else { Duration::ZERO } }
    }
}
