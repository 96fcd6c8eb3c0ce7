//! The supervisor and its server process: what a crash costs, and that a stop is never forgotten
//! over it.

use std::os::fd::OwnedFd;
use std::time::UNIX_EPOCH;

use crate::common::*;
use crate::outputs::terminal;

const SIGABRT: i32 = 6;

/// Kills the server with this signal, and waits for the next one to serve.
fn crash(appinfo: &Appinfo, number: i32) {
    let before = appinfo.server();
    signal(before, number);
    until("there is another server", || {
        appinfo.server() != before && try_get(appinfo.address, "/healthz").is_ok()
    });
}

/// Waits for the end of a program that has received a signal at that time: it must have drained for
/// this many seconds, and not for much longer.
fn ends_after_draining(appinfo: &mut Appinfo, start: Instant, seconds: u64) {
    await_draining(appinfo.address);
    let (status, took) = (appinfo.wait(), start.elapsed());
    assert_eq!(status.code(), Some(0), "{:?}", appinfo.stderr.all());
    assert!(took >= Duration::from_secs(seconds) && took < DEADLINE / 2, "{took:?}");
}

/// The supervisor logs that once a minute, and counts.
#[test]
fn a_server_that_crashes_is_restarted_as_it_was() {
    let labels = DownwardApi::with("app=\"a\"");
    let mut appinfo = Start::new()
        .args("--variant broken --access-log")
        .env("APPINFO_LABELS", labels.file())
        .env("MY_POD_NAME", "appinfo-0")
        .spawn();
    for restarts in 1..=3 {
        crash(&appinfo, SIGABRT);
        let response = appinfo.get("/v1/appinfo");
        assert_eq!((response.status, response.header("appinfo-pod")), (500, Some("appinfo-0")));
        assert_eq!(appinfo.restarts(), restarts);
    }
    assert!(appinfo.is_alive());
    let log = appinfo.stderr.all();
    assert_eq!(log.len(), 2, "{log:?}");
    let expected =
        "the server process was ended by SIGABRT: restarting it, restart 1 since the start";
    assert!(log[1].contains(expected), "{log:?}");
    let started = appinfo.get("/metrics").metric("process_start_time_seconds").expect("a time");
    let now = UNIX_EPOCH.elapsed().expect("a time").as_secs_f64();
    assert!(now - started < 60.0, "it is the server's");
}

/// Connections in the listening socket's queue wait for the next server; requests in progress are
/// lost.
#[test]
fn a_crash_loses_hardly_a_request() {
    let appinfo = Start::new().spawn();
    let crashes = 10;
    thread::scope(|scope| {
        let crashing = scope.spawn(|| (0..crashes).for_each(|_| crash(&appinfo, SIGKILL)));
        let mut lost = 0;
        while !crashing.is_finished() {
            lost += usize::from(exchange(appinfo.address, REQUEST).is_err());
        }
        assert!(lost <= crashes, "{lost} lost over {crashes} crashes");
    });
}

/// SIGTERM shortly before or after the server is killed.
#[test]
fn a_stop_survives_a_crash() {
    let pauses = (0..12).map(|pause| Duration::from_micros(pause * 2_000));
    let cases = pauses.flat_map(|pause| [(pause, true), (pause, false)]);
    each(12, cases, |(pause, crashes_first)| {
        let mut appinfo = Start::new().args("--drain 2").spawn();
        let crash = (appinfo.server(), SIGKILL);
        let stop = (appinfo.pid(), SIGTERM);
        let [first, second] = if crashes_first { [crash, stop] } else { [stop, crash] };
        let start = Instant::now();
        signal(first.0, first.1);
        thread::sleep(pause);
        signal(second.0, second.1);
        ends_after_draining(&mut appinfo, start, 2);
    });
}

