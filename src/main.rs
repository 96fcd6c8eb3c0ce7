//! appinfo tells, as JSON, how its Kubernetes pod is deployed: the program to teach, learn and
//! test a canary deployment with.
//!
//! A request's way: [`process::listener`] lets it in, tiny_http reads it, and the one loop in
//! [`process::server`] takes it. There [`containment`] sorts out what would do harm, the program's own
//! [`heartbeat`] first; [`web::route`] says what is asked for, [`web::endpoints`] what is answered,
//! for the pod's [`variant`](pod::variant) has its say, and [`web::answer`] is sent.
#![forbid(unsafe_code)]

mod containment;
mod log;
mod pod;
mod process;
mod settings;
mod thread;
mod web;

use std::process::ExitCode;

use containment::heartbeat::{self, Heartbeat};
use containment::renewal::Renewal;
use containment::stalled::Stalled;
use containment::{footprint, panics, scheduling};
use pod::drain::Draining;
use pod::labels_file::{self, LabelsFile};
use process::server::Responder;
use process::{listener, server, signals};
use settings::{Settings, Start};
use web::answer::Sender;
use web::endpoints::Endpoints;
use web::late::{self, Late};
use web::metrics::Metrics;

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    signals::hold_back();
    let settings = match Settings::read() {
        Start::With(settings) => settings,
        Start::Print(text) => return log::print(&text),
        Start::Refuse(why) => return log::fail(2, &why),
    };
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => log::fail(1, &why),
    }
}

/// Serves until it is told to stop; an error is a sentence.
fn run(settings: &Settings) -> Result<(), String> {
    let mut renewal = Renewal::of_former_self();
    let is_renewed = renewal.has_happened();
    panics::contain(is_renewed);
    footprint::raise_open_files_limit();

    let listener = shared(listener::open(&settings.listen, renewal.listener())?);
    renewal.keep(listener)?;
    // In other threads, beside all that does not need it.
    let serving = listener.serve()?;

    let draining = shared(Draining::default());
    if let Some(left) = renewal.drain {
        draining.begin(left);
    }
    let heartbeat = shared(Heartbeat::of(listener.address()));
    let labels = LabelsFile::at(&settings.labels);
    let responder = Responder {
        endpoints: Endpoints::new(settings.variant, labels, settings.faults(), draining),
        metrics: Metrics::new(settings.variant.name),
        heartbeat,
        access_log: settings.access_log,
        sender: Sender::default(),
        stalled: Stalled::new(),
        late: Late::default(),
    };

    let server = shared(serving()?);
    signals::heed(settings.drain, draining, listener, server, renewal)?;
    if !is_renewed {
        // Not before signals are heeded: whoever has read this line may send one.
        log::start_line(settings.summary(listener.address()));
        labels_file::warn_if_absent(&settings.labels);
    }
    let settle = || {
        footprint::watch(|| heartbeat.requests(), || late::are_any() || draining.has_begun())?;
        // Those that have been started by now must not come too late.
        scheduling::wake_without_haste();
        heartbeat::start(heartbeat, listener)
    };
    if is_renewed {
        settle()?; // Whoever has made it begin anew may be waiting in the queue.
    }
    server::run(server, listener, draining, responder, (!is_renewed).then_some(settle))
}

/// What all threads share, for as long as the process lives.
fn shared<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
