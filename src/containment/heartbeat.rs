//! The program's requests to itself, over real connections, once a second and more often when others
//! connect.
//!
//! tiny_http can stop accepting without a word, and it can leave a new connection to wait for a
//! thread that is held by another. A request of our own proves that the way through all of it is
//! open, and on its way frees one connection that waits so: the thread which serves us takes the
//! next from the queue. When neither it nor anybody else comes through for a while, the program
//! begins anew.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tiny_http::Request;

use crate::containment::footprint::Footprint;
use crate::containment::{panics, renewal};
use crate::thread;

/// How often to ask as a rule, and while there are new connections.
const AT_REST: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
const BUSY: Duration = Duration::from_millis(100);

/// How often to ask while there are signs that connections wait for a thread: each beat frees one.
const HURRY: Duration = Duration::from_millis(1);

/// How long one may still wait after the last sign, and how often to ask then.
const HURRIED: Duration = Duration::from_millis(200);
const AFTERWARDS: Duration = Duration::from_millis(20);

/// How long to wait for one answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long nothing may come through before the program begins anew.
const GIVE_UP: Duration = Duration::from_secs(5);

/// What the loop and the asking thread know of each other.
pub struct Heartbeat {
    /// Where the program reaches itself.
    target: SocketAddr,
    /// What it asks for: `/healthz`, with a number that nobody else knows. The port that a request
    /// comes from would not do: the next to get it may be a client.
    url: String,
    /// Whether a request, anybody's, has come to the loop since this was last asked.
    alive: AtomicBool,
    /// How many requests of others have come.
    requests: AtomicU64,
}

impl Heartbeat {
    /// A heartbeat for a program that listens there.
    pub fn of(listening: SocketAddr) -> Heartbeat {
        let mut target = listening;
        if listening.ip().is_unspecified() {
            // Over IPv4 even on `[::]`: a container may have no IPv6 loopback address.
            target.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let secret = RandomState::new().hash_one(target);
        let url = format!("/healthz?{secret:x}");
        Heartbeat { target, url, alive: AtomicBool::new(false), requests: AtomicU64::new(0) }
    }

    /// Says that a request has come to the loop, and tells whether it is one of the program's own, to
    /// be kept out of every log and count.
    pub fn hears(&self, request: &Request) -> bool {
        self.alive.store(true, Ordering::Relaxed);
        let is_own = request.url() == self.url;
        if !is_own {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        is_own
    }

    /// How many requests of others have come since the start.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Sends one request and waits for the answer, whatever it says.
    ///
    /// # Errors
    ///
    /// What may be the server's fault. That this machine has no way to it is not: no port is left,
    /// say, or the loopback interface is down.
    fn beat(&self) -> io::Result<()> {
        let mut stream = match TcpStream::connect_timeout(&self.target, PATIENCE) {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(error),
            Err(_) => return Ok(()),
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        let url = &self.url;
        let request = format!("GET {url} HTTP/1.1\r\nHost: appinfo\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        stream.read_exact(&mut [0])
    }

    /// Asks for as long as the process lives.
    fn beat_on(&self, listener: impl AsFd) {
        let footprint = Footprint::open().ok();
        let threads = || footprint.as_ref().map_or(0, Footprint::threads);
        let (mut silent_since, mut panics) = (None, 0);
        let (mut is_sign, mut hurried_until) = (false, Instant::now());
        loop {
            if Instant::now() < hurried_until {
                sleep(if is_sign { HURRY } else { AFTERWARDS });
            } else {
                let _ = poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&AT_REST));
                sleep(BUSY);
            }
            let before = threads();
            let beat = self.beat();
            if self.alive.swap(false, Ordering::Relaxed) {
                silent_since = None;
            } else if let Err(error) = beat
                // From the first failure on, not from the last request: a process that was frozen
                // for a while (SIGSTOP, a suspended laptop) is not to blame for the pause.
                && silent_since.get_or_insert_with(Instant::now).elapsed() > GIVE_UP
            {
                let seconds = GIVE_UP.as_secs();
                let why = format!("no request came through for {seconds} seconds ({error})");
                return renewal::ask(why, renewal::LAST_ANSWERS);
            }
            // A new thread has served us, so all others were held: perhaps it has gone on to a
            // connection that waited, and there are more of them. Or it has gone on to one that
            // was reset, and ended there, and there is no thread left for those behind.
            let panics_before = mem::replace(&mut panics, panics::count());
            is_sign = threads() > before || panics != panics_before;
            if is_sign {
                hurried_until = Instant::now() + HURRIED;
            }
        }
    }
}

/// Starts the heartbeat in a thread of its own. At rest it waits for the next connection to `listener`.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn start(
    heartbeat: &'static Heartbeat,
    listener: impl AsFd + Send + 'static,
) -> Result<(), String> {
    thread::start(Some("heartbeat"), Box::new(|| heartbeat.beat_on(listener)))
}
