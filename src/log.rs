//! What the program writes to stdout and stderr. Log lines never wait for either: an output that nobody
//! reads (a full pipe, a stopped terminal) loses lines, but no client loses a response.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The program's name and version, as in `appinfo 0.2.0`.
pub const NAME_AND_VERSION: &str = concat!("appinfo ", env!("CARGO_PKG_VERSION"));

/// The longest line, in bytes. A pipe that is ready takes this much at once (`PIPE_BUF` in pipe(7));
/// a longer line might wait for a reader.
pub const MAX_LINE_BYTES: usize = 4096;

/// Writes one line to stderr, preceded by the program's name.
pub fn line(message: impl Display) {
    write_nonblocking(io::stderr(), format!("appinfo: {message}\n"));
}

/// Writes the line that says how the program was started to stderr.
pub fn start_line(how: impl Display) {
    write_nonblocking(io::stderr(), format!("{NAME_AND_VERSION}: {how}\n"));
}

/// Writes one line to stdout.
pub fn to_stdout(message: impl Display) {
    write_nonblocking(io::stdout(), format!("{message}\n"));
}

/// Prints text that the user requested (the help, the version) to stdout.
pub fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says why the program ends, and returns the status to end it with.
pub fn fail(status: u8, why: &str) -> ExitCode {
    line(why);
    ExitCode::from(status)
}

/// Writes a line if that is possible at once, else drops it. One thread at a time: two that were
/// both told that there is room could fill it twice.
fn write_nonblocking(output: impl AsFd, mut line: String) {
    static TURN: Mutex<()> = Mutex::new(());
    if line.len() > MAX_LINE_BYTES {
        line.truncate(line.floor_char_boundary(MAX_LINE_BYTES - 1));
        line.push('\n');
    }
    let _turn = TURN.lock();
    let mut outputs = [PollFd::new(&output, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut outputs, Some(&at_once)).is_ok() && outputs[0].revents() == PollFlags::OUT {
        let _ = rustix::io::write(&output, line.as_bytes());
    }
}
