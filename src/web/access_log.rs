//! What a line of the access log says of a request.

use tiny_http::Request;

use crate::log;
use crate::web::route;

/// The method and the path of a request, cut where status and time would not fit the line any more. Bytes
/// from a client are escaped, so that none can forge a line or command a terminal.
pub fn method_and_path(request: &Request) -> String {
    let (method, path) = (request.method().as_str(), route::path(request.url()));
    let mut text =
        format!("{} {}", method.as_bytes().escape_ascii(), path.as_bytes().escape_ascii());
    text.truncate(log::MAX_LINE_BYTES - 64);
    text
}
