//! An answer, and the one place that writes it to a client.
//!
//! It goes to the bare stream, in one write, because tiny_http's own `Response` cannot say
//! `Connection: close`, which every answer here does: a Service balances connections, not
//! requests, so a client that keeps its connection would see one pod only, and never the canary.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;
use serde::Serialize;
use tiny_http::{Method, Request, StatusCode};

/// The content type of JSON documents.
pub const JSON: &str = "application/json; charset=utf-8";

/// The value of the header `Server`.
pub const SERVER: &str = concat!("appinfo/", env!("CARGO_PKG_VERSION"));

/// An answer to send, as often as wanted.
#[derive(Clone)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// Status line and headers, but for `Date` and the empty line at the end.
    head: String,
    body: Cow<'static, [u8]>,
}

impl Answer {
    /// An answer with that body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Cow<'static, [u8]>>) -> Answer {
        let body = body.into();
        let head = format!(
            "HTTP/1.1 {status} {}\r\n\
             Server: {SERVER}\r\n\
             Content-Type: {content_type}\r\n\
             Content-Length: {}\r\n\
             Cache-Control: no-store\r\n\
             Connection: close\r\n",
            StatusCode(status).default_reason_phrase(),
            body.len(),
        );
        Answer { status, head, body }
    }

    /// An answer with a JSON document, a newline at its end.
    pub fn json(status: u16, document: &impl Serialize) -> Answer {
        let mut body = serde_json::to_vec(document).expect("text and maps of text are JSON");
        body.push(b'\n');
        Answer::new(status, JSON, body)
    }

    /// An error's answer: `{"error": "..."}`.
    pub fn error(status: u16, sentence: &str) -> Answer {
        #[derive(Serialize)]
        struct Error<'a> {
            error: &'a str,
        }
        Answer::json(status, &Error { error: sentence })
    }

    /// What comes after the headers.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Adds a header. The value must not hold a line break.
    pub fn with_header(mut self, name: &str, value: &str) -> Answer {
        let _ = write!(self.head, "{name}: {value}\r\n");
        self
    }
}

/// Writes answers to clients, with the memory it needs for that kept from one to the next.
#[derive(Default)]
pub struct Sender {
    message: Vec<u8>,
    date: Date,
}

impl Sender {
    /// Answers a request: all of the answer in one write; to HEAD, all but the body.
    ///
    /// # Errors
    ///
    /// The stream's, when the client is gone or does not read.
    pub fn send(&mut self, request: Request, answer: &Answer) -> io::Result<()> {
        let with_body = *request.method() != Method::Head;
        self.write(&mut *request.into_writer(), answer, with_body)
    }

    /// Writes an answer to a stream.
    pub fn write(
        &mut self,
        stream: &mut dyn Write,
        answer: &Answer,
        with_body: bool,
    ) -> io::Result<()> {
        self.message.clear();
        self.message.extend_from_slice(answer.head.as_bytes());
        self.message.extend_from_slice(self.date.now().as_bytes());
        if with_body {
            self.message.extend_from_slice(&answer.body);
        }
        stream.write_all(&self.message)?;
        stream.flush()
    }
}

/// The `Date` header, which an origin server with a clock must send (RFC 9110, 6.6.1), and the
/// empty line after it; made anew once a second.
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
