//! The supervisor and its server process: what a crash costs, and that a stop is never forgotten over it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use procfs::process::Process;
use rustix::process::getuid;

use crate::common::{
    self, Appinfo, DEADLINE, DownwardApi, Lines, REQUEST, SIGINT, SIGKILL, SIGTERM, Start, connect,
    eventually, have, listening_address, run, send, signal, try_get, until,
};
use crate::outputs::terminal;

/// Kills the server with this signal, and waits for the next one to serve.
fn crash(appinfo: &Appinfo, number: i32) {
    let before = appinfo.server();
    signal(before, number);
    until("there is another server", || {
        appinfo.server() != before && try_get(appinfo.address, "/healthz").is_ok()
    });
}

/// Whether a process lives, and is no zombie.
fn lives(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.state != 'Z')
}

/// The supervisor says so once a minute, and counts.
#[test]
fn a_server_that_crashes_is_restarted_as_it_was() {
    let labels = DownwardApi::with("app=\"a\"");
    let mut appinfo = Start::new()
        .args("--variant broken --access-log")
        .labels(labels.file())
        .env("MY_POD_NAME", "appinfo-0")
        .spawn();
    let supervisor = appinfo.pid();
    for restarts in 1..=10 {
        crash(&appinfo, [SIGKILL, 6, 4][restarts as usize % 3]);
        let response = appinfo.get("/v1/appinfo");
        assert_eq!((response.status, response.header("appinfo-pod")), (500, Some("appinfo-0")));
        assert_eq!(appinfo.restarts(), restarts);
    }
    assert!(appinfo.is_alive() && lives(supervisor));
    let log = appinfo.stderr.all();
    assert_eq!(log.len(), 2, "{log:?}");
    let expected =
        "the server process was ended by SIGABRT: restarting it, restart 1 since the start";
    assert!(log[1].contains(expected), "{log:?}");
    let started = appinfo.get("/metrics").metric("process_start_time_seconds").expect("a time");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs_f64();
    assert!(now - started < 60.0, "it is the server's");
}

/// Connections in the listening socket's queue wait for the next server; requests in progress are lost.
#[test]
fn a_crash_loses_hardly_a_request() {
    let appinfo = Start::new().spawn();
    let (address, crashes) = (appinfo.address, 10);
    let is_over = AtomicBool::new(false);
    let lost = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut lost = 0;
            while !is_over.load(Relaxed) {
                lost += usize::from(common::exchange(address, REQUEST).is_err());
            }
            lost
        });
        for _ in 0..crashes {
            crash(&appinfo, SIGKILL);
        }
        is_over.store(true, Relaxed);
        asking.join().expect("it asks")
    });
    assert!(lost <= crashes, "{lost} lost over {crashes} crashes");
}

/// SIGTERM shortly before or after the server is killed: the program drains, and ends in time.
#[test]
fn a_stop_survives_a_crash() {
    let pauses = (0..12).map(|pause| Duration::from_micros(pause * 2_000));
    common::each(
        12,
        pauses.flat_map(|pause| [(pause, true), (pause, false)]),
        |(pause, crashes_first)| {
            let mut appinfo = Start::new().args("--drain 2").spawn();
            let server = appinfo.server();
            if crashes_first {
                signal(server, SIGKILL);
                thread::sleep(pause);
            }
            let start = Instant::now();
            appinfo.signal(SIGTERM);
            if !crashes_first {
                thread::sleep(pause);
                signal(server, SIGKILL);
            }
            common::await_draining(appinfo.address);
            let (status, took) = (appinfo.wait(), start.elapsed());
            let during = format!("crash first: {crashes_first}, {pause:?} between: {took:?}");
            assert_eq!(status.code(), Some(0), "{during}, {:?}", appinfo.stderr.all());
            assert!(took >= Duration::from_secs(2), "{during}: it did not drain");
            assert!(took < DEADLINE / 2, "{during}: it went on for long");
        },
    );
}

