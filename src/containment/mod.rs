//! What is here only because of tiny_http 0.12, which trusts its clients. All of it goes on the day the
//! library goes.
//!
pub mod bodies;
pub mod footprint;
pub mod heartbeat;
pub mod panics;
pub mod renewal;
pub mod scheduling;
pub mod stalled;
