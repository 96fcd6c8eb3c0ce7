//! SIGTERM and SIGINT, which stop the program.
//!
//! They are blocked in every thread and taken one after the other, so that one that comes early waits until
//! a process is ready for it. (PID 1 would lose it: the kernel has no default action there.)

use std::io;
use std::process;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::log;
use crate::pod::drain::Draining;
use crate::threads;

/// The signals that stop the program.
pub fn stopping() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Blocks the signals in this thread, in all that it starts, and in the server process; SIGCHLD, too, for
/// which the supervisor waits.
pub fn block() {
    let mut blocked = stopping();
    blocked.add(Signal::SIGCHLD);
    blocked.thread_block().expect("these signals exist");
}

/// For how long to drain after this signal: a user who presses Ctrl+C does not want to wait.
pub fn drain_after(signal: Signal, drain: Duration) -> Duration {
    if signal == Signal::SIGTERM { drain } else { Duration::ZERO }
}

/// Begins to drain on the first signal, and calls `wake`. A second one ends the process at once, with
/// the status that a shell would show, 128 plus its number. With a supervisor that is the supervisor's
/// task, and here a second signal means nothing (Ctrl+C and `pkill appinfo` signal both processes).
/// Fails when the process may start no thread.
pub fn handle(
    drain: Duration,
    draining: &'static Draining,
    is_supervised: bool,
    wake: impl Fn() + Send + 'static,
) -> io::Result<()> {
    // An error means a signal that does not exist (sigwait(3)).
    let next = || stopping().wait().expect("these signals exist");
    let take = move || {
        let signal = next();
        let time = drain_after(signal, drain);
        draining.begin(time);
        wake();
        match time.as_secs() {
            0 => log::line(format_args!("received {signal}: answering the last requests")),
            seconds => log::line(format_args!(
                "received {signal}: not ready any more, draining for {seconds} s"
            )),
        }
        if !is_supervised {
            process::exit(128 + next() as i32);
        }
    };
    threads::start("signals", Box::new(take))
}
