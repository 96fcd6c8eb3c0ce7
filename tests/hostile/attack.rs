//! What the attacks share: each is alone, ordinary clients are served during it, and the server holds
//! no more after it than before.

use std::iter::zip;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::SockRef;

use crate::common::*;

/// The longest that other clients may wait during an attack: less than the timeout of an idle
/// connection, which is 10 seconds.
pub const PROMPTLY: Duration = Duration::from_secs(8);

/// One attack at a time, since they would measure each other, with as many open files as this user may
/// have. What follows one, such as waiting for timeouts, may overlap with the next.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit can be raised");
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The static release binary, in a session of its own: the kernel shares the processors among sessions
/// (sched(7), the autogroup feature) as it does among pods.
pub fn release() -> Start {
    release_after("true")
}

/// The same, started after these commands of `sh`.
pub fn release_after(commands: &str) -> Start {
    let script = format!("{commands} && exec {} \"$@\"", release_binary().display());
    Start::of(&["setsid", "sh", "-c", &script, "sh"])
}

/// Resets a connection.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

/// What became of the requests of ordinary clients.
#[derive(Debug, Default)]
pub struct Served {
    pub requests: u32,
    pub lost: u32,
    pub longest: Duration,
}

/// Attacks, and returns what the attack does, and what became of two ordinary clients meanwhile: each
/// sends one request after the other, on new connections.
pub fn serve_during<T: Send>(
    address: SocketAddr,
    attack: impl FnOnce() -> T + Send,
) -> (T, Served) {
    let served = Mutex::new(Served::default());
    let attacked = thread::scope(|scope| {
        let attack = scope.spawn(attack);
        each(2, 0..2, |_| {
            // At least one request, however short the attack is.
            loop {
                let start = Instant::now();
                let response = try_get(address, "/v1/appinfo");
                let took = start.elapsed();
                let mut served = served.lock().expect("no client panics");
                served.requests += 1;
                served.lost += u32::from(!response.is_ok_and(|response| response.status == 200));
                served.longest = served.longest.max(took);
                drop(served);
                if attack.is_finished() {
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        attack.join().expect("the attack does not panic")
    });
    (attacked, served.into_inner().expect("no client panics"))
}

/// Attacks the static release binary. Ordinary clients get each response promptly, the server is not
/// restarted, and afterwards it has freed everything but what `leaked` requests hold, a thread and two
/// files each, and `memory` kB. What the attack returns is kept until then.
pub fn harms_nobody<T: Send>(leaked: u64, memory: u64, attack: impl FnOnce(&Appinfo) -> T + Send) {
    let turn = alone();
    let mut appinfo = release().spawn();
    is_unharmed(&mut appinfo); // So all of its threads have started.
    let before = holdings(&appinfo);
    let (_held, served) = serve_during(appinfo.address, || attack(&appinfo));
    println!("{served:?}");
    assert!(served.lost == 0 && served.longest < PROMPTLY, "{served:?}");
    drop(turn);
    // Some of the library's threads stay for a while: each ends when it has been idle for five seconds,
    // and each probe takes another one.
    let [threads, files, resident] = before;
    let most = [threads + leaked + 60, files + 2 * leaked + 6, resident + memory];
    let start = Instant::now();
    while let now = holdings(&appinfo)
        && zip(now, most).any(|(now, most)| now > most)
    {
        assert!(start.elapsed() < DEADLINE, "before: {before:?}, at most: {most:?}, now: {now:?}");
        thread::sleep(Duration::from_millis(10));
    }
    println!("before: {before:?}, after: {:?}", holdings(&appinfo));
    is_unharmed(&mut appinfo);
}

/// What the server holds: threads, open files (0 where this user may not see them), kB of memory.
fn holdings(appinfo: &Appinfo) -> [u64; 3] {
    let memory = appinfo.process().status().expect("/proc tells").vmrss;
    [appinfo.threads(), appinfo.open_files().unwrap_or(0), memory.expect("it has memory")]
}

/// The first server lives, responds, and has logged no more than its start line and the warning that
/// there is no labels file.
pub fn is_unharmed(appinfo: &mut Appinfo) {
    assert!(appinfo.is_alive(), "{:?}", appinfo.stderr.all());
    assert_eq!(appinfo.get("/healthz").status, 200);
    let log = appinfo.stderr.all();
    assert!(appinfo.restarts() == 0 && log.len() <= 2, "{log:#?}");
}
