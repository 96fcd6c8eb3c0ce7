//! The library's panics. Its connection threads panic when a client sends a request and resets
//! the connection (the peer's address, which is gone, is unwrapped); unwinding keeps that to the
//! thread. The thread that accepts panics where no file or thread is left.

use std::panic;
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::containment::renewal;
use crate::log;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Makes a line a minute at most of the panics that clients cause, a renewal of the library's others,
/// and an end of our own. After a renewal the first minute is silent: the process does not know what
/// its former self has said.
pub fn contain(is_renewed: bool) {
    let last = Mutex::new(is_renewed.then(Instant::now));
    panic::set_hook(Box::new(move |panic| {
        // Threads that run code of ours alone have names; those that run tiny_http's have none.
        if let Some(name) = thread::current().name() {
            log::line(format_args!("a mistake in appinfo itself, in thread {name}: {panic}"));
            process::exit(101);
        }
        COUNT.fetch_add(1, Ordering::Relaxed);
        if !panic.location().is_some_and(|at| at.file().ends_with("client.rs")) {
            // The thread that accepts has ended, and nobody would hear of it.
            let why = "the HTTP library has ended a thread: too few threads, files or memory?";
            return renewal::ask(why.to_owned(), renewal::LAST_ANSWERS);
        }
        let Ok(mut last) = last.lock() else { return };
        if last.is_none_or(|time| time.elapsed() >= Duration::from_secs(60)) {
            *last = Some(Instant::now());
            log::line("a client broke its connection off in the middle of a request");
        }
    }));
}

/// How many of the library's threads have ended so.
pub fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}
