//! The machine under the figures.

use std::env;
use std::fs;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common;

/// Set in a process that runs in a network of its own.
const ALONE: &str = "APPINFO_BENCH_ALONE";

/// Runs this program once more, in a new network namespace with nothing but a loopback device,
/// and returns how that ended; `None` where this is that second run, or none can be had.
///
/// Docker and firewalls make the kernel keep a table of all connections (nf_conntrack). That costs
/// every server time for each of them, and within two minutes the load would fill the table: new
/// connections, those of other programs too, would then be dropped without a word.
pub fn run_alone() -> Option<ExitCode> {
    if env::var_os(ALONE).is_some() {
        return None;
    }
    // As root; else in a user namespace too, in which everybody may make one.
    let ways: [&[&str]; 2] = [&["--net"], &["--net", "--map-current-user", "--keep-caps"]];
    let alone = |way: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(way).args(["sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"]);
        unshare
    };
    let works = |way: &&&[&str]| {
        let output = alone(way).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(way) = ways.iter().find(works) else {
        eprintln!(
            "cargo bench: no network namespace can be had (with unshare and ip), so the kernel's \
             connection tracking, if it is on, is part of the figures"
        );
        return None;
    };
    let status = alone(way).args(env::args_os()).env(ALONE, "1").status();
    Some(if status.is_ok_and(|status| status.success()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Raises the soft limit on open files, which wrk inherits, to the hard one.
pub fn raise_open_files_limit() -> Result<(), String> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("cannot raise the limit on open files to {maximum:?}: {error}"))
}

/// Processor, cores, kernel and date, in one line.
pub fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("a processor without a name", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let date = common::run(Command::new("date").arg("+%Y-%m-%d"));
    format!("{model}, {cores} cores, {} {}, {}.", env::consts::OS, kernel.trim(), date.trim())
}
