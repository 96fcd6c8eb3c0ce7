//! The end of a pod. Kubernetes sends SIGTERM and, at the same time, begins to take the pod out
//! of its Services, which takes a while to reach every node; so the program goes on serving for
//! some seconds before it stops
//! (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-flow>).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Whether the pod drains, and until when; shared by all threads.
#[derive(Default)]
pub struct Draining(OnceLock<Instant>);

impl Draining {
    /// Begins the drain: the pod is not ready any more, and serves for this time.
    pub fn begin(&self, time: Duration) {
        self.0.get_or_init(|| Instant::now() + time);
    }

    /// Whether the drain has begun.
    pub fn has_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// How long the drain still lasts; `None` when it is over, and before it has begun.
    pub fn left(&self) -> Option<Duration> {
        self.0.get()?.checked_duration_since(Instant::now())
    }
}