/// For the time that is left, however often it crashes.
#[test]
fn a_server_that_crashes_while_draining_drains_on() {
    let mut appinfo = Start::new().args("--drain 3").spawn();
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    for _ in 0..3 {
        await_draining(appinfo.address);
        crash(&appinfo, SIGKILL);
    }
    ends_after_draining(&mut appinfo, start, 3);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// `pkill appinfo` signals both processes: that is one stop, not two.
#[test]
fn a_signal_to_both_processes_is_one_stop() {
    let mut appinfo = Start::new().args("--drain 1").spawn();
    let start = Instant::now();
    for pid in [appinfo.server(), appinfo.pid()] {
        signal(pid, SIGTERM);
    }
    ends_after_draining(&mut appinfo, start, 1);
    let log = appinfo.stderr.all();
    assert!(!log.iter().any(|line| line.contains("restarting")), "{log:?}");
}

/// The terminal signals its whole foreground process group: both processes.
#[test]
fn ctrl_c_in_a_terminal_stops_it_gracefully() {
    needs!("setsid");
    let (mut user, terminal) = terminal();
    let duplicate = || Stdio::from(terminal.try_clone().expect("a duplicate"));
    let start = Start::of(&["setsid", "--ctty", &program()[0]]).args("--delay 1000");
    let mut child = start.stdin(duplicate()).to(duplicate(), duplicate());
    let mut child = child.spawn().expect("it starts");
    let mut lines = BufReader::new(&user).lines();
    let address = lines.find_map(|line| listening_address(&line.ok()?)).expect("a start line");
    let mut waiting = send(address, REQUEST);
    until("it has received the request", || try_get(address, "/healthz").is_ok());
    user.write_all(b"\x03").expect("Ctrl+C is pressed");
    // The supervisor passes the signal on as well: to the server that would be a second one.
    assert_eq!(read_response(&mut waiting, false).expect("a response").status, 200);
    let status = eventually("it ends", || child.try_wait().expect("it can be waited for"));
    assert_eq!(status.code(), Some(0));
}

/// In the first moments of a server.
#[test]
fn a_signal_at_the_very_start_is_a_stop() {
    each(8, (0..40).map(|step| Duration::from_micros(step * 100)), |pause| {
        let mut appinfo = Start::new().args("--drain 0").spawn();
        thread::sleep(pause);
        appinfo.signal(SIGTERM);
        assert_eq!(appinfo.wait().code(), Some(0), "{pause:?}: {:?}", appinfo.stderr.all());
    });
}

/// The kernel gives PID 1 no signal that it does not take (pid_namespaces(7)), and makes it the
/// parent of processes that have lost theirs.
#[test]
fn as_pid_1_it_stops_and_reaps_adopted_processes() {
    needs!("unshare");
    needs!(root, "to make a process namespace");
    // The inner shell ends before its child, which PID 1 adopts.
    let script = "((sleep 1; exit 3) &); exec \"$0\" \"$@\"";
    let unshare = Start::of(&["unshare"]).args("--pid --fork --kill-child --mount-proc sh -c");
    let mut appinfo = unshare.arg(script).arg(&program()[0]).args("--drain 1").spawn();
    let supervisor = children(appinfo.pid())[0];
    until("there are the orphan and the server", || children(supervisor).len() == 2);
    until("the orphan is reaped", || children(supervisor).len() == 1);
    signal(children(supervisor)[0], SIGKILL);
    until("it serves again", || appinfo.restarts() == 1);
    let start = Instant::now();
    signal(supervisor, SIGTERM);
    ends_after_draining(&mut appinfo, start, 1);
}

/// A process with the variable in its environment, but another parent, does not take its standard
/// input for the listening socket.
#[test]
fn the_socket_of_another_parent_is_left_alone() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("it has an address");
    for variable in ["1 0 -", "nonsense"] {
        let socket = OwnedFd::from(other.try_clone().expect("a duplicate"));
        let start = Start::new().stdin(socket.into()).env("APPINFO_SUPERVISOR", variable);
        let appinfo = start.spawn();
        assert_ne!(appinfo.address, address);
        assert_eq!(appinfo.get("/readyz").status, 200);
        let _waiting = connect(address).expect("it listens");
        other.accept().expect("no other process accepts");
    }
}

/// SIGKILL ends the supervisor alone, and the kernel then its server.
#[test]
fn a_second_signal_or_sigkill_ends_both_processes_at_once() {
    for (second, status) in [(SIGTERM, Some(143)), (SIGINT, Some(130)), (SIGKILL, None)] {
        let mut appinfo = Start::new().args("--drain 3600").spawn();
        let server = appinfo.process();
        appinfo.signal(SIGTERM);
        await_draining(appinfo.address);
        appinfo.signal(second);
        assert_eq!(appinfo.wait().code(), status, "after signal {second}");
        until("the server is gone", || !server.is_alive());
    }
}
