//! What the program says on its two outputs. Nothing here panics when an output is closed, as
//! `println!` and `eprintln!` do.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::settings::Settings;

/// The program's name and version, as in `appinfo 0.1.0`.
pub const NAME_AND_VERSION: &str = concat!("appinfo ", env!("CARGO_PKG_VERSION"));

/// Writes one line to stderr, the program's name before it.
pub fn line(message: impl Display) {
    let _ = writeln!(io::stderr(), "appinfo: {message}");
}

/// Says how the program was started, and where it listens.
pub fn start_line(settings: &Settings, address: SocketAddr) {
    let (variant, labels) = (settings.variant.name, settings.labels.display());
    let _ = writeln!(
        io::stderr(),
        "{NAME_AND_VERSION}: variant {variant}, listening on {address}, labels from {labels}"
    );
}

/// Prints what was asked for (the help, the version) to stdout.
pub fn print(text: &str) -> ExitCode {
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says why the program ends, and gives the status to end it with.
pub fn fail(status: u8, why: &str) -> ExitCode {
    line(why);
    ExitCode::from(status)
}
