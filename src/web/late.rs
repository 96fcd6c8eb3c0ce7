//! Answers that wait until they are late enough. They wait in a queue of the one loop's, which goes on
//! meanwhile; what holds their connections is the library's threads, as for every open connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::containment::bodies::Body;
use crate::web::route::Route;

/// How many answers may wait; who asks beyond that is answered at once. More of them, with a thread and
/// two files each, would come near what a pod may hold.
const MOST: usize = 1_000;

/// What has been asked.
pub struct Asked {
    pub request: Request,
    pub came: Instant,
    pub route: Route,
    pub body: Body,
    /// Whether the answer is to be the broken variant's.
    pub fails: bool,
}

/// The answers that wait.
#[derive(Default)]
pub struct Late {
    /// When each is due, the first of them first.
    queue: VecDeque<(Instant, Asked)>,
}

/// How many there are, for other threads.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Whether an answer waits.
pub fn are_any() -> bool {
    WAITING.load(Ordering::Relaxed) > 0
}

impl Late {
    /// Lets an answer wait for as long as it is to be late. Gives back what is to be answered at once.
    pub fn hold(&mut self, asked: Asked, delay: Duration) -> Option<Asked> {
        // Answers on one connection keep their order: the library would let the loop wait for it.
        let client = asked.request.remote_addr();
        let behind =
            self.queue.iter().rposition(|(_, other)| other.request.remote_addr() == client);
        if let Some(place) = behind {
            self.queue.insert(place + 1, (self.queue[place].0, asked));
        } else if delay.is_zero() || self.queue.len() >= MOST {
            return Some(asked);
        } else {
            self.queue.push_back((asked.came + delay, asked));
        }
        self.tell();
        None
    }

    fn tell(&self) {
        WAITING.store(self.queue.len(), Ordering::Relaxed);
    }

    /// For how long no answer is due; `None` when none waits.
    pub fn left(&self) -> Option<Duration> {
        Some(self.queue.front()?.0.saturating_duration_since(Instant::now()))
    }

    /// The next answer that is due.
    pub fn due(&mut self) -> Option<Asked> {
        self.left().filter(Duration::is_zero)?;
        let (_, asked) = self.queue.pop_front()?;
        self.tell();
        Some(asked)
    }
}
