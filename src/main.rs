//! appinfo tells, as JSON, how its Kubernetes pod is deployed: the program to teach, learn and
//! test a canary deployment with. A request's way: [`listener`], [`server`], [`route`],
//! [`endpoints`] (and there the [`variant`]), [`answer`].
#![forbid(unsafe_code)]

mod access_log;
mod answer;
mod appinfo;
mod drain;
mod endpoints;
mod guard;
mod heartbeat;
mod labels;
mod labels_file;
mod listener;
mod log;
mod metrics;
mod page;
mod route;
mod scheduling;
mod server;
mod settings;
mod variant;

use std::process::ExitCode;
use std::sync::Arc;

use drain::Draining;
use endpoints::Endpoints;
use heartbeat::Heartbeat;
use labels_file::LabelsFile;
use settings::{Settings, Start};

fn main() -> ExitCode {
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
    guard::contain_library_panics();
    guard::raise_open_files_limit();
    scheduling::wake_without_haste();

    let listener = listener::open(&settings.listen)?;
    let address = listener.address();
    let heartbeat = Arc::new(Heartbeat::of(address));
    let draining = Arc::new(Draining::default());
    let server = Arc::new(listener.serve()?);
    drain::on_signals(settings.drain, &draining, listener, &server)?;

    // Not before signals are heeded: whoever has read this line may send one.
    log::start_line(settings, address);
    let labels = LabelsFile::at(&settings.labels);
    labels.warn_if_absent();
    let endpoints = Endpoints::new(settings.variant, labels, draining.clone());
    heartbeat::start(&heartbeat, &draining)?;
    server::run(&server, endpoints, &heartbeat, &draining, settings.access_log)
}