/// For the time that is left, however often it crashes.
#[test]
fn a_server_that_crashes_while_draining_drains_on() {
    let mut appinfo = Start::new().args("--drain 3").spawn();
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    for _ in 0..3 {
        common::await_draining(appinfo.address);
        crash(&appinfo, SIGKILL);
    }
    assert_eq!(appinfo.get("/readyz").status, 503);
    assert_eq!(appinfo.wait().code(), Some(0), "{:?}", appinfo.stderr.all());
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_server_dies_with_its_supervisor() {
    let appinfo = Start::new().spawn();
    let server = appinfo.server();
    until("it serves", || try_get(appinfo.address, "/healthz").is_ok());
    signal(appinfo.pid(), SIGKILL);
    until("the server is gone", || !lives(server));
    until("the socket is gone", || connect(appinfo.address).is_err());
}

/// `pkill appinfo` signals both processes: that is one stop, not two.
#[test]
fn a_signal_to_both_processes_is_one_stop() {
    let mut appinfo = Start::new().args("--drain 1").spawn();
    let start = Instant::now();
    for pid in [appinfo.server(), appinfo.pid()] {
        signal(pid, SIGTERM);
    }
    common::await_draining(appinfo.address);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_secs(1));
    let log = appinfo.stderr.all();
    assert!(!log.iter().any(|line| line.contains("restarting")), "{log:?}");
}

/// The terminal signals its whole foreground process group: both processes.
#[test]
fn ctrl_c_in_a_terminal_stops_it_gracefully() {
    if !have(&["setsid"]) {
        return;
    }
    let (terminal, end) = terminal();
    let duplicate = || Stdio::from(end.try_clone().expect("a duplicate"));
    let program = common::program();
    let setsid: Vec<&str> =
        ["setsid", "--ctty"].into_iter().chain(program.iter().map(|word| &**word)).collect();
    let start = Start::of(&setsid).args("--delay 1000").stdin(duplicate());
    let mut child = start.to(duplicate(), duplicate()).spawn().expect("it starts");
    let mut lines =
        BufReader::new(fs::File::from(terminal.try_clone().expect("a duplicate"))).lines();
    let address = lines.find_map(|line| listening_address(&line.ok()?)).expect("a start line");
    let mut waiting = send(address, REQUEST);
    until("it has received the request", || try_get(address, "/healthz").is_ok());
    rustix::io::write(&terminal, b"\x03").expect("Ctrl+C is pressed");
    // The supervisor passes the signal on as well: to the server that would be a second one.
    assert_eq!(common::read_response(&mut waiting, false).expect("a response").status, 200);
    let status = eventually("it ends", || child.try_wait().expect("it can be waited for"));
    assert_eq!(status.code(), Some(0));
}

/// In the first moments of a server, and between two servers.
#[test]
fn a_signal_at_the_very_start_is_a_stop() {
    common::each(8, (0..40).map(|step| Duration::from_micros(step * 100)), |pause| {
        let mut appinfo = Start::new().args("--drain 0").spawn();
        thread::sleep(pause);
        appinfo.signal(SIGTERM);
        assert_eq!(appinfo.wait().code(), Some(0), "{pause:?}: {:?}", appinfo.stderr.all());
    });
}

/// The kernel gives PID 1 no signal that it does not take (pid_namespaces(7)), and makes it the parent of
/// processes that have lost theirs.
#[test]
fn as_pid_1_it_stops_and_reaps_adopted_processes() {
    if !have(&["unshare", "nsenter", "pgrep"]) {
        return;
    }
    if !getuid().is_root() {
        return common::skip("needs root, to make a process namespace");
    }
    let program = common::program();
    let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let command: Vec<_> = unshare.into_iter().chain(program.iter().map(|word| &**word)).collect();
    let mut appinfo = Start::of(&command).args("--drain 1").spawn();
    let pid = run(Command::new("pgrep").args(["--parent", &appinfo.pid().to_string()]));
    let pid: i32 = pid.trim().parse().expect("a process number");
    // The inner shell loses its parent, and ends after it.
    let mut orphan = Command::new("nsenter");
    orphan.args([
        "--target",
        &pid.to_string(),
        "--pid",
        "sh",
        "-c",
        "(sleep 0.2; exit 3) & exit 0",
    ]);
    run(orphan.stdout(Stdio::null()).stderr(Stdio::null()));
    let children =
        || fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("/proc tells");
    until("the orphan is reaped", || children().split_whitespace().count() == 1);
    signal(children().trim().parse().expect("the server"), SIGKILL);
    until("it serves again", || appinfo.restarts() == 1);
    let start = Instant::now();
    signal(pid, SIGTERM);
    common::await_draining(appinfo.address);
    assert_eq!(appinfo.wait().code(), Some(0), "{:?}", appinfo.stderr.all());
    assert!(start.elapsed() >= Duration::from_secs(1));
}

