//! Request bodies, which nothing here needs: they are ignored.
//!
//! tiny_http reads the rest of a body wherever its request is dropped, for as long as the client
//! likes, into as much memory as was announced. So a request with an unread body is answered first,
//! and then a thread of its own reads the rest, as nginx's "lingering close" does.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::{self, ManuallyDrop};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tiny_http::{Header, ReadWrite, Request, StatusCode};

use crate::guard::panics::PANICKED;
use crate::response::Response;
use crate::thread;

/// How long a body is read at most, to be ignored.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes may be announced, at most, of all bodies that are being drained. Where one breaks off,
/// the library allocates all that is missing.
const MAX_ANNOUNCED_BYTES: usize = 8 << 20;

/// How many bodies are being drained.
static DRAINING: AtomicUsize = AtomicUsize::new(0);

/// How many bytes were announced of these bodies.
static ANNOUNCED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Whether the first header of that name contains this word. tiny_http looks at the first one alone, and
/// here it matters what tiny_http is going to do.
pub fn has_header(request: &Request, name: &'static str, word: &str) -> bool {
    let first = request.headers().iter().find(|header| header.field.equiv(name));
    first.is_some_and(|header| header.value.as_str().to_ascii_lowercase().contains(word))
}

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

/// Drops a request without a response. One with an unread body is leaked, since dropping it could block:
/// a thread and two open files, until the server process ends.
pub fn drop_unanswered(request: Request) {
    if is_unread(&request) {
        mem::forget(request);
    } else {
        drop(request.into_writer());
    }
}

/// Sends a response to a request whose body is unread, then reads the body in a thread of its own. If too
/// much was announced, the rest of the connection is leaked.
pub fn respond_first(request: Request, response: &Response, is_head: bool) -> io::Result<()> {
    // With an upgrade the whole rest of the connection is the body, and the library allocates nothing.
    let is_upgrade = has_header(&request, "Connection", "upgrade");
    let announced = request.body_length().filter(|_| !is_upgrade).unwrap_or(0);
    // Leaked unless it is taken out: also where no thread can be started.
    let mut stream = ManuallyDrop::new(send_head(request, response));
    let body = if is_head { b"" } else { response.body() };
    let sent = stream.write_all(body).and_then(|()| stream.flush());
    let reserve =
        |bytes: usize| bytes.checked_add(announced).filter(|sum| *sum <= MAX_ANNOUNCED_BYTES);
    if ANNOUNCED_BYTES.fetch_update(Relaxed, Relaxed, reserve).is_ok() {
        DRAINING.fetch_add(1, Relaxed);
        let drain = move || {
            drain(ManuallyDrop::into_inner(stream), announced);
            ANNOUNCED_BYTES.fetch_sub(announced, Relaxed);
            DRAINING.fetch_sub(1, Relaxed);
        };
        if thread::start("drain", Box::new(drain)).is_err() {
            process::exit(PANICKED.into()); // A new process may start threads again.
        }
    }
    sent
}

/// Whether a body is being drained.
pub fn is_any_draining() -> bool {
    DRAINING.load(Relaxed) > 0
}

/// Sends the head of a response while the body is unread. `Request::upgrade` is tiny_http's only way to
/// do that without dropping the body. It would send neither `Connection: close` nor a length, so these
/// follow behind a line end in the value of `Server` (CVE-2026-66753); it adds `Connection: upgrade` and
/// `Upgrade`, which any response may have (RFC 9110, 7.8).
fn send_head(request: Request, response: &Response) -> Box<dyn ReadWrite + Send> {
    let headers = Header::from_bytes("Server", response.headers_from_server_value())
        .expect("the headers of a response are ASCII");
    let status = StatusCode(response.status);
    let head = tiny_http::Response::new(status, vec![headers], io::empty(), None, None);
    request.upgrade("HTTP/1.1", head)
}

/// Reads and ignores a body until it ends, the client goes away, or the time is over.
fn drain(mut stream: Box<dyn ReadWrite + Send>, announced: usize) {
    let start = Instant::now();
    let mut missing = announced;
    // On the heap: a thread's stack is small here.
    let mut piece = vec![0; 4 << 10];
    while start.elapsed() < DRAIN_TIMEOUT {
        match stream.read(&mut piece) {
            Ok(length @ 1..) => missing = missing.saturating_sub(length),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
    if missing > 0 {
        // To drop it would be to read all the rest, for as long as it comes.
        mem::forget(stream);
    }
}
