//! How the kernel shares the processors out among the program's threads.

/// Lets no thread take the processor from the one that wakes it (`SCHED_BATCH`, sched(7)), in this
/// thread and in all that it starts. tiny_http wakes a thread while it still holds the lock which
/// that thread needs next: at once on the processor, it would only have to sleep again. Where this
/// is refused, nothing is lost.
#[cfg(target_os = "linux")]
pub fn wake_without_haste() {
    use rustix::process::{getpriority_process, setpriority_process};
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let niceness = getpriority_process(None).unwrap_or(0);
    // The crate always sets both. 48 of 99 is its name for the niceness 0.
    let usual = ThreadPriority::try_from(48).expect("48 is from 0 to 99");
    let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    let _ = set_thread_priority_and_policy(thread_native_id(), usual, batch);
    let _ = setpriority_process(None, niceness);
}

/// Other systems have no such policy.
#[cfg(not(target_os = "linux"))]
pub fn wake_without_haste() {}
