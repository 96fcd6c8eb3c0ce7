//! Clients that do not read their responses, or go on sending requests on a connection although every
//! response asks them to close it. tiny_http queues all their requests, without bound, and the one loop
//! would answer them before anybody else's. So their connections are shut down.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::guard::connection::{client, is_last_on_connection};

/// How many requests in a row are answered on a connection. Only the first has to be (RFC 9112, 9.6), but a
/// client that pipelines sends some more before it reads that.
pub const MAX_IN_A_ROW: u32 = 16;

/// Requests that are further apart are not in a row.
const MAX_GAP: Duration = Duration::from_secs(1);

/// How many clients are counted at a time. Of two in one slot, each starts a new row.
const SLOTS: usize = 64;

/// The clients that have sent a request lately, by port, when that was, and how many in a row.
pub struct Rows([Option<(SocketAddr, Instant, u32)>; SLOTS]);

impl Rows {
    pub fn new() -> Rows {
        Rows([None; SLOTS])
    }

    /// Records a request, and returns how many its client has sent in a row, with this one. A request that
    /// ends its connection starts a new row: the port may by now belong to another client.
    pub fn record(&mut self, request: &Request) -> u32 {
        let client = client(request);
        let row = &mut self.0[usize::from(client.port()) % SLOTS];
        let goes_on = |(other, last, _): &(SocketAddr, Instant, u32)| {
            *other == client && last.elapsed() < MAX_GAP && !is_last_on_connection(request)
        };
        let before = row.filter(goes_on).map_or(0, |(_, _, before)| before);
        *row = Some((client, Instant::now(), before + 1));
        before + 1
    }
}
