//! The one loop that answers all requests, one after the other.

use std::time::{Duration, Instant};

use tiny_http::{Request, Server};

use crate::access_log::RequestLine;
use crate::answer::Sender;
use crate::drain::Draining;
use crate::endpoints::{Endpoints, body_refused};
use crate::guard::{self, Stalled};
use crate::heartbeat::Heartbeat;
use crate::metrics;
use crate::route::Route;

/// Once accepting has ended, the silence after which no received request can be under way any more.
const QUIET: Duration = Duration::from_millis(250);

/// The longest to wait for that silence.
const LONGEST: Duration = Duration::from_secs(5);

/// Answers requests until the drain time is over.
///
/// # Errors
///
/// A sentence, when the library has stopped accepting connections by itself.
pub fn run(
    server: &Server,
    endpoints: Endpoints,
    heartbeat: &Heartbeat,
    draining: &Draining,
    access_log: bool,
) -> Result<(), String> {
    let mut responder = Responder {
        endpoints,
        heartbeat,
        access_log,
        sender: Sender::default(),
        stalled: Stalled::default(),
    };
    loop {
        match server.recv() {
            Ok(request) => responder.answer(request),
            Err(_) if draining.is_over() => break,
            Err(error) => return Err(format!("cannot accept connections any more: {error}")),
        }
    }
    // What has been received is answered; an error of the closed listener is passed over.
    let closed = Instant::now();
    let mut last = closed;
    while last.elapsed() < QUIET && closed.elapsed() < LONGEST {
        if let Ok(Some(request)) = server.recv_timeout(QUIET) {
            responder.answer(request);
            last = Instant::now();
        }
    }
    Ok(())
}

/// What the loop needs for each request.
struct Responder<'a> {
    endpoints: Endpoints,
    heartbeat: &'a Heartbeat,
    access_log: bool,
    sender: Sender,
    stalled: Stalled,
}

impl Responder<'_> {
    fn answer(&mut self, request: Request) {
        if self.heartbeat.has_sent(&request) {
            self.heartbeat.has_arrived();
            let _ = self.sender.send(request, &self.endpoints.ok);
            return;
        }
        let start = Instant::now();
        let client = request.remote_addr().copied();
        let has_unread_body = guard::has_unread_body(&request);
        if !has_unread_body && self.stalled.includes(client) {
            return guard::discard(request);
        }
        let route = Route::of(request.url());
        let method = metrics::method(request.method());
        let request_line = self.access_log.then(|| RequestLine::of(&request));

        let status = if has_unread_body {
            let refusal = body_refused();
            let status = refusal.status;
            guard::refuse_body(request, refusal);
            status
        } else {
            let answer = self.endpoints.answer(route, &request);
            if let Err(error) = self.sender.send(request, &answer) {
                self.stalled.note(client, &error);
            }
            answer.status
        };

        let took = start.elapsed();
        self.endpoints.metrics.count(method, route, status, took);
        if let Some(line) = request_line {
            line.log(status, took);
        }
    }
}
