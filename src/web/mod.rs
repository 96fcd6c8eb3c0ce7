//! What is asked, and what is answered.

pub mod access_log;
pub mod answer;
pub mod endpoints;
pub mod faults;
pub mod late;
pub mod metrics;
pub mod page;
pub mod route;
