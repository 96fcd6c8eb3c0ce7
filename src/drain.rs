//! The end of a pod. Kubernetes sends SIGTERM and, at the same time, begins to take the pod out
//! of its Services, which takes a while to reach every node; so the program goes on serving for
//! some seconds before it stops
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-flow>).

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use tiny_http::Server;

use crate::listener::Listener;
use crate::log;

/// How far the end has come; shared by all threads, and set in the signal handler itself.
#[derive(Default)]
pub struct Draining {
    begun: Arc<AtomicBool>,
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
/// A sentence, when the process may open no more files or start no thread.
pub fn on_signals(
    time: Duration,
    draining: &Arc<Draining>,
    listener: Listener,
    server: &Arc<Server>,
) -> Result<(), String> {
    let cannot = |error| format!("cannot wait for signals: {error}");
    let (mut signals, number) = handle(draining).map_err(cannot)?;
    let (draining, server) = (draining.clone(), server.clone());
    let stop = move || {
        let _ = signals.read_exact(&mut [0]);
        let is_sigterm = number.load(Ordering::SeqCst) == SIGTERM as usize;
        let time = if is_sigterm { time } else { Duration::ZERO };
        let seconds = time.as_secs();
        log::line(format_args!("told to stop: not ready any more, serving for {seconds} s more"));
        thread::sleep(time);
        draining.over.store(true, Ordering::Relaxed);
        listener.close();
        // Closing ends the loop on Linux; on other systems only this does.
        server.unblock();
    };
    thread::Builder::new().name("drain".to_owned()).spawn(stop).map_err(cannot)?;
    Ok(())
}

/// Sets the signal handlers up. The first signal can be read from the stream, its number from the
/// number beside it.
fn handle(draining: &Draining) -> io::Result<(UnixStream, Arc<AtomicUsize>)> {
    let (reader, writer) = UnixStream::pair()?;
    let number = Arc::new(AtomicUsize::new(0));
    for signal in [SIGTERM, SIGINT] {
        // In this order: a signal that finds the flag set is not the first.
        flag::register_conditional_shutdown(signal, 128 + signal, draining.begun.clone())?;
        flag::register(signal, draining.begun.clone())?;
        flag::register_usize(signal, number.clone(), signal as usize)?;
        pipe::register(signal, writer.try_clone()?)?;
    }
    Ok((reader, number))
}
