//! The processes: how they start, listen, serve and stop.

pub mod health_check;
mod limits;
pub mod listener;
mod scheduling;
pub mod server;
pub mod signals;
pub mod supervisor;
mod syn_filter;
