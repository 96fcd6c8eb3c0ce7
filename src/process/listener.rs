//! The listening socket, with the options that every accepted connection inherits from it.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, Backlog, Shutdown, SockFlag, SockType, SockaddrStorage, listen, setsockopt,
    shutdown, socket, sockopt,
};
use nix::sys::time::TimeVal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(target_os = "linux")]
use crate::process::linux_socket;
pub use linux_socket::{accept_silent_connections, drop_new_connections};

/// How long a connection may be silent before it is cut: an idle or half-open connection holds a thread
/// of tiny_http's. After the same time without a connection `accept` fails; the self-probes prevent that.
const READ_TIMEOUT: TimeVal = TimeVal::new(10, 0);

/// How long the loop waits for a client that does not read: a millisecond. The page and the responses about
/// ordinary labels fit the socket's buffer, so only a client that lets several pile up makes it wait.
const WRITE_TIMEOUT: TimeVal = TimeVal::new(0, 1_000);

/// The receive buffer of a connection, in bytes, which the kernel doubles (socket(7)). It bounds what
/// the kernel holds for a connection, and slows an endless head down at its source.
const RECEIVE_BUFFER_BYTES: usize = 4 << 10;

/// Opens a listening socket. `[::]` is every address: also IPv4's, and these alone where the kernel has no
/// IPv6.
/// Fails with a sentence when the address is in use, not this machine's, or not allowed.
pub fn open(address: SocketAddr) -> Result<TcpListener, String> {
    let is_every = address.is_ipv6() && address.ip().is_unspecified();
    let opened = match bind(address) {
        // Built or started without IPv6, the kernel tells it in several ways.
        Err(error) if is_every && error.kind() != ErrorKind::AddrInUse => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        opened => opened,
    };
    opened.map_err(|error| {
        format!(
            "cannot listen on {address}: {error}. Name another address with --listen or \
             APPINFO_LISTEN; port 0 picks a free port."
        )
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = socket(family, SockType::Stream, SockFlag::empty(), None)?;
    // The server process gets it as its standard input, and no other file.
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    if address.is_ipv6() {
        // One socket for both: `[::]` accepts IPv4 connections too.
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    // As std does: a restart need not wait for the last run's connections to time out.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &READ_TIMEOUT)?;
    setsockopt(&socket, sockopt::SendTimeout, &WRITE_TIMEOUT)?;
    // Optimizations, which a kernel may lack or a sandbox refuse.
    let _ = setsockopt(&socket, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES);
    nix::sys::socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    listen(&socket, Backlog::MAXCONN)?;
    let listener = TcpListener::from(socket);
    linux_socket::optimize(&listener);
    Ok(listener)
}

/// Whether a connection waits to be accepted.
pub fn has_pending_connection(listener: &TcpListener) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}

#[cfg(not(target_os = "linux"))]
mod linux_socket {
    use std::net::TcpListener;
    pub fn optimize(_: &TcpListener) {}
    pub fn accept_silent_connections(_: &TcpListener) {}
    pub fn drop_new_connections(_: &TcpListener) {}
}

/// Stops accepting connections; those that are open stay open.
pub fn close(listener: &TcpListener) {
    let _ = shutdown(listener.as_raw_fd(), Shutdown::Both);
}
