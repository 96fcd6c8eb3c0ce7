//! What the program says on its two outputs. It never waits for one: an output that nobody reads (a
//! full pipe, a stopped terminal) loses lines, and nobody loses an answer.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The program's name and version, as in `appinfo 0.1.0`.
pub const NAME_AND_VERSION: &str = concat!("appinfo ", env!("CARGO_PKG_VERSION"));

/// The longest line, in bytes. A pipe that can be written to takes so many at once (`PIPE_BUF` in
/// pipe(7)); a longer line might wait for a reader.
pub const LONGEST: usize = 4096;

/// Writes one line to stderr, the program's name before it.
pub fn line(message: impl Display) {
    write_at_once(io::stderr(), format!("appinfo: {message}\n"));
}

/// Writes the line that tells how the program was started to stderr.
pub fn start_line(how: impl Display) {
    write_at_once(io::stderr(), format!("{NAME_AND_VERSION}: {how}\n"));
}

/// Writes one line to stdout.
pub fn to_stdout(message: impl Display) {
    write_at_once(io::stdout(), format!("{message}\n"));
}

/// Prints what was asked for (the help, the version) to stdout, however long its reader takes.
pub fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says why the program ends, and gives the status to end it with.
pub fn fail(status: u8, why: &str) -> ExitCode {
    line(why);
    ExitCode::from(status)
}

/// Writes a line if that can be done at once, else drops it. One thread at a time: two that were
/// both told that there is room might fill it twice.
fn write_at_once(output: impl AsFd, mut line: String) {
    static TURN: Mutex<()> = Mutex::new(());
    if line.len() > LONGEST {
        line.truncate(line.floor_char_boundary(LONGEST - 1));
        line.push('\n');
    }
    let _turn = TURN.lock();
    let mut outputs = [PollFd::new(&output, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut outputs, Some(&at_once)).is_ok() && outputs[0].revents() == PollFlags::OUT {
        let _ = rustix::io::write(&output, line.as_bytes());
    }
}