/// As under an emulator without binfmt, or a strict seccomp profile.
#[test]
fn without_a_second_process_it_serves_in_one() {
    if !have(&["strace"]) {
        return;
    }
    // The shell's `exec` is the second: the third starts the server.
    let strace = "strace -D --follow-forks --trace=execve --inject=execve:error=ENOEXEC:when=1+ \
                  --output=/dev/null --trace-path=/proc/self/exe";
    let words: Vec<String> =
        strace.split_whitespace().map(str::to_owned).chain(common::program()).collect();
    let mut appinfo = Start::of(&words).args("--drain 1").spawn();
    assert_eq!(appinfo.get("/v1/appinfo").status, 200);
    let log = appinfo.stderr.all();
    let count = log.iter().filter(|line| line.contains("serving in this one")).count();
    assert_eq!(count, 1, "{log:?}");
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    common::await_draining(appinfo.address);
    assert_eq!(appinfo.wait().code(), Some(0), "{:?}", appinfo.stderr.all());
    assert!(start.elapsed() >= Duration::from_secs(1));
}

/// Not even where the kernel starts a program to collect it, which ignores the limit on core files.
#[test]
fn a_crash_leaves_no_core_dump() {
    let pattern = "/proc/sys/kernel/core_pattern";
    let Ok(usual) = fs::read_to_string(pattern) else { return common::skip("needs core_pattern") };
    let folder = common::Folder::new();
    let (script, trace) = (folder.path().join("collect"), folder.path().join("collected"));
    fs::write(&script, format!("#!/bin/sh\ncat >/dev/null\necho >{}\n", trace.display()))
        .expect("it can be written");
    run(Command::new("chmod").arg("755").arg(&script));
    if fs::write(pattern, format!("|{}", script.display())).is_err() {
        return common::skip("needs root, to set core_pattern");
    }
    let control = Command::new("sh").args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).status();
    let is_collected = || trace.exists();
    let end = Instant::now() + Duration::from_secs(5);
    while control.is_ok() && !is_collected() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    let collects = is_collected();
    let _ = fs::remove_file(&trace);
    if collects {
        let appinfo = Start::new().spawn();
        assert_eq!(appinfo.get("/healthz").status, 200);
        crash(&appinfo, 6);
        crash(&appinfo, 4);
        fs::write(pattern, &usual).expect("it can be set back");
        assert!(!is_collected());
    } else {
        fs::write(pattern, &usual).expect("it can be set back");
        println!("the kernel of this machine starts no program for core dumps");
        let appinfo = Start::new().spawn();
        let limits = Process::new(appinfo.server()).and_then(|process| process.limits());
        let limit = limits.expect("/proc tells").max_core_file_size.soft_limit;
        assert!(matches!(limit, procfs::process::LimitValue::Value(0)), "{limit:?}");
    }
}

/// A process with the variable in its environment, but another parent, does not take its standard input for
/// the listening socket.
#[test]
fn a_strangers_socket_is_left_alone() {
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stranger.local_addr().expect("it has an address");
    let own = std::process::id();
    for told in [String::new(), "1 0 -".into(), format!("{} 0 -", own + 1), "nonsense".into()] {
        let socket: OwnedFd = stranger.as_fd().try_clone_to_owned().expect("a duplicate");
        let appinfo = Start::new().stdin(socket.into()).env("APPINFO_SUPERVISOR", told).spawn();
        assert_ne!(appinfo.address, address);
        assert_eq!(appinfo.get("/readyz").status, 200);
        let _waiting = connect(address).expect("the stranger listens");
        stranger.accept().expect("and nobody else accepts");
    }
}

/// Whether or not a server has just been started.
#[test]
fn a_second_signal_ends_both_processes_at_once() {
    for (first, second) in [(SIGTERM, SIGTERM), (SIGTERM, SIGINT)] {
        let mut appinfo = Start::new().args("--drain 3600").spawn();
        let server = appinfo.server();
        appinfo.signal(first);
        common::await_draining(appinfo.address);
        appinfo.signal(second);
        assert_eq!(appinfo.wait().code(), Some(128 + second), "{first} then {second}");
        until("the server is gone", || !lives(server));
    }
}

/// Also if that is a pipe.
#[test]
fn both_processes_write_to_the_same_outputs() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let stderr = writer.try_clone().expect("a duplicate");
    let mut command = Start::new().args("--access-log --drain 0").to(writer, stderr);
    let mut child = command.spawn().expect("it starts");
    drop(command);
    let lines = Lines::of(reader.take(1 << 20));
    let address =
        eventually("a start line", || lines.all().iter().find_map(|line| listening_address(line)));
    assert_eq!(common::get(address, "/healthz").status, 200);
    until("the request is logged", || {
        lines.all().iter().any(|line| line.starts_with("GET /healthz 200 "))
    });
    signal(child.id() as i32, SIGTERM);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    until("it says so", || lines.all().iter().any(|line| line.contains("received SIGTERM")));
}
