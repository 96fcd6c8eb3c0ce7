//! Delayed responses. They wait in a queue of the one loop, which serves others meanwhile; their
//! connections are held by tiny_http's threads, as every open connection is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::web::route::Route;

/// How many connections' responses may wait; any beyond that are sent at once. More, with a thread and two open files
/// each, would come near the server's limits.
const MAX_DELAYED: usize = 1_000;

/// A request, and what is known of its response.
pub struct Exchange {
    pub request: Request,
    pub received_at: Instant,
    pub route: Route,
    /// Whether the response is to be the broken variant's.
    pub fails: bool,
}

/// The responses that wait, and when each is due, the earliest first: all are delayed by the same time.
#[derive(Default)]
pub struct Delayed(VecDeque<(Instant, Exchange)>);

impl Delayed {
    /// Delays a response; returns the exchange if it is to be completed at once.
    pub fn defer(&mut self, exchange: Exchange, delay: Duration) -> Option<Exchange> {
        // Responses on one connection keep their order: the library would block the loop for it.
        let client = exchange.request.remote_addr();
        let is_before = |(_, other): &(_, Exchange)| other.request.remote_addr() == client;
        if let Some(place) = self.0.iter().rposition(is_before) {
            self.0.insert(place + 1, (self.0[place].0, exchange));
        } else if delay.is_zero() || self.0.len() >= MAX_DELAYED {
            return Some(exchange);
        } else {
            self.0.push_back((exchange.received_at + delay, exchange));
        }
        None
    }

    /// The time until the next response is due; `None` when none waits.
    pub fn next_due(&self) -> Option<Duration> {
        Some(self.0.front()?.0.saturating_duration_since(Instant::now()))
    }

    /// The next exchange whose response is due.
    pub fn pop_due(&mut self) -> Option<Exchange> {
        self.next_due().filter(Duration::is_zero)?;
        Some(self.0.pop_front()?.1)
    }
}
