//! The program as a process on this machine: its command line, its responses, the labels file, how
//! it stops and restarts. These tests are quick: `cargo test --test program`.

#[path = "../common/mod.rs"]
mod common;

mod command_line;
mod faults;
mod health_check;
mod http;
#[cfg(target_os = "linux")]
mod kernel;
mod labels;
#[cfg(target_os = "linux")]
mod outputs;
mod stopping;
#[cfg(target_os = "linux")]
mod supervisor;
