//! What stands between tiny_http 0.12, which trusts its clients, and clients that mean no good:
//! the limit on open files, the library's panics, clients that do not read, and bodies.
//! The time-outs of connections are the [`listener`](crate::listener)'s; that nobody starves and
//! the server is never silently deaf is the [`heartbeat`](crate::heartbeat)'s.

use std::io::{self, ErrorKind, Read};
use std::mem::{self, ManuallyDrop};
use std::net::SocketAddr;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use tiny_http::{HTTPVersion, Method, Request, Response};

use crate::answer::{Answer, Sender};
use crate::log;

/// Raises the limit on open files to its hard limit, as Go programs do at their start: every
/// connection holds two, and containers often begin with a soft limit of 1,024.
pub fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_none() {
        return; // On macOS, which does not allow what it says.
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::line(format_args!("cannot raise the limit on open files: {error}"));
    }
}

/// Contains the panics of tiny_http's threads. One panics when its client sends a request and
/// resets the connection (it unwraps the peer's address, which is gone); unwinding keeps that to
/// the thread, and here it becomes a line a minute at most.
pub fn contain_library_panics() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    panic::set_hook(Box::new(|panic| {
        // Threads that run code of ours alone have names; those that run tiny_http's have none.
        if let Some(name) = thread::current().name() {
            log::line(format_args!("a mistake in appinfo itself, in thread {name}: {panic}"));
            std::process::exit(101);
        }
        LIBRARY_PANICS.fetch_add(1, Ordering::Relaxed);
        let Ok(mut last) = LAST.lock() else { return };
        if last.is_none_or(|time| time.elapsed() >= Duration::from_secs(60)) {
            *last = Some(Instant::now());
            let by_client = panic.location().is_some_and(|at| at.file().ends_with("client.rs"));
            log::line(if by_client {
                "a client broke its connection off in the middle of a request"
            } else {
                "a thread of the HTTP library has ended: too few threads, files or memory?"
            });
        }
    }));
}

static LIBRARY_PANICS: AtomicU32 = AtomicU32::new(0);

/// How many of the library's threads have ended in a panic.
pub fn library_panics() -> u32 {
    LIBRARY_PANICS.load(Ordering::Relaxed)
}

/// Clients that do not read what they are sent. Each further answer to one would hold up the loop
/// until its time-out, so what else they ask is passed over until they are silent for a while.
/// Sorted by address: hundreds of them, with thousands of requests each, must not slow it down.
#[derive(Default)]
pub struct Stalled(Vec<(SocketAddr, Instant)>);

impl Stalled {
    /// How long a client must be silent to be forgotten; as long as an idle connection is kept.
    const SILENCE: Duration = Duration::from_secs(10);

    /// Notes that an answer to this client failed, if it did for want of reading.
    pub fn note(&mut self, client: Option<SocketAddr>, error: &io::Error) {
        if let (Some(client), ErrorKind::WouldBlock | ErrorKind::TimedOut) = (client, error.kind())
        {
            self.0.retain(|(_, last)| last.elapsed() < Stalled::SILENCE);
            if let Err(place) = self.find(client) {
                self.0.insert(place, (client, Instant::now()));
            }
        }
    }

    /// Whether this client, which asks now, is one of them.
    pub fn includes(&mut self, client: Option<SocketAddr>) -> bool {
        let Some(Ok(place)) = client.map(|client| self.find(client)) else { return false };
        let last = &mut self.0[place].1;
        let stalled = last.elapsed() < Stalled::SILENCE;
        if stalled {
            *last = Instant::now();
        }
        stalled
    }

    fn find(&self, client: SocketAddr) -> Result<usize, usize> {
        self.0.binary_search_by_key(&client, |(client, _)| *client)
    }
}

/// Lets go of a request without an answer. (Dropping it would send one.) No body may be unread.
pub fn discard(request: Request) {
    drop(request.into_writer());
}

/// Whether a body comes with this request. A length that is no number may hide one too.
pub fn announces_body(request: &Request) -> bool {
    request.headers().iter().any(|header| {
        header.field.equiv("Transfer-Encoding")
            || header.field.equiv("Content-Length") && header.value != "0"
    })
}

/// The most of a body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Whether a body is still to be read from the connection. One of up to 1,024 bytes was read by
/// the connection's own thread, unless its client waits to be told to go on.
pub fn has_unread_body(request: &Request) -> bool {
    announces_body(request)
        && match request.body_length() {
            Some(length) => length > 1024 || has_header(request, "Expect"),
            None => has_header(request, "Transfer-Encoding"),
        }
}

fn has_header(request: &Request, name: &'static str) -> bool {
    request.headers().iter().any(|header| header.field.equiv(name))
}

/// Refuses a request whose body is still to come, in a thread of its own: tiny_http reads what is
/// left of a body wherever its request is dropped, which would hold up the loop for as long as
/// the client likes.
/// A thread each, not one for all: nobody waits behind another's body, and there are no more of
/// them than connections, each of which has a thread already.
pub fn refuse_body(request: Request, refusal: Answer) {
    // Forgotten, not dropped, where the thread cannot be started.
    let request = ManuallyDrop::new(request);
    let refuse = move || refuse(ManuallyDrop::into_inner(request), &refusal);
    // Without a name: a panic there is the library's.
    let _ = thread::Builder::new().spawn(refuse);
}

fn refuse(mut request: Request, refusal: &Answer) {
    let mut sender = Sender::default();
    let small = request.body_length().is_none_or(|length| length <= BODY_LIMIT);
    if small && is_read_whole(request.as_reader()) {
        let _ = sender.send(request, refusal);
        return;
    }
    // The rest never comes, or is too much. `upgrade` is the library's only way to answer without
    // dropping, that is reading, the body first. Its price is an interim answer, which clients
    // have to skip (RFC 9110, 15.2). HTTP/1.0 knows none: there it has to be the whole answer.
    let knows_interim = *request.http_version() > HTTPVersion(1, 0);
    let with_body = *request.method() != Method::Head;
    let interim = Response::empty(if knows_interim { 100 } else { refusal.status });
    let mut stream = request.upgrade("HTTP/1.1", interim);
    if knows_interim {
        let _ = sender.write(&mut stream, refusal, with_body);
    }
    if !small {
        // Dropped, it would ask for as much memory as the client has announced, which ends the
        // process. Forgotten, it costs a thread and two open files.
        mem::forget(stream);
    }
}

/// Reads a body in small pieces, and tells whether its end came within the limits.
fn is_read_whole(body: &mut dyn Read) -> bool {
    let start = Instant::now();
    let mut piece = [0; 4096];
    let mut total = 0;
    while total <= BODY_LIMIT && start.elapsed() < BODY_TIME {
        match body.read(&mut piece) {
            Ok(0) => return true,
            Ok(length) => total += length,
            Err(_) => return false,
        }
    }
    false
}
