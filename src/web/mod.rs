//! Requests and responses: routes, endpoints, faults, metrics, the page.

pub mod access_log;
pub mod delayed;
pub mod endpoints;
pub mod faults;
pub mod metrics;
mod page;
pub mod route;
