//! `appinfo --check`: a health check for images without a shell, as Docker and compose run them.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use crate::client;
use crate::log;

/// How long each of two steps may take: to connect, and to respond.
const TIMEOUT: Duration = Duration::from_millis(450);

/// Asks the program that listens there whether it is ready: status 0 if so, else a sentence and 1.
pub fn run(listen: SocketAddr) -> ExitCode {
    let address = client::reachable(listen);
    let why = match client::get(address, "/readyz", TIMEOUT) {
        Ok(line) if line.ends_with(b" 200") => return ExitCode::SUCCESS,
        Ok(line) => {
            let status = String::from_utf8_lossy(&line[9..]);
            format!("the program at {address} is not ready: /readyz says {status}.")
        }
        Err(error) => format!(
            "no response from {address}: {error}. --listen or APPINFO_LISTEN names the address of \
             the program to check."
        ),
    };
    log::fail(1, &why)
}
