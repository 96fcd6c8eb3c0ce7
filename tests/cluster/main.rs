//! What is given to a cluster: the manifests, what a real Prometheus makes of them, and the
//! README's tutorial, run step by step.

#[path = "../common/mod.rs"]
mod common;

mod clusters;
mod dashboard;
mod manifests;
mod monitoring;
mod objects;
mod pod;
mod tutorial;
