//! Threads of our own. One function starts all of them: for each type of closure std's would take
//! 1.5 kB of the image.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread.
/// Fails when the process may start no thread.
pub fn start(name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(work)
}
