//! What becomes of the lines that the program writes where nobody reads them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeWriter, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Action, tcflow};

use crate::common::{self, DEADLINE, SIGTERM, eventually};

/// Starts the program, told to say as much as it can; it says where it listens on `stderr`, of which
/// `reader` is the other end.
fn start(stdout: Stdio, stderr: Stdio, reader: impl Read) -> (Child, SocketAddr) {
    let program = common::program();
    let child = Command::new(&program[0])
        .args(&program[1..])
        .args(["--access-log", "--drain", "1", "--listen", "127.0.0.1:0"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .expect("the program starts");
    let mut lines = BufReader::new(reader).lines();
    let line = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("listening on ")));
    let line = line.expect("there is a start line").expect("it can be read");
    let (_, address) = line.split_once("listening on ").expect("it says where it listens");
    let address = address.split(',').next().expect("an address").parse().expect("an address");
    (child, address)
}

/// Fills a pipe, by a description of its own, so that the program's writes would still wait.
fn fill(pipe: &PipeWriter) {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    let mut pipe = File::from(rustix::fs::open(path, flags, Mode::empty()).expect("it opens"));
    // A byte at last: one that has room for a few more is not full.
    for piece in [&[b'x'; 4096][..], b"x"] {
        while pipe.write_all(piece).is_ok() {}
    }
}

/// Everybody is answered, and SIGTERM ends it in time.
fn serves_and_stops(mut child: Child, address: SocketAddr) {
    for number in 0..500 {
        let target = ["/v1/appinfo", "/healthz", "/nowhere"][number % 3];
        assert_eq!(common::get(address, target).status, [200, 200, 404][number % 3]);
    }
    let start = Instant::now();
    common::signal(child.id().try_into().expect("a process number fits"), SIGTERM);
    common::await_draining(address);
    let status = eventually("it ends", || child.try_wait().expect("it can be waited for"));
    assert_eq!(status.code(), Some(0));
    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
}

#[test]
fn a_full_pipe_loses_lines_and_nobody_loses_an_answer() {
    for (fill_stdout, fill_stderr) in [(true, false), (false, true), (true, true)] {
        let (out_reader, out) = io::pipe().expect("a pipe");
        let (err_reader, err) = io::pipe().expect("a pipe");
        let stdio = |pipe: &PipeWriter| Stdio::from(pipe.try_clone().expect("a duplicate"));
        let reader = err_reader.try_clone().expect("a duplicate");
        let (child, address) = start(stdio(&out), stdio(&err), reader);
        if fill_stdout {
            fill(&out);
        }
        if fill_stderr {
            fill(&err);
        }
        serves_and_stops(child, address);
        drop((out_reader, err_reader));
    }
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    let (out_reader, out) = io::pipe().expect("a pipe");
    let (err_reader, err) = io::pipe().expect("a pipe");
    let (child, address) = start(out.into(), err.into(), err_reader);
    drop(out_reader);
    serves_and_stops(child, address);
}

#[test]
fn a_terminal_that_is_stopped_stops_nothing() {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("it can be had");
    unlockpt(&master).expect("it can be used");
    let name = ptsname(&master, Vec::new()).expect("it has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let terminal: OwnedFd = rustix::fs::open(&name, flags, Mode::empty()).expect("it opens");
    let stdio = || Stdio::from(terminal.as_fd().try_clone_to_owned().expect("a duplicate"));
    let reader = File::from(master.try_clone().expect("a duplicate"));
    let (child, address) = start(stdio(), stdio(), reader);
    tcflow(&terminal, Action::OOff).expect("it can be stopped");
    serves_and_stops(child, address);
}
