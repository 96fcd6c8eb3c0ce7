//! How the kernel is told to share the processors out among the program's threads.

use std::fs;

use crate::common::Start;

/// `SCHED_OTHER` and `SCHED_BATCH` in sched(7).
const OTHER: &str = "0";
const BATCH: &str = "3";

#[test]
fn no_thread_takes_the_processor_from_its_waker_and_those_that_read_stand_back() {
    let appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let pid = appinfo.pid();
    let own = fs::read_to_string("/proc/self/stat").expect("/proc tells");
    let usual = field(&own, 19).to_owned();
    let mut reading = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("/proc tells") {
        let task = task.expect("a thread");
        // One of them may just have ended.
        let Ok(stat) = fs::read_to_string(task.path().join("stat")) else { continue };
        let is_main = task.file_name().to_str() == Some(&pid.to_string());
        let (policy, niceness) = if stat.contains("(signals)") || stat.contains("(footprint)") {
            (OTHER, usual.as_str())
        } else if stat.contains("(heartbeat)") || is_main {
            (BATCH, usual.as_str())
        } else {
            reading += 1;
            (BATCH, "19")
        };
        assert_eq!((field(&stat, 41), field(&stat, 19)), (policy, niceness), "{stat}");
    }
    assert!(reading >= 4, "tiny_http keeps four threads at least, not {reading}");
}

/// A field of /proc/PID/stat by its number in proc(5); the name, in brackets, is the second.
fn field(stat: &str, number: usize) -> &str {
    let after_name = stat.rsplit(") ").next().expect("a name in brackets");
    after_name.split_whitespace().nth(number - 3).expect("a field")
}
