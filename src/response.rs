//! An HTTP response.
//!
//! It is serialized here, because tiny_http's own `Response` cannot say `Connection: close`, which
//! every response does: a Service balances connections, not requests, so a client that keeps its
//! connection would see one pod only, and never the canary.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::SystemTime;

use httpdate::HttpDate;
use serde::Serialize;
use tiny_http::StatusCode;

/// The content type of JSON documents.
pub const JSON: &str = "application/json; charset=utf-8";

/// The value of the header `Server`.
const SERVER: &str = concat!("appinfo/", env!("CARGO_PKG_VERSION"));

/// A response that can be sent any number of times.
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The status line and the headers, each with its line end, except `Date`.
    head: String,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// A response with that body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        let body = body.into();
        let length = body.len().to_string();
        Response { body, ..Response::empty(status) }
            .with_header("Content-Type", content_type)
            .with_header("Content-Length", &length)
    }

    /// A response without a body and without a length, as status 204 requires (RFC 9110, 8.6).
    pub fn empty(status: u16) -> Response {
        let reason = StatusCode(status).default_reason_phrase();
        let head = format!("HTTP/1.1 {status} {reason}\r\n");
        Response { status, head, body: Cow::Borrowed(b"") }
            .with_header("Server", SERVER)
            .with_header("Cache-Control", "no-store")
            .with_header("Connection", "close")
    }

    /// A response with a JSON document, followed by a newline.
    pub fn json(status: u16, document: &impl Serialize) -> Response {
        let mut body = serde_json::to_vec(document).expect("text and maps of text are JSON");
        body.push(b'\n');
        Response::new(status, JSON, body)
    }

    /// An error: `{"error": "..."}`.
    pub fn error(status: u16, sentence: &str) -> Response {
        let sentence = serde_json::to_string(sentence).expect("text is JSON");
        Response::new(status, JSON, format!("{{\"error\":{sentence}}}\n").into_bytes())
    }

    /// Adds a header. The value must not contain a line break.
    pub fn with_header(mut self, name: &str, value: &str) -> Response {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }

    /// Adds a header, unless the value is empty or contains anything but visible ASCII.
    pub fn with_safe_header(self, name: &str, value: &str) -> Response {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return self;
        }
        self.with_header(name, value)
    }

    /// All bytes of the response; those of a response to HEAD end before the body. The `Date` is the
    /// present: an origin server with a clock must send it (RFC 9110, 6.6.1).
    pub fn message(&self, is_head: bool) -> Vec<u8> {
        let date = format!("Date: {}\r\n\r\n", HttpDate::from(SystemTime::now()));
        let body = if is_head { b"" } else { &*self.body };
        [self.head.as_bytes(), date.as_bytes(), body].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response, is_head: bool) -> String {
        String::from_utf8(response.message(is_head)).expect("the response is text")
    }

    #[test]
    fn json_response_is_complete_and_asks_to_close() {
        let text = text(&Response::json(200, &"a"), false);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\nServer: appinfo/"), "{text}");
        for header in ["Content-Length: 4", "Connection: close", "Cache-Control: no-store"] {
            assert!(text.contains(&format!("\r\n{header}\r\n")), "{text}");
        }
        assert!(text.ends_with(" GMT\r\n\r\n\"a\"\n"), "{text}");
    }

    #[test]
    fn head_response_ends_before_the_body() {
        let text = text(&Response::json(200, &"a"), true);
        assert!(text.contains("Content-Length: 4") && text.ends_with("GMT\r\n\r\n"), "{text}");
    }

    #[test]
    fn empty_response_has_no_length() {
        let text = text(&Response::empty(204), false);
        assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"), "{text}");
        assert!(!text.contains("Content-"), "{text}");
    }

    #[test]
    fn unsafe_header_values_are_left_out() {
        for (value, is_safe) in
            [("pod-1", true), ("", false), ("two words", false), ("a\r\nb", false), ("ü", false)]
        {
            let response = Response::empty(200).with_safe_header("Appinfo-Pod", value);
            assert_eq!(text(&response, false).contains("Appinfo-Pod"), is_safe, "{value:?}");
        }
    }
}
