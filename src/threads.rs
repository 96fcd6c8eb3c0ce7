//! How threads start, and how the kernel shares the processors among them (sched(7)).

use std::io;
use std::thread::Builder;

/// Starts a thread of our own. For each type of closure std's function would take 1.5 kB of the image.
/// Fails when the process may start no thread.
pub fn start(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Keeps this thread from taking the processor away from the thread that wakes it (`SCHED_BATCH`): tiny_http
/// wakes the loop while it holds a lock that the loop needs next. With 16 clients this saves a fifth of the
/// processor time of a response. Not for tiny_http's own threads: in a burst of 1,000 connections they would
/// wait for the lock of the one that accepts, which would start 2,900 others. The kernel may refuse it.
pub fn use_batch_scheduling() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy::Batch, ThreadPriority, ThreadSchedulePolicy::Normal,
            set_thread_priority_and_policy, thread_native_id,
        };
        // The crate sets the niceness as well, and 48 is its name for 0: a process that was given
        // another one keeps it, and its policy.
        let is_usual = rustix::process::getpriority_process(None) == Ok(0);
        if let (true, Ok(usual)) = (is_usual, ThreadPriority::try_from(48)) {
            let _ = set_thread_priority_and_policy(thread_native_id(), usual, Normal(Batch));
        }
    }
}

/// Gives this thread, and all that it starts, what the others leave of the processors. tiny_http's threads
/// then read many requests in a row, and the loop answers many: with 64 clients this saves a tenth of the
/// processor time of a response, measured with and without it.
pub fn lower_priority() {
    let _ = rustix::process::nice(19);
}
