//! The one loop that answers all requests, one after the other.

use std::io;
use std::time::{Duration, Instant};

use tiny_http::{Request, Server};

use crate::containment::bodies::{self, Body};
use crate::containment::heartbeat::Heartbeat;
use crate::containment::renewal;
use crate::containment::stalled::Stalled;
use crate::pod::drain::Draining;
use crate::process::listener::Listener;
use crate::web::access_log::RequestLine;
use crate::web::answer::Sender;
use crate::web::endpoints::Endpoints;
use crate::web::faults::Fault;
use crate::web::late::{Asked, Late};
use crate::web::metrics::{self, Metrics};
use crate::web::route::Route;

/// How long the first request is waited for. Not less: woken when less than a millisecond is left, the
/// library's `recv_timeout` gives up, whether a request has come or not.
const FIRST: Duration = Duration::from_millis(10);

/// The time in which every connection that has come about is accepted, once no more can; on a busy
/// machine several times that.
const ACCEPTING: Duration = Duration::from_millis(20);

/// Once accepting has ended, the silence after which no received request can be under way any more.
const QUIET: Duration = Duration::from_millis(250);

/// The longest that all of this may take, late answers apart.
const LONGEST: Duration = Duration::from_millis(1500);

/// Answers requests until the drain time is over. What there is to settle is settled when the first have
/// been answered, or [`FIRST`] is over: whoever asks at once does not wait for it.
///
/// # Errors
///
/// Why it could not be settled.
pub fn run(
    server: &Server,
    listener: &Listener,
    draining: &Draining,
    mut responder: Responder,
    mut unsettled: Option<impl FnOnce() -> Result<(), String>>,
) -> Result<(), String> {
    while !draining.is_over() {
        let time = if unsettled.is_some() { Some(FIRST) } else { draining.left() };
        match responder.serve(server, time) {
            Ok(_) => {}
            // Woken, since the drain has begun.
            Err(error) if error.raw_os_error().is_none() => {}
            // The library accepts no more connections, and does not say so again. It is enough that
            // nobody has connected, not even the heart, for as long as a connection may be silent.
            Err(error) => {
                let why = format!("could not accept connections any more: {error}");
                renewal::ask(why, renewal::LAST_ANSWERS);
            }
        }
        if let Some(settle) = unsettled.take() {
            settle()?;
        }
    }
    // Whoever goes on asking now has not to wait: the process would live for as long as they do.
    responder.endpoints.faults.delay = Duration::ZERO;
    listener.let_nobody_in();
    let start = Instant::now();
    responder.answer_for(ACCEPTING, server, ACCEPTING);
    while listener.has_waiting() && start.elapsed() < LONGEST {
        responder.answer_for(ACCEPTING, server, ACCEPTING);
    }
    listener.close();
    responder.answer_for(LONGEST.saturating_sub(start.elapsed()), server, QUIET);
    while bodies::are_refused() && start.elapsed() < LONGEST {
        responder.answer_for(ACCEPTING, server, ACCEPTING);
    }
    while responder.late.left().is_some() {
        let _ = responder.serve(server, None);
    }
    Ok(())
}

/// How many requests are taken at a time, so that one look at the labels does for all of them. Beside
/// many clients that saves a tenth of the processor time.
const BATCH: usize = 32;

/// What the loop needs for each request.
pub struct Responder {
    pub endpoints: Endpoints,
    pub metrics: Metrics,
    pub heartbeat: &'static Heartbeat,
    /// Whether to write a line per request to stdout.
    pub access_log: bool,
    pub sender: Sender,
    pub stalled: Stalled,
    pub late: Late,
}

impl Responder {
    /// Waits for a request, this long at most and no longer than until a late answer is due, and
    /// answers it and all that have come by then; tells whether one has come.
    ///
    /// # Errors
    ///
    /// The library's, when it accepts no more connections; or one of no number, when it was woken.
    fn serve(&mut self, server: &Server, time: Option<Duration>) -> io::Result<bool> {
        let mut received = match self.late.left().into_iter().chain(time).min() {
            None => server.recv().map(Some),
            Some(time) => server.recv_timeout(time),
        };
        let mut batch = Vec::new();
        while let Ok(Some(request)) = received {
            batch.push(request);
            received = if batch.len() < BATCH { server.try_recv() } else { Ok(None) };
        }
        self.endpoints.look_again();
        while let Some(asked) = self.late.due() {
            self.give(asked);
        }
        let has_come = !batch.is_empty();
        for request in batch {
            self.answer(request);
        }
        received.map(|_| has_come)
    }

    /// Answers what comes within a time, and until there is a silence.
    fn answer_for(&mut self, time: Duration, server: &Server, silence: Duration) {
        let start = Instant::now();
        let mut last = start;
        while last.elapsed() < silence && start.elapsed() < time {
            // An error of the closed listener is passed over.
            if let Ok(true) = self.serve(server, Some(silence)) {
                last = Instant::now();
            }
        }
    }

    fn answer(&mut self, request: Request) {
        if self.heartbeat.hears(&request) {
            let _ = self.sender.send(request, &self.endpoints.ok);
            return;
        }
        let (came, body) = (Instant::now(), Body::of(&request));
        if bodies::is_refused(&request) || self.stalled.includes(&request) {
            return bodies::discard(request, body);
        }
        let route = Route::of(request.url());
        let Fault { fails, delay } = self.endpoints.fault(route, request.method(), body);
        let asked = Asked { request, came, route, body, fails };
        if let Some(asked) = self.late.hold(asked, delay) {
            self.give(asked);
        }
    }

    /// Gives the answer to what has been asked, and counts it.
    fn give(&mut self, asked: Asked) {
        let answer = self.endpoints.answer(&asked, &self.metrics);
        let Asked { request, came, route, body, .. } = asked;
        let (client, status) = (request.remote_addr().copied(), answer.status);
        let method = metrics::method(request.method());
        let request_line = self.access_log.then(|| RequestLine::of(&request));
        if body == Body::Awaited {
            bodies::refuse(request, Some(answer.into_owned()));
        } else if let Err(error) = self.sender.send(request, &answer) {
            self.stalled.note(client, &error);
        }

        let took = came.elapsed();
        self.metrics.count(method, route, status, took);
        if let Some(line) = request_line {
            line.log(status, took);
        }
    }
}
