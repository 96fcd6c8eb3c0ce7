//! How the process listens, serves and stops.

pub mod drain;
pub mod listener;
pub mod server;
pub mod signals;
pub mod thread;
