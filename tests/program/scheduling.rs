//! How the kernel is told to share the processors out among the program's threads.

use std::fs;

use crate::common::Start;

/// `SCHED_OTHER` and `SCHED_BATCH` in sched(7).
const OTHER: &str = "0";
const BATCH: &str = "3";

#[test]
fn no_thread_takes_the_processor_from_its_waker_but_those_that_must_not_come_late() {
    let appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let own = fs::read_to_string("/proc/self/stat").expect("/proc tells");
    let tasks = fs::read_dir(format!("/proc/{}/task", appinfo.pid())).expect("/proc tells");
    let mut threads = 0;
    for task in tasks {
        // One of them may just have ended.
        let stat = task.expect("a thread").path().join("stat");
        let Ok(stat) = fs::read_to_string(stat) else { continue };
        let is_late_never = stat.contains("(signals)") || stat.contains("(footprint)");
        assert_eq!(field(&stat, 41), if is_late_never { OTHER } else { BATCH }, "{stat}");
        assert_eq!(field(&stat, 19), field(&own, 19), "its niceness is nobody's business: {stat}");
        threads += 1;
    }
    assert!(threads >= 8, "tiny_http keeps four threads at least: {threads} in all");
}

/// A field of /proc/PID/stat by its number in proc(5); the name, in brackets, is the second.
fn field(stat: &str, number: usize) -> &str {
    let after_name = stat.rsplit(") ").next().expect("a name in brackets");
    after_name.split_whitespace().nth(number - 3).expect("a field")
}
