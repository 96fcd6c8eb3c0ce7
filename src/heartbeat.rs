//! The program's requests to itself, over real connections, several times a second.
//!
//! tiny_http can stop accepting without a word, and it can leave a new connection to wait for a
//! thread that is held by another. A request of our own proves that the way through all of it is
//! open, and on its way frees one connection that waits so: the thread which serves us takes the
//! next from the queue. When nothing comes back for a while, the process ends, so that the kubelet
//! or Docker starts it anew.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::drain::Draining;
use crate::guard;
use crate::log;

/// How often to ask as a rule.
const AT_REST: Duration = Duration::from_millis(250);

/// How often to ask while connections may wait for a thread.
const HURRY: Duration = Duration::from_millis(1);

/// How long to wait for one answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long requests may go unanswered before the process ends.
const GIVE_UP: Duration = Duration::from_secs(5);

/// What the loop and the asking thread know of each other.
pub struct Heartbeat {
    /// Where the program reaches itself.
    target: SocketAddr,
    /// What it asks for: `/healthz`, with a number that nobody else knows. The port that a request
    /// comes from would not do: the next to get it may be a client.
    url: String,
    /// Whether one of them has come to the loop since this was last asked.
    arrived: AtomicBool,
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
        Heartbeat { target, url, arrived: AtomicBool::new(false) }
    }

    /// Whether this request is one of the program's own, to be kept out of every log and count.
    pub fn has_sent(&self, request: &Request) -> bool {
        request.url() == self.url
    }

    /// Says that one of them has come to the loop. One that comes late, on a machine that is slow
    /// or busy, proves as well that the way is open.
    pub fn has_arrived(&self) {
        self.arrived.store(true, Ordering::Relaxed);
    }

    /// Sends one request, and waits for the answer.
    fn beat(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.target, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let url = &self.url;
        let request = format!("GET {url} HTTP/1.1\r\nHost: appinfo\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        // Whatever it says: the loop itself tells that the request has arrived.
        stream.read_exact(&mut [0])
    }

    /// Asks until the program drains, or ends the process.
    fn beat_on(&self, draining: &Draining) {
        let mut silent_since = None;
        let mut panics = 0;
        while !draining.is_over() {
            let before = threads();
            match self.beat() {
                _ if self.arrived.swap(false, Ordering::Relaxed) => silent_since = None,
                // From the first failure on, not from the last answer: a process that was frozen
                // for a while (SIGSTOP, a suspended laptop) is not to blame for the pause.
                Err(error)
                    if silent_since.get_or_insert_with(Instant::now).elapsed() > GIVE_UP
                        && !draining.is_over() =>
                {
                    let seconds = GIVE_UP.as_secs();
                    log::line(format_args!(
                        "no answer to its own requests for {seconds} seconds ({error}): ending, \
                         to be restarted"
                    ));
                    process::exit(1);
                }
                _ => {}
            }
            // A new thread has served us, so all others were held: perhaps it has gone on to a
            // connection that waited, and there are more of them. Or it has gone on to one that
            // was reset, and ended there, and there is no thread left for those behind.
            let panics_before = mem::replace(&mut panics, guard::library_panics());
            let hurry = threads() > before || panics != panics_before;
            thread::sleep(if hurry { HURRY } else { AT_REST });
        }
    }
}

/// How many threads the process has, and two more: each is a folder in this one (proc(5)).
fn threads() -> u64 {
    fs::metadata("/proc/self/task").map_or(0, |tasks| tasks.nlink())
}

/// Starts the heartbeat in a thread of its own.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn start(heartbeat: &Arc<Heartbeat>, draining: &Arc<Draining>) -> Result<(), String> {
    let (heartbeat, draining) = (heartbeat.clone(), draining.clone());
    thread::Builder::new()
        .name("heartbeat".to_owned())
        .spawn(move || heartbeat.beat_on(&draining))
        .map_err(|error| format!("cannot start the heartbeat: {error}"))?;
    Ok(())
}
