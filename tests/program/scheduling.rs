//! How the kernel is told to share the processors out among the program's threads.

use procfs::process::Process;

use crate::common::{Start, until};

/// `SCHED_OTHER` and `SCHED_BATCH` in sched(7).
const OTHER: u32 = 0;
const BATCH: u32 = 3;

#[test]
fn no_thread_takes_the_processor_from_its_waker_and_those_that_read_stand_back() {
    let appinfo = Start::new().spawn();
    appinfo.has_settled();
    let usual = Process::myself().and_then(|process| process.stat()).expect("/proc tells").nice;
    let mut reading = 0;
    for task in appinfo.process().tasks().expect("/proc tells") {
        // One of them may just have ended.
        let Ok(stat) = task.and_then(|task| task.stat()) else { continue };
        let expected = match (stat.comm.as_str(), stat.pid == appinfo.pid()) {
            ("signals" | "footprint", _) => (OTHER, usual),
            ("heartbeat", _) | ("appinfo", true) => (BATCH, usual),
            _ => {
                reading += 1;
                (BATCH, 19)
            }
        };
        assert_eq!((stat.policy.expect("a policy"), stat.nice), expected, "{stat:?}");
    }
    assert!(reading >= 4, "tiny_http keeps four threads at least, not {reading}");
}

#[test]
fn at_rest_nothing_wakes_the_thread_that_looks_at_what_the_process_holds() {
    let appinfo = Start::new().spawn();
    appinfo.has_settled();
    let wakes = |thread: &str| {
        let tasks = appinfo.process().tasks().expect("/proc tells").filter_map(Result::ok);
        let mut statuses = tasks.filter_map(|task| task.status().ok());
        let status = statuses.find(|status| status.name == thread).expect("the thread is there");
        status.voluntary_ctxt_switches.expect("the kernel counts")
    };
    // Of its last look after the start.
    let (footprint, heartbeat) = (wakes("footprint"), wakes("heartbeat"));
    until("the heart has beaten twice", || wakes("heartbeat") >= heartbeat + 8);
    let woken = wakes("footprint") - footprint;
    assert!(woken <= 2, "it was woken {woken} times");
}
