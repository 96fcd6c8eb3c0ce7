//! How the kernel is told to share the processors out among the program's threads.

use std::fs;

use crate::common::Start;

/// `SCHED_OTHER` and `SCHED_BATCH` in sched(7).
const OTHER: i32 = 0;
const BATCH: i32 = 3;

#[test]
fn no_thread_takes_the_processor_from_its_waker_and_those_that_read_stand_back() {
    let appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let usual = field(&fs::read_to_string("/proc/self/stat").expect("/proc tells"), 19);
    let tasks = fs::read_dir(format!("/proc/{}/task", appinfo.pid())).expect("/proc tells");
    let mut reading = 0;
    for task in tasks {
        // One of them may just have ended.
        let stat = task.expect("a thread").path().join("stat");
        let Ok(stat) = fs::read_to_string(stat) else { continue };
        let expected = match (name(&stat), field(&stat, 1) == appinfo.pid()) {
            ("signals" | "footprint", _) => (OTHER, usual),
            ("heartbeat", _) | ("appinfo", true) => (BATCH, usual),
            _ => {
                reading += 1;
                (BATCH, (usual + 10).min(19))
            }
        };
        assert_eq!((field(&stat, 41), field(&stat, 19)), expected, "{stat}");
    }
    assert!(reading >= 4, "tiny_http keeps four threads at least, not {reading}");
}

/// The name in /proc/PID/stat, which stands in brackets.
fn name(stat: &str) -> &str {
    &stat[stat.find('(').expect("a bracket") + 1..stat.rfind(')').expect("a bracket")]
}

/// A number in /proc/PID/stat by its place in proc(5); the name is the second.
fn field(stat: &str, place: usize) -> i32 {
    let (number, rest) = stat.split_at(stat.find(' ').expect("a number"));
    let after_name = rest.rsplit(") ").next().expect("a name in brackets");
    let text = if place == 1 { Some(number) } else { after_name.split(' ').nth(place - 3) };
    text.and_then(|text| text.parse().ok()).expect("a number")
}
