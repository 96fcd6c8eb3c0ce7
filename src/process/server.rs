//! The one loop that answers all requests, one after the other.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use tiny_http::{Request, Server};

use crate::containment::heartbeat::Heartbeat;
use crate::containment::stalled::{self, Stalled};
use crate::containment::{bodies, renewal};
use crate::process::drain::Draining;
use crate::process::listener::Listener;
use crate::web::access_log::RequestLine;
use crate::web::answer::Sender;
use crate::web::endpoints::Endpoints;
use crate::web::metrics::{self, Metrics};
use crate::web::route::Route;

/// The time in which every connection that has come about is accepted, once no more can.
const ACCEPTING: Duration = Duration::from_millis(20);

/// Once accepting has ended, the silence after which no received request can be under way any more.
const QUIET: Duration = Duration::from_millis(250);

/// The longest to wait for that silence.
const LONGEST: Duration = Duration::from_millis(1500);

/// Answers requests until the drain time is over.
pub fn run(server: &Server, listener: &Listener, draining: &Draining, mut responder: Responder) {
    while !draining.is_over() {
        let received = match draining.left() {
            None => server.recv().map(Some),
            Some(left) => server.recv_timeout(left),
        };
        match received {
            Ok(Some(request)) => responder.answer(request),
            // Woken, since the drain has begun or is over.
            Ok(None) => {}
            Err(error) if error.raw_os_error().is_none() => {}
            // As we made it: the program is about to begin anew.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The library accepts no more connections. It does not say so again.
            Err(error) => renewal::ask(format!("could not accept connections any more: {error}")),
        }
    }
    listener.let_nobody_in();
    responder.answer_for(ACCEPTING, server, ACCEPTING);
    listener.close();
    responder.answer_for(LONGEST, server, QUIET);
}

/// What the loop needs for each request.
pub struct Responder<'a> {
    pub endpoints: Endpoints,
    pub metrics: Metrics,
    pub heartbeat: &'a Heartbeat,
    /// Whether to write a line per request to stdout.
    pub access_log: bool,
    pub sender: Sender,
    pub stalled: Stalled,
}

impl Responder<'_> {
    /// Answers what comes within a time, and until there is a silence.
    fn answer_for(&mut self, time: Duration, server: &Server, silence: Duration) {
        let start = Instant::now();
        let mut last = start;
        while last.elapsed() < silence && start.elapsed() < time {
            // An error of the closed listener is passed over.
            if let Ok(Some(request)) = server.recv_timeout(silence) {
                self.answer(request);
                last = Instant::now();
            }
        }
    }

    fn answer(&mut self, request: Request) {
        if self.heartbeat.hears(&request) {
            let _ = self.sender.send(request, &self.endpoints.ok);
            return;
        }
        let start = Instant::now();
        let client = request.remote_addr().copied();
        let awaits_body = bodies::awaited(&request);
        if !awaits_body && self.stalled.includes(&request) {
            return stalled::discard(request);
        }
        let route = Route::of(request.url());
        let method = metrics::method(request.method());
        let request_line = self.access_log.then(|| RequestLine::of(&request));

        let has_body = bodies::announced(&request);
        let answer = self.endpoints.answer(route, request.method(), has_body, &self.metrics);
        let status = answer.status;
        if awaits_body {
            bodies::refuse(request, answer.into_owned());
        } else if let Err(error) = self.sender.send(request, &answer) {
            self.stalled.note(client, &error);
        }

        let took = start.elapsed();
        self.metrics.count(method, route, status, took);
        if let Some(line) = request_line {
            line.log(status, took);
        }
    }
}
