//! What the program asks of the kernel, and how it does without what it does not need.

use std::os::unix::fs::MetadataExt;

use procfs::process::{LimitValue, Process};
use rustix::process::getpriority_process;

use crate::common::*;

/// Sandboxes and old kernels refuse some of what the program asks for. (Here strace does it.)
#[test]
fn what_the_kernel_refuses_is_done_without() {
    needs!("strace");
    // What is refused, and how many lines of the log contain what.
    let refusals = [
        // Options of sockets, as on WSL 1. The first four are needed: IPv6 together with IPv4, the
        // address's reuse and the two timeouts.
        ("setsockopt:error=ENOPROTOOPT:when=5+", "cannot", 0),
        ("socket:error=EAFNOSUPPORT:when=1", "listening on 0.0.0.0:", 1), // IPv6.
        // The server's limits, as under a strict seccomp profile.
        ("prctl:error=EPERM", "cannot limit the server process", 1),
        // A second process, as under such a profile, or an emulator without binfmt.
        ("execve:error=ENOEXEC --trace-path=/proc/self/exe", "serving in this one", 1),
    ];
    each(4, refusals, |(refusal, message, expected)| {
        let options = format!("-D --follow-forks --output=/dev/null --inject={refusal}");
        let strace = Start::of(&["strace"]).args(&options).arg(&program()[0]);
        let mut appinfo = strace.args("--listen :0 --drain 1").spawn();
        assert_eq!(appinfo.get("/v1/appinfo").status, 200);
        let start = Instant::now();
        appinfo.signal(SIGTERM);
        await_draining(appinfo.address);
        let (status, log) = (appinfo.wait(), appinfo.stderr.all());
        assert_eq!(status.code(), Some(0), "{refusal}: {log:?}");
        assert!(start.elapsed() >= Duration::from_secs(1), "{refusal}: {log:?}");
        let count = log.iter().filter(|line| line.contains(message)).count();
        assert_eq!(count, expected, "{refusal}: {log:?}");
    });
}

/// Nor does it start a program that collects core dumps. The kernel starts that whatever the limit
/// is (core(5)), unless a process is not dumpable: then its files in /proc are root's (proc(5)).
#[test]
fn a_crash_of_the_server_dumps_no_core() {
    needs!("setpriv");
    needs!(root, "to become another user");
    // That user may not look into the folder where the binary was built.
    let folder = Folder::new();
    let copy = folder.path().join("appinfo");
    fs::copy(&program()[0], &copy).expect("a file can be copied");
    let script = "ulimit -c unlimited; exec setpriv --reuid=61234 --clear-groups \"$0\"";
    let appinfo = Start::of(&["sh", "-c", script, copy.to_str().expect("UTF-8")]).spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let core_limit_and_owner = |pid| {
        let limits = Process::new(pid).and_then(|process| process.limits());
        let status = fs::metadata(format!("/proc/{pid}/status")).expect("the process is alive");
        (limits.expect("the process is alive").max_core_file_size.soft_limit, status.uid())
    };
    let supervisor = core_limit_and_owner(appinfo.pid());
    assert!(matches!(supervisor, (LimitValue::Unlimited, 61234)), "{supervisor:?}");
    let server = core_limit_and_owner(appinfo.server());
    assert!(matches!(server, (LimitValue::Value(0), 0)), "{server:?}");
}

/// By `SCHED_BATCH`, policy 3 (sched(7)), unless the program was given another niceness.
#[test]
fn the_loop_does_not_take_the_processor_from_its_waker() {
    if getpriority_process(None) != Ok(0) {
        return skip("needs a niceness of 0: the program keeps another one, and its policy");
    }
    let appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let main = appinfo.process().stat().expect("/proc can be read");
    assert_eq!(main.policy, Some(3));
}
