//! Request bodies, which nothing here needs: they are ignored.
//!
//! tiny_http reads the rest of a body wherever its request is dropped, for as long as the client
//! likes, into as much memory as was announced. So a request with an unread body is answered first,
//! and then a thread of its own reads the rest, as nginx's "lingering close" does.

use std::mem::ManuallyDrop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::guard::connection::{Connection, client, has_header};
use crate::guard::panics::CRASHED;
use crate::threads;

/// How long a body is read, to be ignored; the last read may take as long again.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest body, in bytes, whose request is dropped after that: the library allocates all of it. The
/// request of a longer body is leaked: a thread and two open files, until the server process ends.
const MAX_ANNOUNCED_BYTES: usize = 8 << 20;

/// How many bodies are being drained.
static DRAINING: AtomicUsize = AtomicUsize::new(0);

/// Whether a body is still to be read from the connection. tiny_http has read it already if it is no
/// longer than 1,024 bytes, unless the client waits for `100 Continue` or asks for an upgrade.
pub fn is_unread(request: &Request) -> bool {
    match request.body_length() {
        Some(0) => false,
        Some(length) => {
            length > 1024
                || has_header(request, "Expect", "")
                || has_header(request, "Connection", "upgrade")
        }
        None => has_header(request, "Transfer-Encoding", ""),
    }
}

/// Sends a response to a request whose body is unread, and then reads the body: in a thread of its own.
pub fn respond_first(request: Request, response: Vec<u8>) {
    // Leaked unless it is taken out: also where no thread can be started.
    let request = ManuallyDrop::new(request);
    let work = move || {
        // One at a time, and at the priority of tiny_http's threads: at a higher one it would starve them.
        threads::lower_priority();
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock();
        let connection = Connection::of(client(&request));
        connection.inspect(|connection| connection.send_last(&response));
        drop(turn);
        connection.inspect(drain);
        if request.body_length().unwrap_or(0) <= MAX_ANNOUNCED_BYTES {
            let _turn = TURN.lock();
            drop(ManuallyDrop::into_inner(request).into_writer());
        }
        DRAINING.fetch_sub(1, Relaxed);
    };
    DRAINING.fetch_add(1, Relaxed);
    // A new server may start threads again.
    threads::start("body", Box::new(work)).unwrap_or_else(|_| std::process::exit(CRASHED.into()));
}

/// Reads and ignores what a client sends until it closes the connection, or the time is over.
fn drain(connection: &Connection) {
    let start = Instant::now();
    // On the heap: a thread's stack is small here.
    let mut buffer = vec![0; 4 << 10];
    while connection.receive(&mut buffer) > 0 && start.elapsed() < DRAIN_TIMEOUT {}
    connection.shut_down();
}

/// Whether a client still sends a body: to end the process would reset its connection, and the
/// response could be lost (RFC 9112, 9.6).
pub fn is_draining_bodies() -> bool {
    DRAINING.load(Relaxed) > 0
}
