//! A line per request on stdout, for users who ask for it.

use std::time::Duration;

use tiny_http::Request;

use crate::log;
use crate::web::route;

/// What the log keeps of a request until its response is sent. Bytes from a client are escaped, so that
/// none can forge a line or command a terminal.
pub struct RequestLine(String);

impl RequestLine {
    /// The method and the path of a request, cut where status and time would not fit any more.
    pub fn of(request: &Request) -> RequestLine {
        let (method, path) = (request.method().as_str(), route::path(request.url()));
        let mut line =
            format!("{} {}", method.as_bytes().escape_ascii(), path.as_bytes().escape_ascii());
        line.truncate(log::MAX_LINE_BYTES - 64);
        RequestLine(line)
    }

    /// Writes the line: method, path, status, and how many microseconds the response took.
    pub fn log(&self, status: u16, took: Duration) {
        log::to_stdout(format_args!("{} {status} {}", self.0, took.as_micros() as u64));
    }
}
