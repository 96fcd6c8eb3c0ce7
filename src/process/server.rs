//! The server process: one loop that answers all requests, one after the other.

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tiny_http::Request;

use crate::guard::{self, CRASHED, Guard};
use crate::log;
use crate::pod::drain::Draining;
use crate::pod::labels_file::LabelsFile;
use crate::process::supervisor::{Assignment, CANNOT_START};
use crate::process::{limits, listener, signals};
use crate::settings::Settings;
use crate::threads;
use crate::web::access_log;
use crate::web::delayed::{Delayed, Exchange};
use crate::web::endpoints::{Endpoints, is_read};
use crate::web::faults::Faults;
use crate::web::metrics::{self, Metrics};
use crate::web::route::Route;

/// How long tiny_http may take to accept what waits in the queue, until it is looked at again.
const ACCEPT_PERIOD: Duration = Duration::from_millis(20);

/// How long nothing must come, once accepting has ended: by then the requests of all accepted connections
/// have been read.
const QUIET_PERIOD: Duration = Duration::from_millis(250);

/// How long the end may take at most, delayed responses apart.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1500);

/// Serves until a signal has come and the drain is over. A supervisor logs the end of its server, so that
/// a supervised one exits silently, with a status of its own.
pub fn run(settings: &Settings, assignment: Assignment) -> ExitCode {
    let is_supervised = assignment.supervisor.is_some();
    match Server::start(settings, assignment) {
        Err(why) => log::fail(if is_supervised { CANNOT_START } else { 1 }, &why),
        Ok(mut server) => match server.serve_until_drained() {
            Err(_) if is_supervised => ExitCode::from(CRASHED),
            Err(error) => log::fail(1, &format!("cannot accept connections any more: {error}")),
            Ok(()) => {
                server.shut_down();
                ExitCode::SUCCESS
            }
        },
    }
}

/// What the loop needs for each request.
struct Server {
    listener: TcpListener,
    guard: Guard,
    draining: &'static Draining,
    endpoints: Endpoints,
    faults: Faults,
    delayed: Delayed,
    metrics: Metrics,
    access_log: bool,
}

impl Server {
    /// Starts to accept connections, within the limits of a supervised server.
    /// Fails with a sentence when the process may not do what serving takes.
    fn start(settings: &Settings, assignment: Assignment) -> Result<Server, String> {
        let Assignment { listener, supervisor, restarts, drain } = assignment;
        let cannot_serve = |error: io::Error| format!("cannot serve: {error}");
        // It was started as `/proc/self/exe`, and would be listed as "exe".
        #[cfg(target_os = "linux")]
        let _ = rustix::thread::set_name(c"appinfo");
        if let Some(supervisor) = supervisor {
            if !limits::tie_to(supervisor) {
                return Err("cannot serve: the supervisor has ended".to_owned());
            }
            let limited = limits::apply();
            if let (Err(error), 0) = (limited, restarts) {
                log::line(format_args!("cannot limit the server process: {error}"));
            }
        }
        let guard = Guard::start(&listener, supervisor.is_some()).map_err(cannot_serve)?;
        threads::use_batch_scheduling();
        // Shared with the thread that takes signals, until the process ends.
        let draining: &_ = Box::leak(Box::new(Draining::default()));
        drain.inspect(|left| draining.begin(*left));
        signals::handle(settings.drain, draining, supervisor.is_some(), guard.waker())
            .map_err(cannot_serve)?;
        let labels = LabelsFile::at(&settings.labels);
        Ok(Server {
            listener,
            guard,
            draining,
            endpoints: Endpoints::new(settings.variant, labels, draining),
            faults: settings.faults.clone(),
            delayed: Delayed::default(),
            metrics: Metrics::new(settings.variant.name, restarts),
            access_log: settings.access_log,
        })
    }

    /// Fails when no connection can be accepted any more.
    fn serve_until_drained(&mut self) -> io::Result<()> {
        while !self.draining.has_begun() {
            self.serve(Duration::MAX)?;
        }
        listener::accept_silent_connections(&self.listener);
        while let Some(left) = self.draining.left() {
            self.serve(left)?;
        }
        Ok(())
    }

    /// Answers what was sent before the end: first on the connections that still wait to be accepted, then
    /// on those that are accepted, then what is delayed. Then the clients send the rest of their bodies.
    fn shut_down(&mut self) {
        // No new delays: a client that keeps sending would otherwise keep the process alive.
        self.faults.delay = Duration::ZERO;
        let end = Instant::now() + SHUTDOWN_TIMEOUT;
        listener::drop_new_connections(&self.listener);
        loop {
            self.serve_until_quiet(ACCEPT_PERIOD, Instant::now() + ACCEPT_PERIOD);
            if !listener::has_pending_connection(&self.listener) || Instant::now() > end {
                break;
            }
        }
        listener::close(&self.listener);
        self.serve_until_quiet(QUIET_PERIOD, end);
        while self.delayed.next_due().is_some() {
            let _ = self.serve(Duration::MAX);
        }
        let end = end.max(Instant::now() + QUIET_PERIOD);
        while guard::is_draining_bodies() && Instant::now() < end {
            let _ = self.serve(ACCEPT_PERIOD);
        }
    }

    /// Serves until nothing has come for this long, or until `end`.
    fn serve_until_quiet(&mut self, silence: Duration, end: Instant) {
        let mut last = Instant::now();
        while last.elapsed() < silence && Instant::now() < end {
            // Once the listener is closed, one call fails.
            if let Ok(true) = self.serve(silence) {
                last = Instant::now();
            }
        }
    }

    /// Waits for requests, for this time at most and no longer than until a delayed response is due, and
    /// answers all that have come by then; returns whether one has.
    /// Fails when no connection can be accepted any more.
    fn serve(&mut self, timeout: Duration) -> io::Result<bool> {
        let timeout = self.delayed.next_due().map_or(timeout, |due| due.min(timeout));
        let requests = self.guard.receive(timeout)?;
        let has_received = !requests.is_empty();
        self.endpoints.refresh();
        while let Some(exchange) = self.delayed.pop_due() {
            self.respond(exchange);
        }
        for request in requests {
            self.handle(request);
        }
        Ok(has_received)
    }

    fn handle(&mut self, request: Request) {
        let route = Route::of(request.url());
        let has_faults = route == Route::AppInfo && is_read(request.method());
        let (fails, delay) = if has_faults { self.faults.next() } else { (false, Duration::ZERO) };
        let exchange = Exchange { request, received_at: Instant::now(), route, fails };
        if let Some(exchange) = self.delayed.defer(exchange, delay) {
            self.respond(exchange);
        }
    }

    /// Sends the response, and counts it.
    fn respond(&mut self, exchange: Exchange) {
        let Exchange { request, received_at, route, fails } = exchange;
        let response = self.endpoints.response(route, request.method(), fails, &self.metrics);
        let status = response.status;
        let method = metrics::method(request.method());
        let method_and_path = self.access_log.then(|| access_log::method_and_path(&request));
        self.guard.respond(request, response);

        let took = received_at.elapsed();
        self.metrics.count(method, route, status, took);
        if let Some(method_and_path) = method_and_path {
            let microseconds = took.as_micros() as u64;
            log::to_stdout(format_args!("{method_and_path} {status} {microseconds}"));
        }
    }
}
