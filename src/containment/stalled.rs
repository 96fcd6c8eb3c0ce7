//! Clients that do not read what they are sent, or do not heed it: every answer tells them to close
//! the connection, and they go on asking on it. The library queues all they ask, without bound, and
//! the one loop writes all answers.

use std::io::{self, ErrorKind};
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Request};

use crate::containment::bodies;

/// How often a client is answered on a connection that it has been told to close. None has to be (RFC
/// 9112, 9.6), but a connection is known by its client's address alone, which may soon be another's.
const OFTEN: u32 = 16;

/// What is asked later than this after the last is not in a row any more: on so slow a connection it
/// does no harm, and it may well be on another.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How many addresses are looked at for that at a time.
const SLOTS: usize = 64;

/// Clients whose further requests are passed over until they are silent for a while.
pub struct Stalled {
    /// Sorted by address: hundreds of them, with thousands of requests each, must not slow the loop
    /// down.
    clients: Vec<(SocketAddr, Instant)>,
    /// Who has asked of late, by port.
    asking: [Asking; SLOTS],
}

/// A client, when it asked last, and how often in a row before that.
#[derive(Clone, Copy)]
struct Asking {
    client: Option<SocketAddr>,
    last: Instant,
    times: u32,
}

impl Stalled {
    /// How long a client must be silent to be forgotten; as long as an idle connection is kept.
    const SILENCE: Duration = Duration::from_secs(10);

    pub fn new() -> Stalled {
        let nobody = Asking { client: None, last: Instant::now(), times: 0 };
        Stalled { clients: Vec::new(), asking: [nobody; SLOTS] }
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
        let now = Instant::now();
        if let Ok(place) = self.find(client) {
            let last = mem::replace(&mut self.clients[place].1, now);
            if now - last < Stalled::SILENCE {
                // One answer more does no harm, and the port may be another's by now.
                return !is_last(request);
            }
            self.clients.remove(place);
        }
        let asking = &mut self.asking[usize::from(client.port()) % SLOTS];
        let in_a_row = asking.client == Some(client) && now - asking.last < AT_ONCE;
        let times = if in_a_row { asking.times + 1 } else { 0 };
        let goes_on = times >= OFTEN && !is_last(request);
        *asking = Asking { client: Some(client), last: now, times };
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
