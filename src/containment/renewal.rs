//! Beginning anew. What a client has made the library hold for ever (requests whose threads wait for
//! themselves, memory that is not given back), nothing above it can free. So before it is too much
//! for the pod's memory limit, the process replaces itself by its own program: the same process
//! number, container, arguments and listening socket, in whose queue connections wait meanwhile.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsString};
use std::io::{self, Error, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::AcceptConn};
use nix::unistd::{Pid, execve};
use rustix::io::ioctl_fionbio;

use crate::log;
use crate::pod::drain::Draining;

/// Tells the process to begin anew, whoever sends it.
pub const SIGNAL: Signal = Signal::SIGUSR2;

/// How the process tells its new self that it is one. It begins with the process number, so that no
/// other process takes itself for one, and names no Service's variable (`APPINFO_PORT` and such).
const VARIABLE: &str = "APPINFO_FORMER_SELF";

/// The least time between two lines that say that the process has begun anew, in seconds: an attack
/// may make it do so several times a second.
const SILENCE: u64 = 60;

/// What has been accepted is usually answered in this time, and no client can do much more harm in it.
pub const LAST_ANSWERS: Duration = Duration::from_millis(20);

static REASON: Mutex<Option<(String, Duration)>> = Mutex::new(None);

/// Asks the process to begin anew, says why, and for how long it is still to answer. Only the first
/// to ask is heeded, and it may come too late: the process is going to stop anyway.
pub fn ask(why: String, last_answers: Duration) {
    if let Ok(mut reason) = REASON.lock() {
        reason.get_or_insert((why, last_answers));
    }
    let _ = kill(Pid::this(), SIGNAL);
}

/// Does not come back if the process is just being replaced. Meanwhile the kernel starts no thread of its
/// former self (`EAGAIN`, for `in_exec` in kernel/fork.c), which must not end the process.
pub fn give_way() {
    drop(REASON.lock());
}

/// What the process has from its former self, and keeps for its next.
pub struct Renewal {
    /// How many times it has begun anew.
    times: u64,
    /// When it last said so, in seconds since the Unix epoch.
    said: u64,
    /// For how long to go on draining, if it was draining.
    pub drain: Option<Duration>,
    /// The listening socket; its own descriptor, so that none has to be had when there are no more.
    socket: Option<OwnedFd>,
}

impl Renewal {
    /// What the former self has left, if there was one.
    pub fn of_former_self() -> Renewal {
        Renewal::inherited().unwrap_or(Renewal { times: 0, said: 0, drain: None, socket: None })
    }

    fn inherited() -> Option<Renewal> {
        let left = env::var(VARIABLE).ok()?;
        let mut words = left.splitn(5, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        if number()? != u64::from(process::id()) {
            return None;
        }
        let (times, said) = (number()? + 1, number()?);
        let drain = number().map(Duration::from_millis);
        let why = words.next()?;
        let socket = io::stdin().as_fd().try_clone_to_owned().ok()?;
        if !getsockopt(&socket, AcceptConn).ok()? {
            if drain.is_some() {
                process::exit(0); // The drain was over before the former self had begun anew.
            }
            return None;
        }
        // Whoever has asked again meanwhile has got what they wanted. Sent once more, it is there to be
        // taken: of those that wait, the system keeps one (signal(7)).
        kill(Pid::this(), SIGNAL).and_then(|()| SigSet::from(SIGNAL).wait()).ok()?;
        let mut renewal = Renewal { times, said, drain, socket: Some(socket) };
        renewal.say(why);
        Some(renewal)
    }

    /// Says that the process has begun anew, unless it said so a moment ago.
    fn say(&mut self, why: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if now.abs_diff(self.said) >= SILENCE {
            self.said = now;
            let times = self.times;
            log::line(format_args!("began anew, number {times} since its start: {why}"));
        }
    }

    /// Whether this is a former self's new one.
    pub fn has_happened(&self) -> bool {
        self.times > 0
    }

    /// The listening socket of the former self.
    pub fn listener(&self) -> Option<TcpListener> {
        Some(self.socket.as_ref()?.try_clone().ok()?.into())
    }

    /// Keeps the socket that the next self is to get.
    ///
    /// # Errors
    ///
    /// A sentence, when the process may not open another file.
    pub fn keep(&mut self, listener: impl AsFd) -> Result<(), String> {
        if self.socket.is_none() {
            let socket = listener.as_fd().try_clone_to_owned();
            self.socket = Some(socket.map_err(|error| format!("cannot serve: {error}"))?);
        }
        Ok(())
    }

    /// Begins anew, or ends the process with a sentence: where the system refuses, or where the drain is
    /// over, so that a new self would find the listening socket closed. Comes back if nothing presses
    /// then. No signal may get lost: only the thread that takes them may call this.
    pub fn begin_anew(&self, draining: &Draining) {
        let asked = REASON.lock().ok().and_then(|mut reason| reason.take());
        let (why, last_answers) = match asked {
            Some(asked) => asked,
            None if draining.is_over() => return,
            None => (format!("told so by {SIGNAL}"), LAST_ANSWERS),
        };
        // Connections wait in the queue now: the library ends accepting when there is an error, such
        // as that there is nothing to accept.
        let _ = self.socket.as_ref().map(|socket| ioctl_fionbio(socket, true));
        thread::sleep(draining.left().map_or(last_answers, |left| last_answers.min(left / 2)));
        if draining.is_over() {
            log::line(format_args!("{why}: ended before the last answers"));
            process::exit(0);
        }
        // For those that [`give_way`], and never given back.
        let _lock = REASON.lock();
        let Err(error) = self.become_new(draining.left(), &why);
        log::line(format_args!("{why}; cannot begin anew: {error}"));
        process::exit(1);
    }

    /// Returns what went wrong, or not at all.
    fn become_new(&self, drain: Option<Duration>, why: &str) -> Result<Infallible, Error> {
        let program = text(env::current_exe()?)?;
        let arguments = env::args_os().map(text).collect::<Result<Vec<_>, _>>()?;
        let drain = drain.map_or("-".to_owned(), |left| left.as_millis().to_string());
        let (pid, times, said) = (process::id(), self.times, self.said);
        let mut environment = vec![text(format!("{VARIABLE}={pid} {times} {said} {drain} {why}"))?];
        for (mut name, value) in env::vars_os().filter(|(name, _)| name != VARIABLE) {
            name.push("=");
            name.push(value);
            environment.push(text(name)?);
        }
        rustix::stdio::dup2_stdin(self.socket.as_ref().ok_or(ErrorKind::NotConnected)?)?;
        // The second, which gives the process another name, is for a file that has been replaced.
        let again = |_| execve(c"/proc/self/exe", &arguments, &environment);
        Ok(execve(&program, &arguments, &environment).or_else(again)?)
    }
}

/// Text as the system takes it. (std's `Command` does this as well, for 30 kB more.)
fn text(text: impl Into<OsString>) -> Result<CString, Error> {
    Ok(CString::new(text.into().into_vec())?)
}
