//! How the kernel shares the processors among the server's threads.

use rustix::process::getpriority_process;

use crate::common::*;

/// `SCHED_BATCH` in sched(7).
const BATCH: u32 = 3;

#[test]
fn no_thread_takes_the_processor_from_its_waker() {
    if getpriority_process(None) != Ok(0) {
        return skip("needs a niceness of 0: the program keeps another one, and its policy");
    }
    let appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let tasks = appinfo.process().tasks().expect("/proc can be read");
    // One of them may just have ended.
    let policies = tasks.filter_map(|task| task.and_then(|task| task.stat()).ok()?.policy);
    let policies: Vec<_> = policies.collect();
    assert!(policies.len() >= 7 && policies.iter().all(|policy| *policy == BATCH), "{policies:?}");
}
