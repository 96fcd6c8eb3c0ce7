//! The supervisor: the first process. It holds the listening socket and restarts the server process
//! when that ends, as nginx's master does with its workers. Connections wait in the socket's queue
//! meanwhile; those that were open are lost.

use std::env;
use std::ffi::{CString, OsString};
use std::io::{self, Error, ErrorKind};
use std::iter;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::signal::{Signal, kill};
use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::log;
use crate::process::{limits, signals};

/// What the supervisor tells the server: its own process number, the restarts, and how many milliseconds
/// to drain, or `-`. Kubernetes' variables for a Service end in `_PORT`, `_HOST` and so on.
const VARIABLE: &str = "APPINFO_SUPERVISOR";

/// The exit status of a server that could not start, and has said why.
pub const CANNOT_START: u8 = 3;

/// The least time between two lines about restarts: an attack may cause several in a second.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How long to wait before a restart, so that a server that always crashes does not keep a processor busy.
const PAUSE: Duration = Duration::from_millis(20);

/// What a server starts with.
pub struct Assignment {
    pub listener: TcpListener,
    /// `None` where no second process could be started.
    pub supervisor: Option<Pid>,
    /// How many servers have ended before this one.
    pub restarts: u64,
    /// For how long still to drain, if a signal has come already.
    pub drain: Option<Duration>,
}

/// The assignment of this process, if it was started by a supervisor.
pub fn assignment() -> Option<Assignment> {
    let told = env::var(VARIABLE).ok()?;
    let mut words = told.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let supervisor = Pid::from_raw(i32::try_from(number()?).ok()?)?;
    let restarts = number()?;
    let drain = number().map(Duration::from_millis);
    // Whatever else has that variable in its environment was not started by a supervisor.
    if rustix::process::getppid() != Some(supervisor) {
        return None;
    }
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    listener.local_addr().ok()?;
    Some(Assignment { listener, supervisor: Some(supervisor), restarts, drain })
}

/// Keeps a server running until it ends well or cannot start. A first signal is passed on to the server,
/// which drains; a second one ends both at once, with 128 plus its number.
///
/// Fails with the server's assignment where no second process can be started: this one has to serve. (Always
/// so on a Mac, whose kernel does not report a child's end while SIGCHLD is blocked.)
pub fn run(listener: TcpListener, drain: Duration) -> Result<ExitCode, Assignment> {
    // When the drain has to be over, once a signal has come.
    let mut end: Option<Instant> = None;
    let mut last_line: Option<Instant> = None;
    for restarts in 0.. {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let server = match spawn(&listener, restarts, left) {
            Ok(server) => server,
            Err(error) if restarts > 0 => {
                return Ok(log::fail(1, &format!("cannot start another server process: {error}")));
            }
            Err(error) => {
                log::line(format_args!(
                    "cannot start a server process ({error}): serving in this one, without limits"
                ));
                return Err(Assignment { listener, supervisor: None, restarts, drain: left });
            }
        };
        let status = wait_for(server, drain, &mut end);
        match status.exit_status() {
            Some(status) if status == i32::from(CANNOT_START) => return Ok(ExitCode::FAILURE),
            status if status == Some(0) || end.is_some_and(|end| end <= Instant::now()) => break,
            _ => {}
        }
        if last_line.is_none_or(|time| time.elapsed() >= LOG_INTERVAL) {
            last_line = Some(Instant::now());
            let how = match status.terminating_signal().map(Signal::try_from) {
                Some(Ok(signal)) => format!("was ended by {signal}"),
                _ => "could accept no more connections, or panicked".to_owned(),
            };
            log::line(format_args!(
                "the server process {how}: restarting it, restart {} since the start",
                restarts + 1
            ));
        }
        thread::sleep(PAUSE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes signals on until this server has ended, and returns how it did. Sets `end` at the first one.
fn wait_for(server: nix::unistd::Pid, drain: Duration, end: &mut Option<Instant>) -> WaitStatus {
    let mut waited_for = signals::stopping();
    waited_for.add(Signal::SIGCHLD);
    loop {
        match waited_for.wait().expect("these signals exist") {
            Signal::SIGCHLD => {
                // As PID 1 it is the parent of processes that others have left behind.
                let ended = iter::from_fn(|| rustix::process::wait(WaitOptions::NOHANG).ok()?);
                let is_server =
                    |(child, _): &(Pid, _)| child.as_raw_nonzero().get() == server.as_raw();
                if let Some((_, status)) = ended.filter(is_server).last() {
                    return status;
                }
            }
            // The server dies with this process.
            signal if end.is_some() => process::exit(128 + signal as i32),
            signal => {
                *end = Some(Instant::now() + signals::drain_after(signal, drain));
                let _ = kill(server, signal);
            }
        }
    }
}

/// Starts this program once more, as a server. Not by std's `Command`, which unblocks all signals in
/// the child: one that came in its first moments would kill it.
fn spawn(
    listener: &TcpListener,
    restarts: u64,
    drain: Option<Duration>,
) -> Result<nix::unistd::Pid, Error> {
    if !cfg!(target_os = "linux") {
        return Err(ErrorKind::Unsupported.into());
    }
    let drain = drain.map_or("-".to_owned(), |drain| drain.as_millis().to_string());
    // The first of two variables of a name counts.
    let environment = [
        format!("{VARIABLE}={} {restarts} {drain}", process::id()).into(),
        // std takes the stack size of tiny_http's threads from there.
        format!("RUST_MIN_STACK={}", limits::STACK_BYTES).into(),
    ];
    let inherited = env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    });
    let environment = c_strings(environment.into_iter().chain(inherited))?;
    let arguments = c_strings(env::args_os())?;
    let mut files = PosixSpawnFileActions::init()?;
    files.add_dup2(listener.as_raw_fd(), 0)?;
    let attributes = PosixSpawnAttr::init()?;
    // Works even if the file has been replaced on disk.
    let program = c"/proc/self/exe";
    Ok(posix_spawn(program, &files, &attributes, &arguments, &environment)?)
}

/// Texts as the system takes them.
fn c_strings(texts: impl Iterator<Item = OsString>) -> Result<Vec<CString>, Error> {
    Ok(texts.map(|text| CString::new(text.into_vec())).collect::<Result<_, _>>()?)
}
