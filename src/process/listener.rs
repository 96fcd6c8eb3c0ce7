//! The listening socket, with the options that every accepted connection inherits from it.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::{
    libc, setsockopt_impl,
    sys::socket::{SetSockOpt, sockopt::SetUsize},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::{Domain, SockRef, Socket, Type};
use tiny_http::Server;

use crate::containment::scheduling;
use crate::settings::Listen;

/// How long a connection may be silent before it is cut. Without this each idle or half-open
/// connection would keep a thread of tiny_http's for ever.
const IDLE: Duration = Duration::from_secs(10);

/// How long the loop waits for a client that does not read. The page and the answers about ordinary
/// labels fit the socket's buffer, so only a client that lets several pile up makes it wait at all.
const STALL: Duration = Duration::from_millis(1);

/// How many connections may wait to be accepted; the kernel lowers it to its own limit.
const BACKLOG: i32 = 4096;

/// How long a connection may be silent before tiny_http hears of it and starts a thread for it, in
/// seconds. A request nearly always comes at once, and then its thread need not wait for it; silent
/// connections take no thread from anybody. (One is cut after this and [`IDLE`].)
#[cfg(target_os = "linux")]
const DEFER_SECONDS: usize = 1;

/// The socket option `TCP_DEFER_ACCEPT` (tcp(7)).
#[cfg(target_os = "linux")]
#[derive(Clone, Copy)]
struct DeferAccept;

#[cfg(target_os = "linux")]
setsockopt_impl!(DeferAccept, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, usize, SetUsize);

/// The open socket.
pub struct Listener(TcpListener);

/// Opens the first of the addresses that this kernel has, unless there is an open socket already.
///
/// # Errors
///
/// A sentence, when an address is in use, not this machine's, or not allowed.
pub fn open(listen: &Listen, open: Option<TcpListener>) -> Result<Listener, String> {
    if let Some(listener) = open {
        listener.set_nonblocking(false).map_err(|error| format!("cannot serve: {error}"))?;
        return Ok(Listener(listener));
    }
    let addresses = listen.addresses();
    let mut addresses = addresses.iter().peekable();
    loop {
        let address = addresses.next().expect("there is always an address to listen on");
        match bind(address) {
            Ok(listener) => return Ok(Listener(listener)),
            Err(error) if has_no_ipv6(&error) && addresses.peek().is_some() => {}
            Err(error) => {
                return Err(format!(
                    "cannot listen on {address}: {error}. Name another address with --listen or \
                     APPINFO_LISTEN; port 0 picks a free port."
                ));
            }
        }
    }
}

/// Whether the kernel was built or started without IPv6, or has it switched off.
fn has_no_ipv6(error: &io::Error) -> bool {
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.raw_os_error() == Some(unsupported) || error.kind() == ErrorKind::AddrNotAvailable
}

fn bind(address: &SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // One socket for both: `[::]` takes IPv4 connections too.
        socket.set_only_v6(false)?;
    }
    // As std does: a restart need not wait for the last run's connections to time out.
    socket.set_reuse_address(true)?;
    socket.set_read_timeout(Some(IDLE))?;
    socket.set_write_timeout(Some(STALL))?;
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    DeferAccept.set(&socket, &DEFER_SECONDS)?;
    socket.bind(&(*address).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Listener {
    /// Where it listens, the port being the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket has an address")
    }

    /// Hands the socket to tiny_http, keeping a duplicate of it. What comes back waits until that has
    /// started to serve.
    ///
    /// # Errors
    ///
    /// A sentence, when the process may not open another file or start a thread.
    pub fn serve(&self) -> Result<impl FnOnce() -> Result<Server, String>, String> {
        let cannot = |error: &dyn Display| format!("cannot serve: {error}");
        let listener = self.0.try_clone().map_err(|error| cannot(&error))?;
        // In a thread of its own, since the library panics where it may start none.
        let start = || {
            scheduling::wake_without_haste();
            scheduling::stand_back();
            Server::from_listener(listener, None)
        };
        let starting = thread::Builder::new().spawn(start).map_err(|error| cannot(&error))?;
        Ok(move || match starting.join() {
            Ok(server) => server.map_err(|error| cannot(&error)),
            Err(_) => Err("cannot serve: the process may start no more threads".to_owned()),
        })
    }

    /// From now on accepts connections before they have sent anything: what is still deferred when
    /// the socket is closed would be reset.
    pub fn defer_no_more(&self) {
        #[cfg(target_os = "linux")]
        let _ = DeferAccept.set(&self.0, &0);
    }

    /// Lets no new connection come about, while those that have are accepted: closing the socket
    /// resets what waits in its queue. A client that is just connecting hears nothing yet, and is
    /// refused when it tries again.
    pub fn let_nobody_in(&self) {
        // Of a TCP packet's flags, in its byte 13 (RFC 9293, 3.1), SYN is for those who are new: such
        // packets are dropped, the others kept (socket(7), filter.txt in the kernel's documentation).
        // What has been answered with SYN and ACK already may still come about.
        #[cfg(target_os = "linux")]
        {
            use libc::{BPF_ABS, BPF_B, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET};
            const SYN: u32 = 2;
            let instruction =
                |code: u32, is_so, else_, k| SockFilter::new(code as u16, is_so, else_, k);
            let _ = SockRef::from(&self.0).attach_filter(&[
                instruction(BPF_LD | BPF_B | BPF_ABS, 0, 0, 13),
                instruction(BPF_JMP | BPF_JSET | BPF_K, 0, 1, SYN),
                instruction(BPF_RET | BPF_K, 0, 0, 0),
                instruction(BPF_RET | BPF_K, 0, 0, u32::MAX),
            ]);
        }
    }

    /// Whether a connection that has come about waits to be accepted.
    pub fn has_waiting(&self) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&at_once))
            .is_ok_and(|ready| ready > 0)
    }

    /// Stops accepting connections; those that are open stay open.
    pub fn close(&self) {
        let _ = SockRef::from(&self.0).shutdown(Shutdown::Both);
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
