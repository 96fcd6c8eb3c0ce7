//! How the kernel shares the processors out among the program's threads (sched(7)). Where it refuses
//! any of this, nothing is lost.

/// Lets this thread, and all that it starts, not take the processor from the one that wakes it
/// (`SCHED_BATCH`). tiny_http wakes a thread while it still holds the lock which that thread needs
/// next: at once on the processor, it would only have to sleep again.
pub fn wake_without_haste() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        use thread_priority::{
            NormalThreadSchedulePolicy::Batch, ThreadPriority, ThreadSchedulePolicy::Normal,
            set_thread_priority_and_policy, thread_native_id,
        };
        let niceness = getpriority_process(None).unwrap_or(0);
        // The crate always sets both. 48 of 99 is its name for the niceness 0.
        let usual = ThreadPriority::try_from(48).expect("48 is from 0 to 99");
        let _ = set_thread_priority_and_policy(thread_native_id(), usual, Normal(Batch));
        let _ = setpriority_process(None, niceness);
    }
}

/// Lets this thread, and all that it starts, have what the others leave of the processor. For those that
/// read requests: what they queue without bound must not outrun the one that answers. (It counts
/// within the pod: the kernel shares the processors out among groups first.)
pub fn stand_back() {
    let _ = rustix::process::nice(19);
}
