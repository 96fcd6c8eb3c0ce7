//! How the process listens, serves and stops.

pub mod listener;
pub mod server;
pub mod signals;
