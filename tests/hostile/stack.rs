//! How much of its stack a thread that serves a connection uses.

use std::os::fd::OwnedFd;

use socket2::SockRef;

use crate::attack;
use crate::common::*;

/// The supervisor makes it 24 KiB. Here this test is the supervisor, and makes it a page less:
/// whatever a client sends, the server does not overflow it.
#[test]
fn a_page_of_each_connections_stack_stays_unused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    let timeout = Some(Duration::from_secs(10));
    SockRef::from(&listener).set_read_timeout(timeout).expect("connections inherit it");
    let mut server = Start::of(&[release_binary()])
        .stdin(OwnedFd::from(listener).into())
        .env("APPINFO_SUPERVISOR", format!("{} 0 -", std::process::id()))
        .env("RUST_MIN_STACK", (20 << 10).to_string())
        .to(Stdio::null(), Stdio::inherit())
        .spawn()
        .expect("it starts");
    let long = format!("GET /{} HTTP/1.1\r\n{}\r\n", "x".repeat(9_000), "X: y\r\n".repeat(200));
    let post = format!("POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20_000));
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let expecting = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n";
    let malformed =
        ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/2.0\r\n\r\n"];
    for _ in 0..50 {
        // The library's thread panics when it looks up the address of a client that has reset the
        // connection.
        let mut stream = connect(address).expect("it accepts");
        let _ = stream.write_all(REQUEST);
        attack::reset(stream);
        for request in [&long, &post, chunked, expecting].into_iter().chain(malformed) {
            drop(send(address, request));
        }
        assert_eq!(get(address, "/metrics").status, 200);
    }
    assert!(server.try_wait().expect("it is a child").is_none(), "it has crashed");
    server.kill().and_then(|()| server.wait()).expect("it ends");
}
