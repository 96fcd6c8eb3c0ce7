//! How the kernel shares the processors among the server's threads (sched(7)).

/// Keeps this thread, and all that it starts, from taking the processor away from the thread that wakes
/// it (`SCHED_BATCH`). tiny_http wakes a thread while it holds a lock that this thread needs next. With 16
/// clients this saves a third of the processor time of a response (`cargo bench`). Where the kernel
/// refuses, nothing is lost.
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
