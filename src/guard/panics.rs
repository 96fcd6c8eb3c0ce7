//! Panics of the library's threads. Unwinding keeps a panic to its own thread, which is what a
//! connection's thread needs; but tiny_http's accepting thread panics when it cannot start another
//! thread or duplicate a file, and then nothing would be accepted any more.

use std::panic;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::log;

/// The exit status of a server that cannot go on, the same as Rust's own after a panic.
pub const CRASHED: u8 = 101;

/// How many of tiny_http's threads have ended because a client reset the connection.
pub static RESETS: AtomicU32 = AtomicU32::new(0);

/// Ignores the panics that clients cause, and ends the process after any other. A supervisor says so,
/// and how often; without one, or if the fault is ours, this does.
pub fn install_panic_hook(is_supervised: bool) {
    panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        // A client sent a request and reset the connection: tiny_http unwraps its address.
        if file.contains("tiny_http") && file.ends_with("client.rs") {
            RESETS.fetch_add(1, Relaxed);
            return;
        }
        if !is_supervised || file.starts_with("src/") {
            log::line(panic);
        }
        process::exit(CRASHED.into());
    }));
}
