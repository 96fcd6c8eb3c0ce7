//! Requests with a body, which nothing here takes. tiny_http reads what is left of one wherever its
//! request is dropped, for as long as its client likes, into as much memory as was announced.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::{self, ManuallyDrop};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chunked_transfer::Decoder;
use tiny_http::{Header, Method, ReadWrite, Request, Response, StatusCode};

use crate::containment::scheduling;
use crate::thread;
use crate::web::answer::{Answer, JSON, SERVER, Sender};

/// How long a body may take.
const TIME: Duration = Duration::from_secs(10);

/// The most that may be unread, in bytes, of all bodies together. Where one breaks off, the library asks
/// for memory for all that is missing, and the allocator fills it with zeros.
const MOST_UNREAD: usize = 8 << 20;

/// Whether a body comes with a request.
#[derive(Clone, Copy, PartialEq)]
pub enum Body {
    None,
    /// The connection's own thread has read it, which it does up to 1,024 bytes, or there are none to
    /// be read. A length that is no number may hide one too.
    Read,
    /// It is still to be read from the connection, or its client waits to be told to go on.
    Awaited,
}

impl Body {
    pub fn of(request: &Request) -> Body {
        let is_announced = request.headers().iter().any(|header| {
            header.field.equiv("Transfer-Encoding")
                || header.field.equiv("Content-Length") && header.value != "0"
        });
        let is_awaited = || match request.body_length() {
            Some(0) => false,
            Some(length) => length > 1024 || has(request, "Expect", "") || is_raw(request),
            None => has(request, "Transfer-Encoding", ""),
        };
        match is_announced {
            false => Body::None,
            true if is_awaited() => Body::Awaited,
            true => Body::Read,
        }
    }
}

/// Whether the first header of that name has such a word in its value. The library looks at no other,
/// and to look at more than it does would be to mistake what it is going to do.
pub fn has(request: &Request, name: &'static str, word: &str) -> bool {
    let first = request.headers().iter().find(|header| header.field.equiv(name));
    first.is_some_and(|header| header.value.as_str().to_ascii_lowercase().contains(word))
}

/// Whether the library hands out all that comes, and reads nothing by itself.
fn is_raw(request: &Request) -> bool {
    has(request, "Connection", "upgrade")
}

/// Lets go of a request without an answer. (Dropping it would send one.)
pub fn discard(request: Request, body: Body) {
    match body {
        Body::Awaited => refuse(request, None),
        Body::None | Body::Read => drop(request.into_writer()),
    }
}

/// Whether a body is just being refused on the same connection. What is asked after it needs no answer,
/// which would have to wait for that one.
pub fn is_refused(request: &Request) -> bool {
    let Some(client) = request.remote_addr() else { return false };
    SHARED.lock().is_ok_and(|shared| shared.clients.contains(client))
}

/// Whether anybody still has to hear a refusal.
pub fn are_refused() -> bool {
    SHARED.lock().is_ok_and(|shared| !shared.clients.is_empty())
}

/// Refuses a request whose body is still to come, in a thread of its own, in which the body may take
/// its time; in silence, where there is no refusal. A thread each, not one for all: nobody waits behind
/// another's body, and there are hardly more of them than connections, since the library does not read
/// on before a body has ended, and only one at a time is answered.
pub fn refuse(request: Request, refusal: Option<Answer>) {
    let unread = if is_raw(&request) { 0 } else { request.body_length().unwrap_or(0) };
    let client = request.remote_addr().copied();
    let Some(share) = Share::of(unread, client) else {
        return match refusal {
            Some(refusal) => mem::forget(answer_first(request, &refusal)),
            None => mem::forget(request),
        };
    };
    // Forgotten, not dropped, where the thread cannot be started.
    let request = ManuallyDrop::new(request);
    let refuse = move || {
        scheduling::stand_back();
        refuse_in_time(ManuallyDrop::into_inner(request), refusal, share);
    };
    let _ = thread::start(None, Box::new(refuse));
}

fn refuse_in_time(mut request: Request, refusal: Option<Answer>, mut share: Share) {
    let (length, is_raw) = (request.body_length(), is_raw(&request));
    // The library would tell a client that waits to go on; it is to hear the refusal instead.
    let has_ended = !has(&request, "Expect", "") && {
        let body = request.as_reader();
        match length {
            Some(length) => ends_in_time(&mut body.take(length as u64), &mut share),
            None if is_raw => ends_in_time(&mut Decoder::new(body), &mut share),
            None => ends_in_time(body, &mut share),
        }
    };
    match refusal {
        Some(refusal) if has_ended => {
            let with_body = *request.method() != Method::Head;
            let mut stream = request.into_writer();
            let _ = Sender::default().write(&mut *stream, &refusal, with_body);
            share.is_answered(); // Whoever sees the connection end may use its port again.
        }
        Some(refusal) => {
            let _stream = answer_first(request, &refusal);
            share.is_answered();
            // What comes now is read, until that makes a pause.
        }
        None => drop(request.into_writer()),
    }
}

/// Answers before the body is read, which the library does where this is dropped. `upgrade` is its only
/// way for that. It sends a head alone then, leaves out some headers, and never lets one say
/// `Connection: close`; but not what comes behind a line break in the value of another (CVE-2026-66753).
fn answer_first(request: Request, refusal: &Answer) -> Box<dyn ReadWrite + Send> {
    let length = refusal.body().len();
    let server = format!("{SERVER}\r\nContent-Length: {length}\r\nConnection: close");
    let headers = [("Content-Type", JSON), ("Server", &server)];
    let headers =
        headers.map(|(name, value)| Header::from_bytes(name, value).expect("these are headers"));
    let head = Response::new(StatusCode(refusal.status), headers.into(), io::empty(), None, None);
    let with_body = *request.method() != Method::Head;
    let mut stream = request.upgrade("HTTP/1.1", head);
    if with_body {
        let _ = stream.write_all(refusal.body()).and_then(|()| stream.flush());
    }
    stream
}

/// Reads a body in pieces and throws them away; tells whether it has ended, or broken off, in time.
fn ends_in_time(body: &mut dyn Read, share: &mut Share) -> bool {
    let start = Instant::now();
    let mut piece = [0; 16 << 10];
    while start.elapsed() < TIME {
        match body.read(&mut piece) {
            Ok(0) => return true,
            Ok(length) => share.give_back(length),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The time-out of the connection.
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
    false
}

/// A share of [`MOST_UNREAD`], in bytes, for one body; given back when dropped.
struct Share {
    bytes: usize,
    client: Option<SocketAddr>,
}

/// All shares together.
struct Shared {
    bytes: usize,
    /// Who has still to hear that it is refused.
    clients: Vec<SocketAddr>,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { bytes: 0, clients: Vec::new() });

impl Share {
    /// `None` when there is not so much left.
    fn of(bytes: usize, client: Option<SocketAddr>) -> Option<Share> {
        let mut shared = SHARED.lock().ok()?;
        shared.bytes = shared.bytes.checked_add(bytes).filter(|bytes| *bytes <= MOST_UNREAD)?;
        shared.clients.extend(client);
        Some(Share { bytes, client })
    }

    /// Gives back a part of it.
    fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        if let Ok(mut shared) = SHARED.lock() {
            shared.bytes -= bytes;
        }
    }

    /// Says that its client has got its answer.
    fn is_answered(&mut self) {
        let (client, Ok(mut shared)) = (self.client.take(), SHARED.lock()) else { return };
        let place = shared.clients.iter().position(|other| Some(*other) == client);
        place.map(|place| shared.clients.swap_remove(place));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.bytes);
        self.is_answered();
    }
}
