//! Output that is not read: lines may be lost, and nothing else.

use std::fs::File;
use std::io::PipeWriter;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};

use crate::common::*;

/// Starts the program, which prints as much as it can. Its start line comes on `stderr`, of which
/// `reader` is the other end; it is not read any further.
fn start(stdout: impl Into<Stdio>, stderr: impl Into<Stdio>, reader: impl Read) -> Appinfo {
    let mut command = Start::new().args("--access-log --drain 1").to(stdout, stderr);
    let child = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let address = lines.find_map(|line| listening_address(&line)).expect("there is a start line");
    let [stdout, stderr] = [(); 2].map(|()| Lines::of(io::empty()));
    Appinfo { child, address, stdout, stderr }
}

/// Fills a pipe by an open file description of its own, so that the program's writes still block.
fn fill(pipe: &PipeWriter) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let mut pipe = File::from(rustix::fs::open(path, flags, Mode::empty()).expect("it opens"));
    // Single bytes at the end, since one that has room for a few is not full.
    for piece in [&[b'x'; 4096][..], b"x"] {
        while pipe.write_all(piece).is_ok() {}
    }
}

/// Every request gets a response, and SIGTERM ends the program in time.
fn serves_and_stops(mut appinfo: Appinfo) {
    for (target, status) in
        [("/v1/appinfo", 200), ("/healthz", 200), ("/nowhere", 404)].into_iter().cycle().take(500)
    {
        assert_eq!(appinfo.get(target).status, status);
    }
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    await_draining(appinfo.address);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
}

#[test]
fn a_full_pipe_loses_lines_and_no_response() {
    let (_out_reader, out) = io::pipe().expect("a pipe");
    let (err_reader, err) = io::pipe().expect("a pipe");
    let [stdout, stderr] = [&out, &err].map(|pipe| pipe.try_clone().expect("a duplicate"));
    let appinfo = start(stdout, stderr, &err_reader);
    fill(&out);
    fill(&err);
    serves_and_stops(appinfo);
}

#[test]
fn a_closed_pipe_ends_nothing() {
    let (out_reader, out) = io::pipe().expect("a pipe");
    let (err_reader, err) = io::pipe().expect("a pipe");
    let appinfo = start(out, err, err_reader);
    drop(out_reader);
    serves_and_stops(appinfo);
}

/// A pseudoterminal: what its user reads and types, and what programs have.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&user).and_then(|()| unlockpt(&user)).expect("it can be used");
    let name = ptsname(&user, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let programs = rustix::fs::open(&name, flags, Mode::empty()).expect("it opens");
    (user, programs)
}

#[test]
fn a_terminal_that_is_stopped_stops_nothing() {
    let (master, terminal) = terminal();
    let duplicate = |end: &OwnedFd| end.try_clone().expect("a duplicate");
    let reader = File::from(duplicate(&master));
    let appinfo = start(duplicate(&terminal), duplicate(&terminal), reader);
    tcflow(&terminal, Action::OOff).expect("it can be stopped");
    serves_and_stops(appinfo);
}
