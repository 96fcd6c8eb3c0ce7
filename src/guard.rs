//! What stands between tiny_http 0.12, which trusts its clients, and clients that mean no good.
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
use tiny_http::{HTTPVersion, Request, Response};

use crate::answer::{Answer, Sender};
use crate::log;

/// Raises the limit on open files to its hard limit, as Go programs do at their start: every
/// connection holds two, and containers often begin with a soft limit of 1,024.
pub fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::line(format_args!("cannot raise the limit on open files: {error}"));
    }
}

/// Contains the panics of tiny_http's connection threads. One panics when its client sends a
/// request and resets the connection (it unwraps the peer's address, which is gone); unwinding
/// keeps that to the thread, and here it becomes a line a minute at most.
pub fn contain_library_panics() {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    panic::set_hook(Box::new(|panic| {
        // All threads of ours have names; tiny_http's have none.
        if let Some(name) = thread::current().name() {
            log::line(format_args!("a mistake in appinfo itself, in thread {name}: {panic}"));
            std::process::exit(101);
        }
        LIBRARY_PANICS.fetch_add(1, Ordering::Relaxed);
        let Ok(mut last) = LAST.lock() else { return };
        if last.is_none_or(|time| time.elapsed() >= Duration::from_secs(60)) {
            *last = Some(Instant::now());
            log::line("a client broke its connection off in the middle of a request");
        }
    }));
}

static LIBRARY_PANICS: AtomicU32 = AtomicU32::new(0);

/// How many of the library's threads have ended in a panic.
pub fn library_panics() -> u32 {
    LIBRARY_PANICS.load(Ordering::Relaxed)
}

/// Clients that have been told to close their connection, as every answer tells them. What they
/// send on it after that must not be processed (RFC 9112, 9.6), and is passed over here: requests
/// may come by the million, and a client that does not read the answers would hold up the loop.
///
/// The library does not tell connections apart, so they are known by the client's address. No new
/// connection comes from there so soon: the client, who has to close, waits in TIME_WAIT.
#[derive(Default)]
pub struct ToldToClose {
    /// From where, and until when what comes from there is passed over; sorted.
    until: Vec<(SocketAddr, Instant)>,
    tidied: Option<Instant>,
}

impl ToldToClose {
    /// How long after the last request from there.
    const PAUSE: Duration = Duration::from_millis(100);

    /// The same for a client that did not read its answer; as long as an idle connection is kept.
    const STALLED: Duration = Duration::from_secs(10);

    /// Whether this client, which asks now, is one of them.
    pub fn includes(&mut self, client: Option<SocketAddr>, now: Instant) -> bool {
        let Some(Ok(place)) = client.map(|client| self.find(client)) else { return false };
        let until = &mut self.until[place].1;
        let told = now < *until;
        if told {
            *until = (now + ToldToClose::PAUSE).max(*until);
        }
        told
    }

    /// Notes that this client has been sent an answer, or would not read it.
    pub fn note(&mut self, client: Option<SocketAddr>, now: Instant, sent: &io::Result<()>) {
        let Some(client) = client else { return };
        if self.tidied.is_none_or(|tidied| now - tidied > ToldToClose::PAUSE) {
            self.tidied = Some(now);
            self.until.retain(|(_, until)| now < *until);
        }
        let stalled = sent.as_ref().is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        let until = now + if stalled { ToldToClose::STALLED } else { ToldToClose::PAUSE };
        match self.find(client) {
            Ok(place) => self.until[place].1 = until,
            Err(place) => self.until.insert(place, (client, until)),
        }
    }

    fn find(&self, client: SocketAddr) -> Result<usize, usize> {
        self.until.binary_search_by_key(&client, |(client, _)| *client)
    }
}

/// Whether the library closes the connection after this request, without waiting for the client.
/// (Then nothing else comes over it, and the client may use its port again at once.)
pub fn is_last(request: &Request) -> bool {
    let connection = request.headers().iter().find(|header| header.field.equiv("Connection"));
    let says = |word: &str| {
        connection.is_some_and(|header| {
            let mut parts = header.value.as_str().as_bytes().windows(word.len());
            parts.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    let is_old = *request.http_version() <= HTTPVersion(1, 0);
    says("close") || says("upgrade") || is_old && !says("keep-alive")
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
///
/// # Errors
///
/// When the process may start no thread; the request is forgotten then, see below.
pub fn refuse_body(request: Request, refusal: Answer) -> io::Result<()> {
    // Forgotten, not dropped, where the thread cannot be started.
    let request = ManuallyDrop::new(request);
    let refuse = move || refuse(ManuallyDrop::into_inner(request), &refusal);
    // Without a name: a panic there is the library's.
    thread::Builder::new().spawn(refuse)?;
    Ok(())
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
    // have to skip (RFC 9110, 15.2); it is unknown to HTTP/1.0.
    let interim =
        Response::empty(if *request.http_version() < HTTPVersion(1, 1) { 413 } else { 100 });
    let mut stream = request.upgrade("HTTP/1.1", interim);
    let _ = sender.write(&mut stream, refusal, true);
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
