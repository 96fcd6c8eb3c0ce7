//! SIGTERM and SIGINT, which tell the program to stop, and SIGUSR2, which tells it to begin anew.
//!
//! Every thread holds them back, and one takes them, one after the other. So none is ever lost: one
//! that comes while the program replaces itself waits for its new self (execve(2) keeps what is
//! pending and what is held back), even as PID 1, which has no default actions.

use std::process;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use tiny_http::Server;

use crate::containment::renewal::{self, Renewal};
use crate::log;
use crate::pod::drain::Draining;
use crate::process::listener::Listener;
use crate::thread;

fn all() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, renewal::SIGNAL].into_iter().collect()
}

/// Holds the signals back, in this thread and in all that it starts.
pub fn hold_back() {
    all().thread_block().expect("these signals exist");
}

/// Heeds the signals from now on: on SIGTERM the program drains for the given time, on SIGINT it
/// stops without the wait. A second one ends the process at once, with the status that a shell would
/// show: 128 plus its number.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn heed(
    drain: Duration,
    draining: &'static Draining,
    listener: &'static Listener,
    server: &'static Server,
    renewal: Renewal,
) -> Result<(), String> {
    let take = move || loop {
        match all().wait() {
            Ok(renewal::SIGNAL) => renewal.begin_anew(draining),
            Ok(signal) if draining.has_begun() => process::exit(128 + signal as i32),
            Ok(signal) => {
                let time = if signal == Signal::SIGTERM { drain } else { Duration::ZERO };
                draining.begin(time);
                listener.defer_no_more();
                // The loop waits for requests: now there is an end to wait for as well.
                server.unblock();
                let seconds = time.as_secs();
                log::line(match seconds {
                    0 => "told to stop: answering what has come".to_owned(),
                    _ => format!("told to stop: not ready any more, serving for {seconds} s more"),
                });
            }
            // As sigwait(3) has it, only for a signal that does not exist.
            Err(_) => unreachable!("these signals exist"),
        }
    };
    thread::start(Some("signals"), Box::new(take))
}
