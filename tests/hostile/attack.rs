//! What the attacks share: one at a time, a client that means well beside each, and what the program
//! holds before and after.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError::Timeout, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::common::{self, Appinfo, DEADLINE, Start};

/// The most that anybody else may have to wait during an attack. A time-out that anything waits
/// for is longer: the cut of an idle connection is at 10 seconds.
pub const PROMPTLY: Duration = Duration::from_secs(8);

/// Only one attack at a time, else they would measure each other. What comes after one, such as
/// waiting for time-outs, may go on beside the next.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The static release binary, to be started in a session of its own: the kernel shares the processors
/// among sessions (sched(7), the autogroup feature), as it does among pods. However busy all else is,
/// it has a share.
pub fn release() -> Start {
    Start::of(&[Path::new("setsid"), common::release_binary()])
}

/// The same, started by `sh` after these commands, which this program runs, if any.
pub fn release_after(runner: &[&str], commands: &str) -> Start {
    let script = format!("{commands} && exec {} \"$@\"", common::release_binary().display());
    Start::of(&[&["setsid"], runner, &["sh", "-c", &script, "sh"]].concat())
}

/// A connection; on this machine from one of many loopback addresses, so that no ports run out.
pub fn connect_from(number: u32, address: SocketAddr, patience: Duration) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    if address.ip().is_loopback() {
        let from = [127, 0, 1, 1 + (number % 200) as u8];
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("a loopback address");
    }
    socket.set_write_timeout(Some(patience)).expect("a time-out");
    socket.set_read_timeout(Some(patience)).expect("a time-out");
    socket.connect_timeout(&address.into(), DEADLINE).ok()?;
    Some(socket.into())
}

/// Lets this process open as many files as it may; whether that is `enough`.
pub fn may_open(enough: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit can be raised");
    let may = limit.maximum.is_none_or(|maximum| maximum >= enough);
    if !may {
        common::skip(&format!("needs {enough} open files, which this user may not have"));
    }
    may
}

/// A client that means well: one request after the other, each on a new connection.
pub struct Bystander {
    stop: Sender<()>,
    thread: JoinHandle<Served>,
}

/// What became of a bystander's requests.
#[derive(Debug, Default)]
pub struct Served {
    pub requests: u32,
    pub lost: u32,
    pub longest: Duration,
}

impl Bystander {
    /// A client of the program at that address.
    pub fn of(address: SocketAddr) -> Bystander {
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut served = Served::default();
            while stopped.recv_timeout(Duration::from_millis(5)) == Err(Timeout) {
                let start = Instant::now();
                let response = common::try_get(address, "/v1/appinfo");
                // That attackers have left it no port to ask from is no fault of the program's.
                let has_no_port = |error: &io::Error| error.kind() == ErrorKind::AddrNotAvailable;
                if response.as_ref().is_err_and(has_no_port) {
                    continue;
                }
                served.requests += 1;
                served.lost += u32::from(!response.is_ok_and(|response| response.status == 200));
                served.longest = served.longest.max(start.elapsed());
            }
            served
        });
        Bystander { stop, thread }
    }

    /// Stops it, and returns how it was served.
    pub fn was_served(self) -> Served {
        drop(self.stop);
        self.thread.join().expect("the bystander does not panic")
    }
}

/// The static release binary, the only one under attack now, and a client that means well beside.
pub struct Attacked {
    pub appinfo: Appinfo,
    pub before: Holdings,
    bystander: Bystander,
    turn: MutexGuard<'static, ()>,
}

impl Attacked {
    pub fn new() -> Attacked {
        let turn = alone();
        let appinfo = release().spawn();
        let (bystander, before) = (Bystander::of(appinfo.address), Holdings::of(&appinfo));
        Attacked { appinfo, before, bystander, turn }
    }

    /// Ends the attack. The bystander has been answered, promptly, each time; the server was not restarted;
    /// all is given back, but for so many `leaked` requests and so much memory in kB.
    pub fn was_unharmed(self, leaked: u64, memory: u64) -> Appinfo {
        let Attacked { mut appinfo, before, bystander, turn } = self;
        let served = bystander.was_served();
        println!("{served:?}");
        assert!(served.requests > 0 && served.lost == 0, "{served:?}");
        assert!(served.longest < PROMPTLY, "{served:?}");
        drop(turn);
        before.come_back(&appinfo, leaked, memory);
        is_unharmed(&mut appinfo);
        appinfo
    }
}

/// What the server holds: threads, open files where this user may see them, resident memory in kB.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    pub threads: u64,
    pub files: Option<u64>,
    pub memory: u64,
}

impl Holdings {
    pub fn of(appinfo: &Appinfo) -> Holdings {
        let memory = appinfo.process().status().expect("/proc tells").vmrss;
        let (threads, files) = (appinfo.threads(), appinfo.open_files());
        Holdings { threads, files, memory: memory.expect("it has memory") }
    }

    /// Waits until all of it has come back to these, but for what `leaked` requests hold, a thread
    /// and two files each, and for `memory` kB.
    ///
    /// Of the threads that the library has started, some stay for a while: each ends when it has been idle
    /// for five seconds, and with every probe it is another's turn.
    pub fn come_back(self, appinfo: &Appinfo, leaked: u64, memory: u64) {
        let start = Instant::now();
        let now = loop {
            let now = Holdings::of(appinfo);
            let threads = now.threads <= self.threads + leaked + 60;
            let files = now.files <= self.files.map(|files| files + 2 * leaked + 6);
            if threads && files && now.memory <= self.memory + memory {
                break now;
            }
            assert!(start.elapsed() < DEADLINE, "{self:?}, but for {leaked} requests: {now:?}");
            thread::sleep(Duration::from_millis(10));
        };
        println!("before: {self:?}, after: {now:?}");
    }
}

/// The same server lives, answers, and has said no more than its start line and the warning that there
/// is no labels file.
pub fn is_unharmed(appinfo: &mut Appinfo) {
    assert!(appinfo.is_alive(), "{:?}", appinfo.stderr.all());
    assert_eq!(common::get(appinfo.address, "/healthz").status, 200);
    let log = appinfo.stderr.all();
    assert!(appinfo.restarts() == 0 && log.len() <= 2, "{log:#?}");
}
