//! What the process holds: files, threads and memory, and how much of them is too much.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::str;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
#[cfg(target_os = "linux")]
use rustix::thread::{ClockId, NanosleepRelativeResult, Timespec, clock_nanosleep_relative};

use crate::containment::renewal;
use crate::log;
use crate::thread;

/// The most that it may hold, in bytes, what the kernel holds for it included. Far below the manifests'
/// limit of 96 MiB, since clients can make it hold hundreds of threads more before it has begun anew.
const MOST: u64 = 54 << 20;

/// The most memory of its own, in bytes: what the library reads without end doubles its buffer, and
/// copies it, within one look.
const MOST_MEMORY: u64 = 32 << 20;

/// More memory, in bytes, and more threads than it keeps when there is nothing to do. While it holds
/// that, it is looked at more often, since clients can make it hold thousands of threads more in a
/// second; and when it still does though hardly anybody asks for anything, it begins anew as well.
const MUCH: u64 = 8 << 20;
const MANY: u64 = 48;

/// What the kernel holds for a thread and its connection, in bytes, beside the resident memory.
const THREAD: u64 = 38 << 10;

/// The most threads, however late the next look comes. Where the machine stood still for a tenth of a second,
/// clients have made the library start a thousand between two looks; those of so many, with their memory of
/// their own, still fit a pod.
const MOST_THREADS: u64 = 1_900;

/// How much processor time may be spent until the next look. Whatever makes the process hold more
/// spends some, also where nobody connects any more; and at rest there is nothing to look at.
#[cfg(target_os = "linux")]
const SPENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 4_000_000 };

/// How often to look while it holds much, and where the kernel does not count like that.
const HURRY: Duration = Duration::from_millis(5);
const BUSY: Duration = Duration::from_millis(25);

/// How long to go on answering before it begins anew, where it has so few threads that what they
/// queue grows slowly: there is time to answer what waits.
const QUEUED_ANSWERS: Duration = Duration::from_millis(50);
const SLOW: u64 = 24;

/// Hardly anybody: fewer than so many requests, and not a thread more, in a while that is longer than a
/// connection may be silent and its thread idle after that (10 and 5 seconds). More threads than [`MANY`] that
/// are nobody's fault would have asked more often by then, or gone.
const FEW: u64 = 80;
const WHILE: Duration = Duration::from_secs(20);

/// Raises the limit on open files to its hard limit, until the first look, as Go programs do at their
/// start: every connection holds two, and containers often begin with a soft limit of 1,024.
pub fn raise_open_files_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_none() {
        return; // On macOS, which does not allow what it says.
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::line(format_args!("cannot raise the limit on open files: {error}"));
    }
}

/// The files in which Linux tells what the process holds (proc(5)), opened once: a look costs two
/// system calls, and four more for the limit on open files.
pub struct Footprint {
    tasks: File,
    memory: File,
}

impl Footprint {
    /// # Errors
    ///
    /// The system's, when it has no such files, as on a Mac.
    pub fn open() -> io::Result<Footprint> {
        Ok(Footprint {
            tasks: File::open("/proc/self/task")?,
            memory: File::open("/proc/self/statm")?,
        })
    }

    /// How many threads the process has: each is a folder in that one, which has two links itself.
    pub fn threads(&self) -> u64 {
        self.tasks.metadata().map_or(0, |tasks| tasks.nlink().saturating_sub(2))
    }

    /// Lets no more files be opened from now on than connections would that take it to [`MOST_THREADS`], two
    /// each. Where that is not enough, the library stops accepting, and the process begins anew.
    fn limit_open_files(&self, threads: u64) {
        // The new file has the lowest number that is free (fcntl(2)), and the limit is one on numbers.
        let Ok(free) = self.tasks.try_clone() else { return };
        let most = free.as_raw_fd() as u64 + 2 * MOST_THREADS.saturating_sub(threads);
        let limit = getrlimit(Resource::Nofile);
        let current = limit.maximum.map_or(most, |maximum| maximum.min(most));
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit });
    }

    /// Its resident memory in bytes: the second number, in pages.
    fn memory(&self) -> u64 {
        let mut text = [0; 64];
        let length = self.memory.read_at(&mut text, 0).unwrap_or(0);
        let pages = str::from_utf8(&text[..length]).ok().and_then(|text| text.split(' ').nth(1));
        let pages: u64 = pages.and_then(|pages| pages.parse().ok()).unwrap_or(0);
        pages * rustix::param::page_size() as u64
    }
}

/// Looks at what the process holds for as long as it lives, in a thread of its own, and lets it begin
/// anew when that is too much. `requests` tells how many have come so far, and `is_waiting` whether
/// something is waited for, such as answers that are to be late, so that there is no leisure.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn watch(
    requests: impl Fn() -> u64 + Send + 'static,
    is_waiting: impl Fn() -> bool + Send + 'static,
) -> Result<(), String> {
    let look = move || {
        let Ok(footprint) = Footprint::open() else { return };
        // Since when it has held much and hardly anybody has come, and how many requests and threads there
        // were by then.
        let mut since = None;
        let (threads, memory) = loop {
            let (threads, memory) = (footprint.threads(), footprint.memory());
            footprint.limit_open_files(threads);
            let is_much = memory > MUCH || threads > MANY;
            let (start, before, held) = since
                .take()
                .filter(|&(_, before, held)| {
                    requests() - before < FEW && threads <= held && !is_waiting()
                })
                .unwrap_or_else(|| (Instant::now(), requests(), threads));
            let is_leisure = start.elapsed() >= WHILE;
            if memory + threads * THREAD > MOST || memory > MOST_MEMORY || is_much && is_leisure {
                break (threads, memory);
            }
            if is_much {
                since = Some((start, before, held));
                sleep(HURRY);
            } else {
                sleep_while_spending();
            }
        };
        let last_answers = if threads > SLOW { renewal::LAST_ANSWERS } else { QUEUED_ANSWERS };
        let why = format!("it held {threads} threads and {} MiB of memory", memory >> 20);
        renewal::ask(why, last_answers);
    };
    thread::start(Some("footprint"), Box::new(look))
}

/// Sleeps until the process has spent [`SPENT`].
fn sleep_while_spending() {
    #[cfg(target_os = "linux")]
    if let NanosleepRelativeResult::Ok = clock_nanosleep_relative(ClockId::ProcessCPUTime, &SPENT) {
        return;
    }
    sleep(BUSY);
}
