//! Waiting for conditions, and doing several things at a time.

use super::*;

/// The upper bound for anything that is sure to happen; generous, since machines may be slow.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until `condition` yields something, and panics with `what` after [`DEADLINE`].
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "never came true: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `condition` is true, and panics with `what` after [`DEADLINE`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()));
}

/// Does `act` with each of the cases, so many at a time: for cases that mostly wait.
pub fn each<T: Send>(
    at_a_time: usize,
    cases: impl IntoIterator<Item = T, IntoIter: Send>,
    act: impl Fn(T) + Sync,
) {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().expect("no case panics").next();
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| std::iter::from_fn(next).for_each(&act));
        }
    });
}
