//! Kernels and sandboxes that refuse what is useful, but not needed: it serves all the same. And
//! what it refuses itself.

use procfs::process::{LimitValue, Process};

use crate::common::*;

/// How many lines of its log contain `message` when the system refuses these calls, while it
/// serves, drains and stops.
fn count_without(calls: &str, message: &str) -> Option<usize> {
    needs!("strace");
    let strace = format!("strace -D --follow-forks --output=/dev/null {calls}");
    let words: Vec<String> =
        strace.split_whitespace().map(str::to_owned).chain(program()).collect();
    let mut appinfo = Start::of(&words).args("--drain 1").spawn();
    assert_eq!(appinfo.get("/v1/appinfo").status, 200);
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    await_draining(appinfo.address);
    assert_eq!(appinfo.wait().code(), Some(0), "{:?}", appinfo.stderr.all());
    assert!(start.elapsed() >= Duration::from_secs(1));
    Some(appinfo.stderr.all().iter().filter(|line| line.contains(message)).count())
}

/// As on WSL 1. The first three options, the address's reuse and the two timeouts, are needed.
#[test]
fn sockets_without_optional_options_serve_all_the_same() {
    let calls = "--trace=setsockopt --inject=setsockopt:error=ENOPROTOOPT:when=4+";
    let count = count_without(calls, "cannot");
    assert!(count.is_none_or(|count| count == 0));
}

/// As under a strict seccomp profile.
#[test]
fn a_server_that_cannot_limit_itself_logs_it_and_serves() {
    let calls = "--trace=prctl --inject=prctl:error=EPERM";
    let count = count_without(calls, "cannot limit the server process");
    assert!(count.is_none_or(|count| count == 1));
}

/// As under an emulator without binfmt, or a strict seccomp profile.
#[test]
fn without_a_second_process_it_serves_in_one() {
    let calls = "--trace=execve --inject=execve:error=ENOEXEC:when=1+ --trace-path=/proc/self/exe";
    let count = count_without(calls, "serving in this one");
    assert!(count.is_none_or(|count| count == 1));
}

#[test]
fn a_crash_leaves_no_core_file() {
    let script = "ulimit -c unlimited; exec \"$0\" \"$@\"".to_owned();
    let words = [vec!["sh".to_owned(), "-c".to_owned(), script], program()].concat();
    let appinfo = Start::of(&words).spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let limits = Process::new(appinfo.server()).and_then(|process| process.limits());
    let limit = limits.expect("/proc can be read").max_core_file_size.soft_limit;
    assert!(matches!(limit, LimitValue::Value(0)), "{limit:?}");
}

/// Such a program is started whatever the limit is (core(5)).
#[test]
fn a_crash_starts_no_program_that_collects_core_dumps() {
    let pattern = "/proc/sys/kernel/core_pattern";
    let Ok(usual) = fs::read(pattern) else { return skip("needs core_pattern") };
    let folder = Folder::new();
    let (script, list) = (folder.path().join("collect"), folder.path().join("collected"));
    let text = format!("#!/bin/sh\ncat >/dev/null\necho \"$1\" >>{}\n", list.display());
    fs::write(&script, text).expect("it can be written");
    run(Command::new("chmod").arg("755").arg(&script));
    if fs::write(pattern, format!("|{} %p", script.display())).is_err() {
        return skip("needs root, to set core_pattern");
    }
    let appinfo = Start::new().spawn();
    let server = appinfo.server();
    signal(server, 6); // SIGABRT
    until("the server is restarted", || appinfo.server() != server);
    // Afterwards a program without this protection.
    let mut other = Command::new("sh").args(["-c", "kill -ABRT $$"]).spawn().expect("sh starts");
    let _ = other.wait();
    let collected = || fs::read_to_string(&list).unwrap_or_default();
    let start = Instant::now();
    while collected().is_empty() && start.elapsed() < Duration::from_secs(5) {
        thread::sleep(Duration::from_millis(10));
    }
    fs::write(pattern, &usual).expect("it can be set back");
    println!("collected: {:?}, of another process: {}", collected(), other.id());
    assert!(!collected().lines().any(|pid| pid == server.to_string()));
}
