//! A client's connection itself. tiny_http gives a request no access to it, but the kernel knows whose
//! each open file is.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::sys::socket::{MsgFlags, Shutdown, SockaddrStorage, getpeername, recv, send, shutdown};
use rustix::process::{Resource, getrlimit};
use tiny_http::{HTTPVersion, Request};

/// A connection, to be used for as long as one of its requests is held: then its file is open.
#[derive(Clone, Copy)]
pub struct Connection(RawFd);

impl Connection {
    /// The connection of this client; `None` if the client has reset it.
    pub fn of(client: SocketAddr) -> Option<Connection> {
        let client = SockaddrStorage::from(client);
        let is_its = |file: &RawFd| getpeername(*file) == Ok(client);
        // Of its two files this is nearly always the accepted one, to which responses are written. The other one
        // may be closed by the connection's thread, if a body does not hold it, and be used for another client.
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        (0..RawFd::try_from(files).unwrap_or(RawFd::MAX)).find(is_its).map(Connection)
    }

    /// Sends a message and then nothing more, so that the client closes the connection as well. What does
    /// not fit the socket's buffer within the write timeout is lost.
    pub fn send_last(&self, message: &[u8]) {
        let _ = send(self.0, message, MsgFlags::empty());
        let _ = shutdown(self.0, Shutdown::Write);
    }

    /// Receives some bytes into a buffer, and returns their number: 0 after the last one, after the read
    /// timeout, and when the connection is reset.
    pub fn receive(&self, buffer: &mut [u8]) -> usize {
        recv(self.0, buffer, MsgFlags::empty()).unwrap_or(0)
    }

    /// Neither sends nor receives any more: what the client still sends resets the connection
    /// (RFC 1122, 4.2.2.13).
    pub fn shut_down(&self) {
        let _ = shutdown(self.0, Shutdown::Both);
    }
}

/// The address of a request's client.
pub fn client(request: &Request) -> SocketAddr {
    *request.remote_addr().expect("requests come by TCP")
}

/// Whether tiny_http ends the connection after this request.
pub fn is_last_on_connection(request: &Request) -> bool {
    let is_http_1_0 = *request.http_version() == HTTPVersion(1, 0);
    has_header(request, "Connection", "close")
        || is_http_1_0 && !has_header(request, "Connection", "keep-alive")
}

/// Whether the first header of that name contains this word. tiny_http looks at the first one alone, and
/// here it matters what tiny_http is going to do.
pub fn has_header(request: &Request, name: &'static str, word: &str) -> bool {
    let first = request.headers().iter().find(|header| header.field.equiv(name));
    first.is_some_and(|header| header.value.as_str().to_ascii_lowercase().contains(word))
}
