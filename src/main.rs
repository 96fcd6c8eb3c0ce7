//! appinfo tells, as JSON, how its Kubernetes pod is deployed: the program to teach, learn and
//! test a canary deployment with.
//!
//! There are two processes. The first opens the listening socket and becomes the
//! [`supervisor`]; the second is the [`server`], which the supervisor restarts when it crashes.
//!
//! A request's way through the server: tiny_http reads it, the [`guard`] receives it and keeps
//! away what would do harm, [`web::route`] says what is requested, [`web::faults`] whether the
//! response fails or waits in [`web::delayed`], [`web::endpoints`] what it is, and the guard sends it.
#![forbid(unsafe_code)]

mod client;
mod guard;
mod log;
mod pod;
mod process;
mod response;
mod settings;
mod threads;
mod web;

use std::process::ExitCode;

use pod::labels_file;
use process::{health_check, listener, server, signals, supervisor};
use settings::{Invocation, Settings};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    signals::block();
    match Invocation::read() {
        Invocation::Run(settings) => run(&settings),
        Invocation::Check(settings) => health_check::run(settings.listen),
        Invocation::Print(text) => log::print(&text),
        Invocation::Invalid(why) => log::fail(2, &why),
    }
}

fn run(settings: &Settings) -> ExitCode {
    if let Some(assignment) = supervisor::assignment() {
        return server::run(settings, assignment);
    }
    let listener = match listener::open(settings.listen) {
        Ok(listener) => listener,
        Err(why) => return log::fail(1, &why),
    };
    log::start_line(settings.summary(&listener));
    labels_file::warn_if_absent(&settings.labels);
    supervisor::run(listener, settings.drain)
        .unwrap_or_else(|assignment| server::run(settings, assignment))
}
