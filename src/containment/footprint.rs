//! What the process holds: files, threads and memory, and how much of them is too much.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::str;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::containment::{renewal, scheduling};
use crate::log;

/// How often to look as a rule.
const AT_REST: Duration = Duration::from_millis(25);

/// How often to look while there is much: clients can make it hold thousands of threads more in a
/// second.
const HURRY: Duration = Duration::from_millis(5);

/// How much is much, in bytes.
const MUCH: u64 = 16 << 20;

/// The most that it may hold, in bytes, what the kernel holds for it included. Half of the manifests'
/// limit: what the library reads without end doubles its buffer, and copies it, within one look.
const MOST: u64 = 48 << 20;

/// What the kernel holds for a thread and its connection, in bytes, beside the resident memory.
const THREAD: u64 = 32 << 10;

/// So many threads are looked into when the program is at leisure.
const MANY: u64 = 100;

/// How often to look into them. A connection that is silent is cut sooner.
const LEISURE: Duration = Duration::from_secs(15);

/// Raises the limit on open files to its hard limit, as Go programs do at their start: every
/// connection holds two, and containers often begin with a soft limit of 1,024.
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
/// system calls.
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

    /// Its resident memory in bytes: the second number, in pages.
    fn memory(&self) -> u64 {
        let mut text = [0; 64];
        let length = self.memory.read_at(&mut text, 0).unwrap_or(0);
        let pages = str::from_utf8(&text[..length]).ok().and_then(|text| text.split(' ').nth(1));
        let pages: u64 = pages.and_then(|pages| pages.parse().ok()).unwrap_or(0);
        pages * rustix::param::page_size() as u64
    }
}

/// Looks at what the process holds for as long as it lives, in a thread of its own, and lets it
/// begin anew when that is too much, or of no use to anybody: when fewer requests have come for a while
/// than there were threads all the time. `requests` tells how many have come so far.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn watch(requests: impl Fn() -> u64 + Send + 'static) -> Result<(), String> {
    let Ok(footprint) = Footprint::open() else { return Ok(()) };
    let look = move || {
        scheduling::wake_at_once();
        let (mut since, mut before, mut fewest) = (Instant::now(), 0, u64::MAX);
        let mut held = 0;
        loop {
            thread::sleep(if held > MUCH { HURRY } else { AT_REST });
            let (threads, memory) = (footprint.threads(), footprint.memory());
            held = memory + threads * THREAD;
            if held > MOST {
                let memory = memory >> 20;
                break renewal::ask(format!("it held {threads} threads and {memory} MiB"));
            }
            fewest = fewest.min(threads);
            if since.elapsed() >= LEISURE {
                let (now, seconds) = (requests(), LEISURE.as_secs());
                if fewest > MANY && now - before < fewest {
                    break renewal::ask(format!(
                        "it held {fewest} threads for {seconds} seconds, and of most was no use"
                    ));
                }
                (since, before, fewest) = (Instant::now(), now, u64::MAX);
            }
        }
        // Asked twice, the new self would begin anew once more.
    };
    thread::Builder::new()
        .name("footprint".to_owned())
        .spawn(look)
        .map_err(|error| format!("cannot watch the footprint: {error}"))?;
    Ok(())
}
