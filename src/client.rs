//! A minimal HTTP client, for the two cases in which the program sends a request to itself.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The address at which a program that listens on `listening` can be reached from the same machine.
pub fn reachable(mut listening: SocketAddr) -> SocketAddr {
    if listening.ip().is_unspecified() {
        // IPv4 even for `[::]`: a container may have no IPv6 loopback address.
        listening.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    listening
}

/// Sends a GET request and returns the status line's beginning, such as `HTTP/1.1 200`. Waits for at
/// most `timeout` for the connection, and again for each part of the response.
/// Fails when the connection does, or the time is over.
pub fn get(address: SocketAddr, target: &str, timeout: Duration) -> io::Result<[u8; 12]> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: appinfo\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line)?;
    Ok(status_line)
}
