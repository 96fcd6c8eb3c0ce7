//! Output that is not read: lines may be lost, and nothing else.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};

use crate::common::*;

/// Starts the program, which prints as much as it can to `output`. No more than the start line is
/// read from `reader`, the other end.
fn start(output: impl AsFd, reader: impl Read) -> Appinfo {
    let duplicate = || output.as_fd().try_clone_to_owned().expect("a duplicate");
    let mut command = Start::new().args("--access-log --drain 1").to(duplicate(), duplicate());
    let child = command.spawn().expect("the program starts");
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let address = lines.find_map(|line| listening_address(&line)).expect("there is a start line");
    let [stdout, stderr] = [(); 2].map(|()| Lines::of(io::empty()));
    Appinfo { child, address, stdout, stderr }
}

/// Every request gets a response, and SIGTERM ends the program in time, while the lines about them
/// would fill any output several times.
fn serves_and_stops(mut appinfo: Appinfo) {
    let nowhere = format!("/{}", "x".repeat(1_000));
    for _ in 0..200 {
        for (target, status) in [("/v1/appinfo", 200), ("/healthz", 200), (&nowhere, 404)] {
            assert_eq!(appinfo.get(target).status, status);
        }
    }
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    await_draining(appinfo.address);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
}

#[test]
fn a_full_pipe_loses_lines_and_no_response() {
    let (reader, writer) = io::pipe().expect("a pipe");
    serves_and_stops(start(writer, &reader));
}

#[test]
fn a_closed_pipe_ends_nothing() {
    let (reader, writer) = io::pipe().expect("a pipe");
    serves_and_stops(start(writer, reader));
}

/// A pseudoterminal: what its user reads and types, and what programs have.
pub fn terminal() -> (fs::File, OwnedFd) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&user).and_then(|()| unlockpt(&user)).expect("it can be used");
    let name = ptsname(&user, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let programs = rustix::fs::open(&name, flags, Mode::empty()).expect("it opens");
    (user.into(), programs)
}

#[test]
fn a_terminal_that_is_stopped_stops_nothing() {
    let (user, terminal) = terminal();
    let appinfo = start(&terminal, &user);
    tcflow(&terminal, Action::OOff).expect("it can be stopped");
    serves_and_stops(appinfo);
}
