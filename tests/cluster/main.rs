//! What users give to a cluster: the manifests, the rules in a real Prometheus, and the tutorial,
//! played step by step.

#[path = "../common/mod.rs"]
mod common;

mod clusters;
mod dashboard;
mod manifests;
mod monitoring;
mod objects;
mod pod;
mod tutorial;
