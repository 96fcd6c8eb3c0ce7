//! The listening socket, with the options that every accepted connection inherits from it.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockRef, Socket, Type};

/// How long a connection may be silent before it is cut. Without this each idle or half-open
/// connection would keep a thread of tiny_http's for ever.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the loop waits for a client that does not read. The page and the responses about ordinary
/// labels fit the socket's buffer, so only a client that lets several pile up makes it wait at all.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1);

/// The receive buffer of a connection, in bytes, which the kernel doubles (socket(7)). It bounds what
/// the kernel holds for a connection, and slows an endless head down at its source.
const RECEIVE_BUFFER_BYTES: usize = 4 << 10;

/// How many connections may wait to be accepted; the kernel lowers it to its own limit.
const BACKLOG: i32 = 4096;

/// Opens a listening socket; on every IPv4 address where it should be every address, and the kernel has
/// no IPv6.
///
/// # Errors
///
/// A sentence, when the address is in use, not this machine's, or not allowed.
pub fn open(address: SocketAddr) -> Result<TcpListener, String> {
    let every_ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    let is_every = address.is_ipv6() && address.ip().is_unspecified();
    let opened = match bind(address) {
        Err(error) if is_every && has_no_ipv6(&error) => bind(every_ipv4),
        opened => opened,
    };
    opened.map_err(|error| {
        format!(
            "cannot listen on {address}: {error}. Name another address with --listen or \
             APPINFO_LISTEN; port 0 picks a free port."
        )
    })
}

/// The address of a listening socket, with the real port where 0 was given.
pub fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}

/// Whether a connection waits to be accepted.
pub fn has_pending_connection(listener: &TcpListener) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// Stops accepting connections; those that are open stay open.
pub fn close(listener: &TcpListener) {
    let _ = SockRef::from(listener).shutdown(Shutdown::Both);
}

/// Whether the kernel was built or started without IPv6, or has it switched off.
fn has_no_ipv6(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.raw_os_error() == Some(unsupported) || error.kind() == ErrorKind::AddrNotAvailable
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // One socket for both: `[::]` accepts IPv4 connections too.
        socket.set_only_v6(false)?;
    }
    // As std does: a restart need not wait for the last run's connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
    // Optimizations, which a kernel may lack or a sandbox refuse.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
