//! The server's requests to itself.
//!
//! tiny_http can leave a new connection to wait for a thread that another connection holds. A further
//! request frees it: the thread that serves it takes the next connection from the queue. The same
//! requests keep the library's `accept` from timing out, which would end it: the listening socket has the
//! read timeout that its connections are to inherit.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tiny_http::Request;

use crate::client;
use crate::guard::panics::RESETS;
use crate::threads;

/// How long to wait for a connection before the next probe: a fifth of the time after which `accept`
/// fails.
const INTERVAL: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// How long to wait before a probe. While requests arrive there is one after the other: `poll` misses a
/// connection that tiny_http accepts at once.
const DELAY: Duration = Duration::from_millis(50);

/// How soon to probe again while connections are found waiting: each probe frees one.
const DELAY_AGAIN: Duration = Duration::from_millis(1);

/// How long to wait for a response.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How the server reaches itself, and how it knows its own requests.
pub struct SelfProbe {
    address: SocketAddr,
    /// A target with a number that nobody else knows. The port that a request comes from would not do:
    /// the next to use it may be a client.
    target: String,
    /// Whether others have sent a request since the last probe.
    is_busy: AtomicBool,
}

impl SelfProbe {
    /// Starts to probe the server that listens there, in a thread of its own. Fails when the process may
    /// not open another file or start another thread.
    pub fn start(listener: &TcpListener) -> io::Result<&'static SelfProbe> {
        let listener = listener.try_clone()?;
        let address = client::reachable(listener.local_addr()?);
        let target = format!("/healthz?{:x}", RandomState::new().hash_one(address));
        let probe = SelfProbe { address, target, is_busy: AtomicBool::new(false) };
        let probe: &_ = Box::leak(Box::new(probe));
        threads::start("self-probe", Box::new(move || probe.run(&listener)))?;
        Ok(probe)
    }

    /// Records a request, and returns whether it is one of the server's own, to be kept out of every log
    /// and count.
    pub fn recognize(&self, request: &Request) -> bool {
        let is_own = request.url() == self.target;
        if !is_own {
            self.is_busy.store(true, Relaxed);
        }
        is_own
    }

    fn run(&self, listener: &TcpListener) {
        // At first for the connections that waited while the process started.
        loop {
            sleep(DELAY);
            while self.frees_a_connection() {
                sleep(DELAY_AGAIN);
            }
            if !self.is_busy.swap(false, Relaxed) {
                let _ = poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&INTERVAL));
            }
        }
    }

    /// Probes once, and returns whether more connections may wait. They may if a new thread has served the
    /// probe: all others were held. They may if a thread has ended because of a reset: that would have served
    /// the next one.
    fn frees_a_connection(&self) -> bool {
        let (threads, resets) = (count_threads(), RESETS.load(Relaxed));
        let _ = client::get(self.address, &self.target, TIMEOUT);
        count_threads() > threads || RESETS.load(Relaxed) != resets
    }
}

/// The number of threads of the process, plus 2 (the links of a directory); 0 where there is no `/proc`.
fn count_threads() -> u64 {
    fs::metadata("/proc/self/task").map_or(0, |folder| folder.nlink())
}
