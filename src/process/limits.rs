//! The server process' limits, which the kernel enforces (setrlimit(2)). A client that makes the
//! server exceed one ends it, and the supervisor starts another: the memory of a pod is never
//! exhausted, whatever clients send.
//!
//! A held connection costs a thread, two open files and 43 kB of the limit on data. In the pod's memory that
//! is 35 kB: 11 of those 43, which it uses, and 24 that the kernel holds for it. So the worst case is
//! [`MAX_DATA_BYTES`] without any connection; a test adds the supervisor and 8 KiB a connection as a margin.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit};

/// How much data a server may have: heap, stacks of threads, writable pages (`RLIMIT_DATA`). In a debug
/// build stacks are larger, and it has no limit.
const MAX_DATA_BYTES: u64 = 76 << 20;

/// How many files a server may have open (`RLIMIT_NOFILE`): two for each of some 1,690 connections.
const MAX_OPEN_FILES: u64 = 3_400;

/// The stack of a thread that serves a connection, in bytes: reserved stacks count as data. In release
/// builds a connection's thread uses less than 20 KiB of it, debug builds need more.
pub const STACK_BYTES: usize = if cfg!(debug_assertions) { 256 << 10 } else { 24 << 10 };

/// Lets this process die with its supervisor, and returns whether that still lives.
pub fn tie_to(supervisor: Pid) -> bool {
    #[cfg(target_os = "linux")]
    {
        let signal = Some(rustix::process::Signal::KILL);
        let _ = rustix::process::set_parent_process_death_signal(signal);
    }
    rustix::process::getppid() == Some(supervisor)
}

/// Limits this process, before it starts any thread. Fails where the system refuses.
pub fn apply() -> Result<(), Errno> {
    limit(Resource::Nofile, MAX_OPEN_FILES)?;
    if !cfg!(debug_assertions) {
        limit(Resource::Data, MAX_DATA_BYTES)?;
    }
    // A crash under attack is ordinary: it leaves no core file, and starts no program on the node that
    // collects them, which RLIMIT_CORE alone would not prevent (core(5), "Piping core dumps").
    limit(Resource::Core, 0)?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

/// Sets a limit to this value, or to the hard limit where that is lower. (Containers often start with a
/// soft limit of 1,024 open files.)
fn limit(resource: Resource, most: u64) -> Result<(), Errno> {
    let hard = rustix::process::getrlimit(resource).maximum;
    let most = Some(hard.map_or(most, |hard| hard.min(most)));
    rustix::process::setrlimit(resource, Rlimit { current: most, maximum: most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_fit_the_memory_limit_of_the_manifest() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/appinfo.yaml");
        let manifest = std::fs::read_to_string(path).expect("the manifest can be read");
        let limits = manifest.split("limits:").nth(1).expect("the manifest has limits");
        let memory = limits.split("memory: ").nth(1).expect("the memory is limited");
        let mebibytes: u64 = memory.split("Mi").next().unwrap().parse().expect("a number of Mi");
        let supervisor = 2 << 20;
        let connections = MAX_OPEN_FILES / 2;
        let most = MAX_DATA_BYTES + connections * (8 << 10) + supervisor;
        assert!(most <= mebibytes << 20, "{} of {mebibytes} MiB", most >> 20);
    }
}
