//! An HTTP response.
//!
//! It is serialized here, because tiny_http's own `Response` cannot say `Connection: close`, which
//! every response does: a Service balances connections, not requests, so a client that keeps its
//! connection would see one pod only, and never the canary.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
    /// The status line, with its line end.
    status_line: String,
    /// The headers, each with its line end, except `Date`. The first one is `Server`.
    headers: String,
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
        Response {
            status,
            status_line: format!("HTTP/1.1 {status} {reason}\r\n"),
            headers: String::new(),
            body: Cow::Borrowed(b""),
        }
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
        #[derive(Serialize)]
        struct Error<'a> {
            error: &'a str,
        }
        Response::json(status, &Error { error: sentence })
    }

    /// Adds a header. The value must not contain a line break.
    pub fn with_header(mut self, name: &str, value: &str) -> Response {
        let _ = write!(self.headers, "{name}: {value}\r\n");
        self
    }

    /// Adds a header, unless the value is empty or contains anything but visible ASCII.
    pub fn with_safe_header(self, name: &str, value: &str) -> Response {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return self;
        }
        self.with_header(name, value)
    }

    /// The headers from the value of `Server` on, without the last line end: `appinfo/1.0\r\nCache-Control:
    /// no-store\r\n...`, to be sent as the value of `Server` by code that can send no other header.
    pub fn headers_from_server_value(&self) -> &str {
        self.headers["Server: ".len()..].trim_end()
    }

    /// The bytes after the headers.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// Serializes responses, and keeps the memory it needs from one to the next.
#[derive(Default)]
pub struct Serializer {
    message: Vec<u8>,
    date: Date,
}

impl Serializer {
    /// All bytes of a response; those of a response to HEAD end before the body.
    pub fn serialize(&mut self, response: &Response, is_head: bool) -> &[u8] {
        self.message.clear();
        self.message.extend_from_slice(response.status_line.as_bytes());
        self.message.extend_from_slice(response.headers.as_bytes());
        self.message.extend_from_slice(self.date.now().as_bytes());
        if !is_head {
            self.message.extend_from_slice(&response.body);
        }
        &self.message
    }
}

/// The `Date` header, which an origin server with a clock must send (RFC 9110, 6.6.1), and the
/// empty line that ends the headers; renewed once a second.
#[derive(Default)]
struct Date {
    second: u64,
    line: String,
}

impl Date {
    fn now(&mut self) -> &str {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if self.second != now.as_secs() || self.line.is_empty() {
            self.second = now.as_secs();
            self.line.clear();
            let _ = write!(self.line, "Date: {}\r\n\r\n", HttpDate::from(UNIX_EPOCH + now));
        }
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: &Response, is_head: bool) -> String {
        let message = Serializer::default().serialize(response, is_head).to_vec();
        String::from_utf8(message).expect("the response is text")
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

    #[test]
    fn headers_from_server_value_are_the_rest() {
        let headers = Response::error(405, "no").headers_from_server_value().to_owned();
        assert!(headers.starts_with("appinfo/") && headers.contains("\r\nConnection: close\r\n"));
        assert!(headers.ends_with("Content-Length: 15"), "{headers}");
    }

    #[test]
    fn body_is_what_follows_the_headers() {
        assert_eq!(Response::error(405, "no").body(), b"{\"error\":\"no\"}\n");
    }

    #[test]
    fn date_is_renewed_in_another_second() {
        let mut date = Date { second: 1, line: "Date: long ago".to_owned() };
        assert!(date.now().ends_with(" GMT\r\n\r\n"), "{}", date.line);
    }
}
