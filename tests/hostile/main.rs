//! The program among clients as they come: those that people use, those that are slow or broken,
//! and those that mean harm. Beside each attack a client that means well is answered.

#[path = "../common/mod.rs"]
mod common;

mod abuse;
mod attack;
mod clients;
mod generator;
mod heartbeat;
mod memory;
