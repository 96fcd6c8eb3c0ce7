//! What the attacks share: each is alone, an ordinary client is served during it, and the server holds
//! no more after it than before.

use std::io::ErrorKind;
use std::sync::mpsc::RecvTimeoutError::Timeout;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, SockRef, Socket, Type};

use crate::common::*;

/// The longest that other clients may wait during an attack: less than the timeout of an idle
/// connection, which is 10 seconds.
pub const PROMPTLY: Duration = Duration::from_secs(8);

/// One attack at a time, since they would measure each other. What follows one, such as waiting for
/// timeouts, may overlap with the next.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The static release binary, in a session of its own: the kernel shares the processors among sessions
/// (sched(7), the autogroup feature) as it does among pods.
pub fn release() -> Start {
    Start::of(&[Path::new("setsid"), release_binary()])
}

/// The same, started after these commands by `sh`, which `runner` starts, if any.
pub fn release_after(runner: &[&str], commands: &str) -> Start {
    let script = format!("{commands} && exec {} \"$@\"", release_binary().display());
    Start::of(&[&["setsid"], runner, &["sh", "-c", &script, "sh"]].concat())
}

/// Connects, on this machine from one of many loopback addresses, so that no ports run out.
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

/// Resets a connection.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// Raises this process's limit on open files; whether it is `enough` now.
pub fn may_open(enough: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit can be raised");
    let may = limit.maximum.is_none_or(|maximum| maximum >= enough);
    if !may {
        skip(&format!("needs {enough} open files, which this user may not have"));
    }
    may
}

/// An ordinary client: one request after the other, each on a new connection.
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
            // At least one request, however short the attack is.
            while served.requests == 0
                || stopped.recv_timeout(Duration::from_millis(5)) == Err(Timeout)
            {
                let start = Instant::now();
                let response = try_get(address, "/v1/appinfo");
                // The program cannot help it if the attackers have left no port.
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

/// The static release binary under attack, and an ordinary client.
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

    /// Ends the attack. The bystander got each response promptly, the server was not restarted, and it
    /// has freed everything but what `leaked` requests hold and `memory` kB.
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

    /// Waits until the server holds no more than this, but for `leaked` requests, each of which takes a
    /// thread and two files, and `memory` kB. Some of the library's threads stay for a while: each ends
    /// when it has been idle for five seconds, and each probe takes another one.
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

/// The first server lives, responds, and has logged no more than its start line and the warning that
/// there is no labels file.
pub fn is_unharmed(appinfo: &mut Appinfo) {
    assert!(appinfo.is_alive(), "{:?}", appinfo.stderr.all());
    assert_eq!(get(appinfo.address, "/healthz").status, 200);
    let log = appinfo.stderr.all();
    assert!(appinfo.restarts() == 0 && log.len() <= 2, "{log:#?}");
}
