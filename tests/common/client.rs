//! A plain HTTP client that shows every byte of a response.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::str;

use serde_json::Value;

use super::DEADLINE;

/// The request that most tests send as it is.
pub const REQUEST: &[u8] = b"GET /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n";

/// An HTTP response, as it came.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Every byte that came, from the status line to the close.
    pub raw: Vec<u8>,
}

impl Response {
    /// A header by its lower-case name; panics if it stands there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a series among these metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let mut lines = self.text().lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().expect("a number"))
    }

    /// The first response in these bytes, its body ending where they end.
    pub fn parse(raw: &[u8]) -> Option<Response> {
        let head_end = raw.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&raw[..head_end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Response { status, headers, body: raw[head_end..].to_vec(), raw: raw.to_vec() })
    }
}

/// Sends a GET on a connection of its own.
pub fn get(address: SocketAddr, target: &str) -> Response {
    try_get(address, target).unwrap_or_else(|error| panic!("GET {target}: {error}"))
}

/// The same, if it may fail.
pub fn try_get(address: SocketAddr, target: &str) -> io::Result<Response> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: appinfo\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes())
}

/// A connection whose reads and writes fail after [`DEADLINE`].
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Opens a connection and sends these bytes.
pub fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = connect(address).expect("it accepts");
    stream.write_all(bytes.as_ref()).expect("it can be sent");
    stream
}

/// Sends these bytes on a connection of their own and reads one response to its end: until its
/// announced length is there, or until the server closes. A response to HEAD ends with its head.
pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Response> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    read_response(&mut stream, request.starts_with(b"HEAD "))
}

/// Reads as [`std::io::Read::read`] does, and goes on when a signal interrupts it.
pub fn read(stream: &TcpStream, piece: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(stream, &mut *piece))?)
}

/// Reads one response from a connection.
pub fn read_response(stream: &mut TcpStream, head_only: bool) -> io::Result<Response> {
    let mut raw = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(response) = Response::parse(&raw) {
            let announced = response.header("content-length").and_then(|n| n.parse().ok());
            if head_only || announced.is_some_and(|length: usize| response.body.len() >= length) {
                return Ok(response);
            }
        }
        match read(stream, &mut piece)? {
            0 => break,
            n => raw.extend_from_slice(&piece[..n]),
        }
    }
    Response::parse(&raw).ok_or_else(|| {
        let got = String::from_utf8_lossy(&raw).into_owned();
        io::Error::new(io::ErrorKind::UnexpectedEof, format!("no whole response, but {got:?}"))
    })
}
