//! Requests with a body, which nothing here takes. tiny_http reads what is left of one wherever its
//! request is dropped, for as long as its client likes, into as much memory as was announced.

use std::io::{ErrorKind, Read};
use std::mem::{self, ManuallyDrop};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use chunked_transfer::Decoder;
use tiny_http::{HTTPVersion, Header, Method, Request, Response, StatusCode};

use crate::web::answer::{Answer, JSON, SERVER, Sender};

/// How long a body may take.
const TIME: Duration = Duration::from_secs(10);

/// The most that may be unread, in bytes, of all bodies together whose requests are dropped. The library
/// asks for memory for the whole rest of each, and the allocator fills it with zeros.
const MOST_UNREAD: usize = 8 << 20;

/// Whether a body comes with this request. A length that is no number may hide one too.
pub fn announced(request: &Request) -> bool {
    request.headers().iter().any(|header| {
        header.field.equiv("Transfer-Encoding")
            || header.field.equiv("Content-Length") && header.value != "0"
    })
}

/// Whether a body is still to be read from the connection. One of up to 1,024 bytes was read by
/// the connection's own thread, unless its client waits to be told to go on.
pub fn awaited(request: &Request) -> bool {
    announced(request)
        && match request.body_length() {
            Some(length) => length > 1024 || has(request, "Expect", ""),
            None => has(request, "Transfer-Encoding", ""),
        }
}

/// Whether such a header has such a word in its value.
fn has(request: &Request, name: &'static str, word: &str) -> bool {
    request.headers().iter().any(|header| {
        header.field.equiv(name) && header.value.as_str().to_ascii_lowercase().contains(word)
    })
}

/// Refuses a request whose body is still to come, in a thread of its own, in which the body may take
/// its time. A thread each, not one for all: nobody waits behind another's body, and there are no more
/// of them than connections, each of which has a thread already.
pub fn refuse(request: Request, refusal: Answer) {
    // Forgotten, not dropped, where the thread cannot be started.
    let request = ManuallyDrop::new(request);
    let refuse = move || refuse_in_thread(ManuallyDrop::into_inner(request), &refusal);
    // Without a name: a panic there is the library's.
    let _ = thread::Builder::new().spawn(refuse);
}

fn refuse_in_thread(mut request: Request, refusal: &Answer) {
    // After `Connection: upgrade` the library hands out all that comes, and reads nothing by itself.
    let is_raw = has(&request, "Connection", "upgrade");
    let length = request.body_length();
    // The library would tell a client that waits to go on; it is to hear the refusal instead.
    let (ended, read) = if has(&request, "Expect", "") {
        (false, 0)
    } else {
        let body = request.as_reader();
        match length {
            Some(length) => read_in_time(&mut body.take(length as u64)),
            None if is_raw => read_in_time(&mut Decoder::new(body)),
            None => read_in_time(body),
        }
    };
    let unread = if is_raw { 0 } else { length.unwrap_or(0).saturating_sub(read) };
    let Some(_share) = Share::of(unread) else { return refuse_unread(request, refusal) };
    if ended {
        let _ = Sender::default().send(request, refusal);
    } else {
        // Answers first and reads the rest then, until that makes a pause. (Its price: what it sends
        // cannot say `Connection: close`.)
        let headers = [("Content-Type", JSON), ("Server", SERVER)];
        let headers = headers
            .map(|(name, value)| Header::from_bytes(name, value).expect("these are headers"));
        let body = refusal.body();
        let status = StatusCode(refusal.status);
        let response = Response::new(status, headers.into(), body, Some(body.len()), None);
        let _ = request.respond(response);
    }
}

/// A share of [`MOST_UNREAD`], given back when dropped.
struct Share(usize);

static SHARED: Mutex<usize> = Mutex::new(0);

impl Share {
    /// `None` when there is not so much left.
    fn of(bytes: usize) -> Option<Share> {
        let mut shared = SHARED.lock().ok()?;
        *shared = shared.checked_add(bytes).filter(|shared| *shared <= MOST_UNREAD)?;
        Some(Share(bytes))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Ok(mut shared) = SHARED.lock() {
            *shared -= self.0;
        }
    }
}

/// Refuses a request without reading its body, and forgets it. `upgrade` is the library's only way to
/// answer without dropping, that is reading, the body. Its price is an interim answer, which clients
/// have to skip (RFC 9110, 15.2). HTTP/1.0 knows none: there it has to be the whole answer.
fn refuse_unread(request: Request, refusal: &Answer) {
    let knows_interim = *request.http_version() > HTTPVersion(1, 0);
    let with_body = *request.method() != Method::Head;
    let interim = Response::empty(if knows_interim { 100 } else { refusal.status });
    let mut stream = request.upgrade("HTTP/1.1", interim);
    if knows_interim {
        let _ = Sender::default().write(&mut stream, refusal, with_body);
    }
    mem::forget(stream);
}

/// Reads a body in pieces and throws them away; tells whether it has ended, or broken off, in time, and
/// how many bytes have come.
fn read_in_time(body: &mut dyn Read) -> (bool, usize) {
    let start = Instant::now();
    let (mut piece, mut came) = ([0; 16 << 10], 0);
    while start.elapsed() < TIME {
        match body.read(&mut piece) {
            Ok(0) => return (true, came),
            Ok(length) => came += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The time-out of the connection.
            Err(error) => return (error.kind() != ErrorKind::WouldBlock, came),
        }
    }
    (false, came)
}
