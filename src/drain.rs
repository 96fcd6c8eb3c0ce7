//! The end of a pod. Kubernetes sends SIGTERM and, at the same time, begins to take the pod out
//! of its Services, which takes a while to reach every node; so the program goes on serving for
//! some seconds before it stops
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-flow>).

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tiny_http::Server;

use crate::listener::Listener;
use crate::log;

/// How far the end has come; shared by all threads.
#[derive(Default)]
pub struct Draining {
    begun: AtomicBool,
    over: AtomicBool,
}

impl Draining {
    /// Whether a signal has come: the pod is not ready any more.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether the drain time is over: no connection is accepted any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// On SIGTERM drains for the given time, then closes the listener, which ends the server's loop;
/// on SIGINT the same without the wait. A second signal ends the process at once, with the status
/// that a shell would show: 128 plus its number. As PID 1 the process has no default actions.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn on_signals(
    time: Duration,
    draining: &Arc<Draining>,
    listener: Listener,
    server: &Arc<Server>,
) -> Result<(), String> {
    let cannot = |error| format!("cannot wait for signals: {error}");
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(cannot)?;
    let (draining, server) = (draining.clone(), server.clone());
    let watch = move || {
        let mut arrived = signals.forever();
        let first = arrived.next();
        draining.begun.store(true, Ordering::Relaxed);
        let time = if first == Some(SIGTERM) { time } else { Duration::ZERO };
        log::line(format_args!("told to stop: not ready any more, stopping in {time:?}"));
        let stop = move || {
            thread::sleep(time);
            draining.over.store(true, Ordering::Relaxed);
            listener.close();
            // Closing ends the loop on Linux; on other systems only this does.
            server.unblock();
        };
        if let Err(error) = thread::Builder::new().name("drain".to_owned()).spawn(stop) {
            log::line(format_args!("cannot drain: {error}"));
            process::exit(1);
        }
        if let Some(second) = arrived.next() {
            log::line("told to stop again: stopping now");
            process::exit(128 + second);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(cannot)?;
    Ok(())
}
