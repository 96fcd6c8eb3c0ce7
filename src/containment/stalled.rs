//! Clients that do not read what they are sent, or do not heed it: every answer tells them to close
//! the connection, and they go on asking on it. The library queues all they ask, without bound, and
//! the one loop writes all answers.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Request};

use crate::containment::bodies;

/// How often a client is answered on a connection that it has been told to close. None has to be (RFC
/// 9112, 9.6), but a connection is known by its client's address alone, which may soon be another's.
const OFTEN: u32 = 16;

/// How many addresses are looked at for that at a time.
const SLOTS: usize = 64;

/// Clients whose further requests are passed over until they are silent for a while.
pub struct Stalled {
    /// Sorted by address: hundreds of them, with thousands of requests each, must not slow the loop
    /// down.
    clients: Vec<(SocketAddr, Instant)>,
    /// Who has asked of late, by port, and how often in a row.
    asking: [(Option<SocketAddr>, u32); SLOTS],
}

impl Stalled {
    /// How long a client must be silent to be forgotten; as long as an idle connection is kept.
    const SILENCE: Duration = Duration::from_secs(10);

    pub fn new() -> Stalled {
        Stalled { clients: Vec::new(), asking: [(None, 0); SLOTS] }
    }

    /// Notes that an answer to this client failed, if it did for want of reading.
    pub fn note(&mut self, client: Option<SocketAddr>, error: &io::Error) {
        if let (Some(client), ErrorKind::WouldBlock | ErrorKind::TimedOut) = (client, error.kind())
        {
            self.add(client);
        }
    }

    /// Whether the client that asks this is one of them.
    pub fn includes(&mut self, request: &Request) -> bool {
        let Some(&client) = request.remote_addr() else { return false };
        if let Ok(place) = self.find(client) {
            let last = &mut self.clients[place].1;
            let stalled = last.elapsed() < Stalled::SILENCE;
            if stalled {
                *last = Instant::now();
            }
            return stalled;
        }
        let (last, times) = &mut self.asking[usize::from(client.port()) % SLOTS];
        *times = if *last == Some(client) { *times + 1 } else { 0 };
        *last = Some(client);
        let goes_on = *times >= OFTEN && !is_last(request);
        if goes_on {
            self.add(client);
        }
        goes_on
    }

    fn add(&mut self, client: SocketAddr) {
        self.clients.retain(|(_, last)| last.elapsed() < Stalled::SILENCE);
        if let Err(place) = self.find(client) {
            self.clients.insert(place, (client, Instant::now()));
        }
    }

    fn find(&self, client: SocketAddr) -> Result<usize, usize> {
        self.clients.binary_search_by_key(&client, |(client, _)| *client)
    }
}

/// Whether the library ends the connection after a request, so that the next one from there comes on
/// another.
fn is_last(request: &Request) -> bool {
    let says = |word| bodies::has(request, "Connection", word);
    let is_old = *request.http_version() == HTTPVersion(1, 0);
    says("close") || says("upgrade") || is_old && !says("keep-alive")
}

/// Lets go of a request without an answer. (Dropping it would send one.) No body may be unread.
pub fn discard(request: Request) {
    drop(request.into_writer());
}
