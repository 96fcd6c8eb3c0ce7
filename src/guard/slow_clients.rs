//! Clients that are ignored: those that do not read their responses, and those that go on sending
//! requests on a connection although every response asks them to close it. tiny_http queues all their
//! requests, without bound, and the one loop would answer them before anybody else's.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Request};

use crate::guard::bodies::has_header;

/// How long a client that did not read must be silent to be forgotten: as long as an idle connection
/// is kept.
const MEMORY: Duration = Duration::from_secs(10);

/// How many requests in a row are answered on a connection. After the first none has to be (RFC 9112,
/// 9.6), but a connection is known by its client's address alone, which may soon be another's.
const MAX_IN_A_ROW: u32 = 16;

/// Requests that are further apart are not in a row.
const MAX_GAP: Duration = Duration::from_secs(1);

/// How many addresses are watched for that at a time.
const SLOTS: usize = 64;

/// A client, when its last request came, and how many came before it in a row.
type Row = (SocketAddr, Instant, u32);

/// The clients that are ignored.
pub struct SlowClients {
    /// Clients to whom a write timed out, and when they last sent a request, sorted by address: with
    /// hundreds of them, thousands of requests each must not slow the loop down.
    slow: Vec<(SocketAddr, Instant)>,
    /// Clients that have sent a request lately, by port.
    rows: [Option<Row>; SLOTS],
}

impl SlowClients {
    pub fn new() -> SlowClients {
        SlowClients { slow: Vec::new(), rows: [None; SLOTS] }
    }

    /// Records a client if this error means that it does not read.
    pub fn record_write_error(&mut self, client: Option<SocketAddr>, error: &io::Error) {
        let (Some(client), ErrorKind::WouldBlock | ErrorKind::TimedOut) = (client, error.kind())
        else {
            return;
        };
        self.slow.retain(|(_, last)| last.elapsed() < MEMORY);
        if let Err(place) = self.position(client) {
            self.slow.insert(place, (client, Instant::now()));
        }
    }

    /// Records a request, and returns whether to answer it. A client that asks to close is answered: one
    /// more response does no harm, and its port may by now belong to another client.
    pub fn admit(&mut self, request: &Request) -> bool {
        let Some(&client) = request.remote_addr() else { return true };
        let now = Instant::now();
        let is_slow = match self.position(client) {
            Ok(place) if now - self.slow[place].1 < MEMORY => {
                self.slow[place].1 = now;
                true
            }
            _ => false,
        };
        let row = &mut self.rows[usize::from(client.port()) % SLOTS];
        let before = match *row {
            Some((other, last, before)) if other == client && now - last < MAX_GAP => before + 1,
            _ => 0,
        };
        *row = Some((client, now, before));
        (!is_slow && before < MAX_IN_A_ROW) || is_last_on_connection(request)
    }

    fn position(&self, client: SocketAddr) -> Result<usize, usize> {
        self.slow.binary_search_by_key(&client, |(client, _)| *client)
    }
}

/// Whether tiny_http ends the connection after this request.
fn is_last_on_connection(request: &Request) -> bool {
    let is_http_1_0 = *request.http_version() == HTTPVersion(1, 0);
    has_header(request, "Connection", "close")
        || is_http_1_0 && !has_header(request, "Connection", "keep-alive")
}
