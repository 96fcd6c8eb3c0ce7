//! How the program begins anew, and that a stop is never forgotten over it.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    self, Appinfo, DEADLINE, DownwardApi, Folder, REQUEST, SIGTERM, SIGUSR2, Start, connect, have,
    run, signal, until,
};

/// Told by a signal, it begins anew, and is there again.
fn renew(appinfo: &Appinfo) {
    let before = former_self(appinfo);
    appinfo.signal(SIGUSR2);
    until("it has begun anew", || {
        let now = former_self(appinfo);
        now.is_some() && now != before
    });
    assert_eq!(appinfo.get("/healthz").status, 200);
}

/// What the process was told by its former self, unless it is just being replaced.
fn former_self(appinfo: &Appinfo) -> Option<OsString> {
    appinfo.process().environ().ok()?.remove(OsStr::new("APPINFO_FORMER_SELF"))
}

#[test]
fn it_stays_the_same_process_as_it_was_told_to_be_and_says_so_once() {
    let labels = DownwardApi::with("app=\"a\"");
    let mut appinfo = Start::new()
        .args("--variant broken --access-log")
        .labels(labels.file())
        .env("MY_POD_NAME", "appinfo-0")
        .spawn();
    appinfo.has_settled();
    let files = appinfo.open_files();
    for _ in 0..20 {
        renew(&appinfo);
        let answer = appinfo.get("/v1/appinfo");
        assert_eq!((answer.status, answer.header("appinfo-pod")), (500, Some("appinfo-0")));
    }
    assert!(appinfo.is_alive());
    let told = former_self(&appinfo).expect("it has one").into_string().expect("it is text");
    assert_eq!(told.split(' ').nth(1), Some("19"), "it began anew more often than told: {told}");
    assert!(appinfo.open_files() <= files + 6, "{} files, {files} before", appinfo.open_files());
    let log = appinfo.stderr.all();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[1].contains("began anew, number 1 since its start: told so by SIGUSR2"), "{log:?}");
    // A connection that waited in the queue meanwhile is as good as any other.
    let metrics = appinfo.get("/metrics");
    assert!(metrics.text().contains("path=\"/v1/appinfo\",code=\"500\"} 1\n"), "{metrics:?}");
}

#[test]
fn hardly_a_request_is_lost_while_it_begins_anew() {
    let appinfo = Start::new().spawn();
    let (address, renewals) = (appinfo.address, 20);
    let asking = thread::spawn(move || {
        (0..4_000).filter(|_| common::exchange(address, REQUEST).is_err()).count()
    });
    for _ in 0..renewals {
        renew(&appinfo);
    }
    let lost = asking.join().expect("it asks");
    assert!(lost <= renewals, "{lost} of 4,000 lost over {renewals} renewals");
}

#[test]
fn a_stop_before_while_or_after_it_begins_anew_is_a_stop() {
    each_way_round((0..24_000).step_by(500), || {
        let appinfo = Start::new().args("--drain 1").spawn();
        (appinfo.pid(), appinfo)
    });
}

/// The kernel gives PID 1 no signal that it does not take (pid_namespaces(7)).
#[test]
fn the_same_holds_for_pid_1() {
    if !have(&["unshare", "pgrep"]) {
        return;
    }
    if !rustix::process::getuid().is_root() {
        return common::skip("needs root, to make a process namespace");
    }
    each_way_round((0..12_000).step_by(1_000), || {
        let program = common::program();
        let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let command: Vec<_> = unshare.into_iter().chain(program.iter().map(|s| &**s)).collect();
        let appinfo = Start::of(&command).args("--drain 1").spawn();
        let pid = run(Command::new("pgrep").args(["--parent", &appinfo.pid().to_string()]));
        (pid.trim().parse().expect("a process number"), appinfo)
    });
}

/// SIGTERM so many microseconds before and after SIGUSR2: it is not ready any more, serves on, and
/// ends well in time.
fn each_way_round(
    pauses: impl Iterator<Item = u64> + Send,
    start: impl Fn() -> (i32, Appinfo) + Sync,
) {
    let cases = pauses
        .map(Duration::from_micros)
        .flat_map(|pause| [(SIGUSR2, pause, SIGTERM), (SIGTERM, pause, SIGUSR2)]);
    common::each(24, cases, |(first, pause, second)| {
        let (pid, mut appinfo) = start();
        let asked = Instant::now();
        signal(pid, first);
        thread::sleep(pause);
        signal(pid, second);
        common::await_draining(appinfo.address);
        let (status, took) = (appinfo.wait(), asked.elapsed());
        let during = format!("{first}, then {second} after {pause:?}: {took:?}");
        assert_eq!(status.code(), Some(0), "{during}, {:?}", appinfo.stderr.all());
        assert!(took >= Duration::from_secs(1), "{during}: it did not drain");
        assert!(took < DEADLINE / 2, "{during}: it went on for long");
    });
}

/// The kernel starts no thread of a process that is just being replaced (`EAGAIN`, for `in_exec` in its
/// kernel/fork.c): a matter of microseconds, which is played slowly here.
#[test]
fn that_it_can_start_no_thread_while_it_is_replaced_does_not_end_it() {
    if !have(&["strace"]) {
        return;
    }
    let folder = Folder::new();
    let calls = folder.path().join("calls");
    // Each thread's third: the main thread's is the first that it starts once it serves. With musl, which
    // starts one at a time, it has to wait until the library's has failed.
    let strace = "strace -D --follow-forks --detach-on=execve --trace=clone,clone3,execve \
        --inject=clone,clone3:error=EAGAIN:delay_enter=4s:when=3 --inject=execve:delay_enter=10s";
    let mut command: Vec<_> = strace.split_whitespace().map(str::to_owned).collect();
    command.push(format!("--output={}", calls.display()));
    command.extend(common::program());
    let mut appinfo = Start::of(&command).spawn();
    renew(&appinfo);
    assert!(appinfo.is_alive());
    let main = appinfo.pid().to_string();
    until("strace has told that the main thread could not start one", || {
        let calls = std::fs::read_to_string(&calls).expect("strace writes it");
        calls.lines().any(|call| call.starts_with(&main) && call.contains("EAGAIN"))
    });
}

#[test]
fn a_strangers_socket_is_left_alone() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stranger.local_addr().expect("it has an address");
    for former_self in ["", "1 1 1 - a lie", "0 1 1 5000 a lie", "nonsense"] {
        let socket: OwnedFd = stranger.try_clone().expect("a duplicate").into();
        let appinfo =
            Start::new().stdin(socket.into()).env("APPINFO_FORMER_SELF", former_self).spawn();
        assert_ne!(appinfo.address, address);
        assert_eq!(appinfo.get("/readyz").status, 200);
        let _waiting = connect(address).expect("the stranger listens");
        stranger.accept().expect("and nobody else accepts");
    }
}
