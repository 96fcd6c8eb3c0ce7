//! What the tests share.
#![allow(
    dead_code,
    unused_imports,
    reason = "every test binary, and the demo, uses its own part of this"
)]

mod client;
pub mod engines;
mod labels;
pub mod pod;
mod process;
pub mod server;
pub mod service;
mod tools;
mod waiting;

pub use client::{REQUEST, Response, connect, exchange, get, read_response, send, try_get};
pub use labels::DownwardApi;
#[cfg(target_os = "linux")]
pub use process::children;
pub use process::{
    Appinfo, Lines, MUSL_TARGET, SIGINT, SIGKILL, SIGTERM, Start, await_draining,
    listening_address, program, release_binary, signal,
};
pub use tools::{Folder, have, not_asked_for, repository, run, skip, text};
pub use waiting::{DEADLINE, each, eventually, until};
