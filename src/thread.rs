//! The program's own threads.

use std::thread::Builder;

use crate::containment::renewal;

/// Starts a thread. Those that run code of ours alone have a name; those that run tiny_http's have none.
///
/// # Errors
///
/// A sentence, when the process may start no thread.
pub fn start(name: Option<&str>, work: Box<dyn FnOnce() + Send>) -> Result<(), String> {
    let builder = match name {
        Some(name) => Builder::new().name(name.to_owned()),
        None => Builder::new(),
    };
    builder.spawn(work).map(drop).map_err(|error| {
        renewal::give_way();
        format!("cannot start another thread: {error}")
    })
}
