//! The processes: how they start, listen, serve and stop.

pub mod health_check;
mod limits;
#[cfg(target_os = "linux")]
mod linux_socket;
pub mod listener;
pub mod server;
pub mod signals;
pub mod supervisor;
