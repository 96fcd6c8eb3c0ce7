//! The machine under the figures.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common;

/// Raises the soft limit on open files, which wrk inherits, to the hard one.
pub fn raise_open_files_limit() -> Result<(), String> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("cannot raise the limit on open files to {maximum:?}: {error}"))
}

/// Processor, cores, kernel, commit and date, in one line.
pub fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("a processor without a name", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let date = common::run(std::process::Command::new("date").arg("+%Y-%m-%d"));
    format!("{model}, {cores} cores, {} {}, {}.", std::env::consts::OS, kernel.trim(), date.trim())
}
