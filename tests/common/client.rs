//! A plain HTTP client, which can send any bytes.

use std::io::{Error, ErrorKind};
use std::str;

use super::*;

/// The request that most tests send as it is.
pub const REQUEST: &[u8] = b"GET /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n";

/// An HTTP response, as it came.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// A header by its lower-case name; panics if it appears twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} appears twice in {self:?}");
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

    /// A response whose body has not been read yet.
    fn from_head(head: &str) -> Option<Response> {
        let mut lines = head.lines().take_while(|line| !line.is_empty());
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Response { status, headers: lines.map(header).collect::<Option<_>>()?, body: vec![] })
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

/// Sends these bytes on a connection of their own and reads one response.
pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Response> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    read_response(stream, request.starts_with(b"HEAD "))
}

/// Reads one whole response: its body is as long as announced, or ends where the connection ends. A
/// response to HEAD has none.
pub fn read_response(stream: impl Read, is_head: bool) -> io::Result<Response> {
    let mut reader = BufReader::new(stream);
    let head = read_head(&mut reader)?;
    let invalid = || Error::new(ErrorKind::InvalidData, format!("no response, but {head:?}"));
    let mut response = Response::from_head(&head).ok_or_else(invalid)?;
    match response.header("content-length").map(str::parse) {
        _ if is_head => {}
        None => {
            reader.read_to_end(&mut response.body)?;
        }
        Some(length) => {
            response.body.resize(length.map_err(|_| invalid())?, 0);
            reader.read_exact(&mut response.body)?;
        }
    }
    Ok(response)
}

/// Reads the head of a request or a response, up to the empty line that ends it.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, format!("only {head:?} came")));
        }
    }
    Ok(head)
}
