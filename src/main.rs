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
use std::sync::Arc;
use std::sync::atomic::Ordering;

use containment::heartbeat::{self, Heartbeat};
use containment::renewal::Renewal;
use containment::stalled::Stalled;
use containment::{footprint, panics, scheduling};
use pod::drain::Draining;
use pod::labels_file::LabelsFile;
use process::server::Responder;
use process::{listener, server, signals};
use settings::{Settings, Start};
use web::answer::Sender;
use web::endpoints::Endpoints;
use web::late::Late;
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
    scheduling::wake_without_haste();

    let listener = Arc::new(listener::open(&settings.listen, renewal.listener())?);
    let draining = Arc::new(Draining::default());
    if let Some(left) = renewal.drain {
        draining.begin(left);
    }
    let server = Arc::new(listener.serve()?);
    renewal.keep(&listener).map_err(|error| format!("cannot serve: {error}"))?;
    signals::heed(settings.drain, &draining, &listener, &server, renewal)?;

    let labels = LabelsFile::at(&settings.labels);
    if !is_renewed {
        // Not before signals are heeded: whoever has read this line may send one.
        log::start_line(settings.summary(listener.address()));
        labels.warn_if_absent();
    }
    let heartbeat = Arc::new(Heartbeat::of(listener.address()));
    heartbeat::start(&heartbeat, listener.clone())?;
    let heard = heartbeat.clone();
    let late = Late::default();
    let (waiting, ending) = (late.waiting.clone(), draining.clone());
    let is_waiting = move || waiting.load(Ordering::Relaxed) > 0 || ending.has_begun();
    footprint::watch(move || heard.requests(), is_waiting)?;
    let responder = Responder {
        endpoints: Endpoints::new(settings.variant, labels, settings.faults(), draining.clone()),
        metrics: Metrics::new(settings.variant.name),
        heartbeat: &heartbeat,
        access_log: settings.access_log,
        sender: Sender::default(),
        stalled: Stalled::new(),
        late,
    };
    server::run(&server, &listener, &draining, responder);
    Ok(())
}
