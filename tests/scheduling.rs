//! How the kernel is told to share the processors out among the program's threads.
#![cfg(target_os = "linux")]

mod common;

use common::Start;

/// `SCHED_BATCH` in sched(7).
const BATCH: &str = "3";

#[test]
fn no_thread_takes_the_processor_from_its_waker_and_those_that_read_stand_back() {
    let appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let pid = appinfo.pid();
    let own = std::fs::read_to_string("/proc/self/stat").expect("/proc tells");
    let usual: i32 = field(&own, 19).parse().expect("a niceness");
    let mut reading = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).expect("/proc tells") {
        let task = task.expect("a thread");
        // One of them may just have ended.
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        assert_eq!(field(&stat, 41), BATCH, "{stat}");
        let niceness: i32 = field(&stat, 19).parse().expect("a niceness");
        if task.file_name().to_str() == Some(&pid.to_string()) {
            assert_eq!(niceness, usual, "the loop, which answers: {stat}");
        }
        reading += u32::from(niceness == usual + 5);
    }
    assert!(reading >= 4, "tiny_http keeps four threads at least, not {reading}");
}

/// A field of /proc/PID/stat by its number in proc(5); the name, in brackets, is the second.
fn field(stat: &str, number: usize) -> &str {
    let after_name = stat.rsplit(") ").next().expect("a name in brackets");
    after_name.split_whitespace().nth(number - 3).expect("a field")
}
