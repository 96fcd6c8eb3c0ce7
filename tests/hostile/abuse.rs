//! Hostile clients and exhausted limits, against the static release binary as the image holds it.
//! An ordinary client is served during each attack.

use std::net::Shutdown;

use socket2::{Domain, Socket, Type};

use crate::attack::{PROMPTLY, alone, harms_nobody, is_unharmed, release, release_after, reset};
use crate::common::*;

#[test]
fn ten_thousand_resets_harm_nobody() {
    // That the library panics on a reset shows in its threads' stacks: see `stack.rs`.
    harms_nobody(0, 4_000, |appinfo| {
        each(4, 0..10_000, |_| reset(send(appinfo.address, REQUEST)));
    });
}

/// They are cut after ten seconds.
#[test]
fn fifteen_hundred_half_open_connections_harm_nobody() {
    harms_nobody(0, 8_000, |appinfo| {
        let half = "GET /v1/appinfo HTTP/1.1\r\nHost: a";
        let half_open: Vec<_> = (0..1_500).map(|_| send(appinfo.address, half)).collect();
        until("all are held", || appinfo.threads() >= 1_500);
        half_open
    });
}

/// Connections that send requests, here one of nine, need not wait until the others are cut.
#[test]
fn a_burst_of_held_connections_is_answered_promptly() {
    let _turn = alone();
    let mut appinfo = release().spawn();
    let start = Instant::now();
    let text = |number| if number % 9 == 8 { REQUEST } else { b"" };
    let held: Vec<_> = (0..72).map(|number| send(appinfo.address, text(number))).collect();
    for stream in held.iter().skip(8).step_by(9) {
        assert_eq!(read_response(stream, false).expect("a response comes").status, 200);
    }
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    is_unharmed(&mut appinfo);
}

/// The first response is the whole one, and comes promptly, however long the body is and whether or
/// not it comes: 200 for GET and HEAD, 405 for POST.
#[test]
fn bodies_are_ignored_and_the_response_comes_first() {
    let x = |length| "x".repeat(length);
    // A method and a version, the headers, and what comes of the body.
    let cases = [
        ("POST 1.1", "Content-Length: 2000", x(0)),
        ("POST 1.0", "Content-Length: 2000", x(2_000)),
        ("GET 1.1", "Content-Length: 2000", x(500)),
        ("HEAD 1.1", "Content-Length: 2000", x(0)),
        // The library takes this for no body.
        ("POST 1.1", "Content-Length: -1", x(0)),
        // The library reads up to 1,024 bytes before the program receives the request.
        ("POST 1.1", "Content-Length: 700", x(700)),
        ("POST 1.1", "Expect: 100-continue\r\nContent-Length: 2000000", x(2_000_000)),
        ("GET 1.1", "Expect: 100-continue\r\nContent-Length: 0", x(0)),
        ("POST 1.1", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("POST 1.1", "Transfer-Encoding: chunked", "ffffffffffffffff\r\nx".to_owned()),
        ("GET 1.1", "Transfer-Encoding: chunked", x(0)),
        // As Java's client offers HTTP/2 with its first request.
        ("POST 1.1", "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 700", x(0)),
        ("POST 1.1", "Content-Length: 0\r\nContent-Length: 2000", x(0)),
        // So long that the library must not allocate it: a thread and two files are leaked.
        ("POST 1.1", "Content-Length: 20000000", x(20_000_000)),
        ("POST 1.1", "Content-Length: 9223372036854775808", x(0)),
        // The library reads the first of several `Connection` headers only.
        ("HEAD 1.1", "Connection: close\r\nConnection: upgrade\r\nContent-Length: 99999999", x(0)),
    ];
    // The allocator keeps some of what was read at the same time.
    harms_nobody(3, 8_000, |appinfo| {
        each(cases.len(), cases, |(line, headers, body)| {
            let (method, version) = line.split_once(' ').expect("a method and a version");
            let head = format!("{method} /healthz HTTP/{version}\r\n{headers}\r\n\r\n");
            let start = Instant::now();
            let reader = send(appinfo.address, &head);
            // The rest of the body may fail to be sent once there is a response.
            let mut writer = reader.try_clone().expect("a socket can be cloned");
            thread::spawn(move || writer.write_all(body.as_bytes()));
            let response = read_response(&reader, method == "HEAD").expect("a response comes");
            assert!(start.elapsed() < PROMPTLY, "after {:?}: {head}", start.elapsed());
            let expected = if method == "POST" { 405 } else { 200 };
            assert_eq!(response.status, expected, "{head}");
            assert_eq!(response.header("connection"), Some("close"), "{head}");
            let _ = reader.shutdown(Shutdown::Both);
        });
    });
}

/// A connection from this port (0: any) with a small buffer, which responses soon fill if they are
/// not read.
fn connect_with_small_buffer(port: u16, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_recv_buffer_size(4_096)?;
    socket.set_tcp_mss(536)?;
    socket.set_read_timeout(Some(PROMPTLY))?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// Sends as much of these bytes as fits the buffers, and reads nothing.
fn send_without_reading(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = connect_with_small_buffer(0, address).expect("it accepts");
    stream.set_nonblocking(true).expect("an option");
    let _ = stream.write(bytes.as_bytes());
    stream
}

/// One body is read at a time on a connection, so that threads do not pile up.
#[test]
fn pipelined_bodies_block_nobody() {
    harms_nobody(10, 4_000, |appinfo| {
        let before = appinfo.threads();
        let _clients = [
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "Expect: 100-continue\r\nContent-Length: 00\r\n\r\n",
            // The library has read it already, and the next request too.
            "Content-Length: 1\r\n\r\nx",
        ]
        .map(|rest| {
            let requests = format!("POST / HTTP/1.1\r\n{rest}").repeat(650);
            [(); 2].map(|()| send_without_reading(appinfo.address, &requests))
        });
        thread::sleep(Duration::from_secs(1)); // What does not happen cannot be waited for.
        let threads = appinfo.threads();
        assert!(threads < before + 20, "{threads} threads");
    });
}

/// The library waits for itself when it refuses such a version.
#[test]
fn a_request_in_http_2_costs_one_thread_and_two_files() {
    harms_nobody(20, 2_000, |appinfo| {
        let before = appinfo.threads();
        let requests = ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/3.0\r\n\r\n"].repeat(10);
        let streams = requests.iter().map(|request| send(appinfo.address, request));
        let _streams: Vec<_> = streams.collect();
        until("they are all held", || appinfo.threads() >= before + 15);
    });
}

/// All that comes back when a client sends these bytes and then closes its side.
fn responses_to(appinfo: &Appinfo, bytes: &[u8]) -> String {
    let mut stream = send(appinfo.address, bytes);
    stream.shutdown(Shutdown::Write).expect("a side can be closed");
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all); // Until the server closes the connection, or resets it.
    String::from_utf8(all).expect("responses are text")
}

#[test]
fn malformed_requests_are_refused_or_closed() {
    let mut appinfo = release().spawn();
    // All that a client sends before it closes its side, and the status of the response, if any.
    for (request, expected) in [
        ("\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nExpect: a miracle\r\n\r\n", "417"),
        ("GET /healthz HTTP/1.1\nHost: a\n\n", ""),
        ("GET /grün HTTP/1.1\r\n\r\n", ""),
        ("\x16\x03\x01\x02\0\x01\0\x01", ""), // TLS
        ("POST /healthz HTTP/1.1\r\nContent-Length: 700\r\n\r\nx", ""),
    ] {
        let responses = responses_to(&appinfo, request.as_bytes());
        let status = responses.strip_prefix("HTTP/1.1 ").map_or("", |rest| &rest[..3]);
        assert_eq!(status, expected, "{request:?}");
        assert!(responses.matches("HTTP/1.").count() <= 1, "{responses}");
    }
    is_unharmed(&mut appinfo);
}

/// Only the first response has to come (RFC 9112, 9.6). The next client with the same port is served,
/// as behind a proxy that has few ports left.
#[test]
fn a_connection_is_cut_after_sixteen_requests() {
    let mut appinfo = release().spawn();
    let responses = responses_to(&appinfo, &REQUEST.repeat(16));
    assert_eq!(responses.matches("HTTP/1.1 200").count(), 16, "{responses}");
    let mut stream = connect_with_small_buffer(0, appinfo.address).expect("it accepts");
    let port = stream.local_addr().expect("it has an address").port();
    stream.write_all(&REQUEST.repeat(100)).expect("it can be sent");
    let mut responses = Vec::new();
    let _ = stream.read_to_end(&mut responses); // The connection may be reset.
    let responses = String::from_utf8_lossy(&responses);
    assert!(responses.matches("HTTP/1.1 200").count() <= 16, "{responses}");
    reset(stream);
    // On a busy machine it takes the kernel a moment to free a port.
    let connect = || connect_with_small_buffer(port, appinfo.address).ok();
    let mut stream = eventually("the port is free", connect);
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("it can be sent");
    assert_eq!(read_response(stream, false).expect("a response").status, 200);
    is_unharmed(&mut appinfo);
}

/// For a proxy that knows HTTP better than the library does, the first of two requests contains the
/// second. The first response closes the connection, and no response repeats a client's words.
#[test]
fn a_request_hidden_from_a_proxy_reveals_nothing() {
    let hidden = "GET /secret HTTP/1.1\r\nX: secret\r\n\r\n";
    let length = hidden.len();
    let mut appinfo = release().spawn();
    for hiding in [
        // CVE-2026-66752: every `Transfer-Encoding` is taken for chunked.
        "POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0".to_owned(),
        // CVE-2026-66753: a bare line feed is part of a header's value, and hides what follows.
        format!("GET /healthz HTTP/1.1\r\nX: a\nContent-Length: {length}"),
    ] {
        let text = responses_to(&appinfo, format!("{hiding}\r\n\r\n{hidden}").as_bytes());
        let [responses, closing] =
            ["\r\nServer: ", "\r\nConnection: close\r\n"].map(|line| text.matches(line).count());
        assert!(responses > 0 && closing == responses, "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    is_unharmed(&mut appinfo);
}

/// Each is sent some responses, and its connection is cut in the end.
#[test]
fn pipelining_clients_that_never_read_block_nobody() {
    // The library's queue keeps the memory of its greatest length: 20,000 requests at most, of some
    // 1.2 kB each.
    harms_nobody(0, 30_000, |appinfo| {
        // The page is the largest response, so it fills the socket soonest.
        let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
        let clients = [(); 20].map(|()| send_without_reading(appinfo.address, &requests));
        let pages = r#"http_requests_total{method="GET",path="/",code="200"}"#;
        let sent = || appinfo.get("/metrics").metric(pages);
        until("each has got a response", || sent() >= Some(20.0));
        let start = Instant::now();
        assert_eq!(appinfo.get("/healthz").status, 200);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        clients
    });
}

/// A connection takes two files, so the limit is reached while accepting or right after.
#[test]
fn without_open_files_it_answers_or_restarts() {
    let _turn = alone();
    for limit in [24, 25] {
        let mut appinfo = release_after(&format!("ulimit -n {limit}")).spawn();
        let hold = |_| {
            let mut stream = connect(appinfo.address).ok()?;
            stream.write_all(b"GET /").ok()?; // A silent one may not be accepted.
            Some(stream)
        };
        let held: Vec<_> = (0..limit).map_while(hold).collect();
        assert!(appinfo.restarts() > 0, "{limit}: {:?}", appinfo.stderr.all());
        drop(held);
        assert!(appinfo.is_alive());
    }
}

/// So Kubernetes shows CrashLoopBackOff, rather than a pod that restarts its server for ever.
#[test]
fn a_server_that_cannot_start_ends_the_program() {
    let mut appinfo = release_after("ulimit -n 6").spawn();
    assert_eq!(appinfo.wait().code(), Some(1), "{:?}", appinfo.stderr.all());
    let is_reason = |line: &String| line.starts_with("appinfo: cannot serve: ");
    eventually("it logs why", || appinfo.stderr.all().pop().filter(is_reason));
}

/// With enough threads for a server, but no more.
#[test]
fn without_threads_it_is_restarted() {
    needs!("setpriv", "prlimit");
    needs!(root, "to be a user who has no other process");
    // Another user may not look into the folder where the binary was built.
    let folder = Folder::new();
    let copy = folder.path().join("appinfo");
    fs::copy(release_binary(), &copy).expect("a file can be copied");
    let user = "setpriv --reuid=61234 --clear-groups prlimit --nproc=14";
    let command: Vec<_> = user.split(' ').chain(copy.to_str()).collect();
    let mut appinfo = Start::of(&command).spawn();
    let held: Vec<_> = (0..50).map_while(|_| connect(appinfo.address).ok()).collect();
    until("it is restarted", || appinfo.restarts() > 0);
    drop(held);
    assert!(appinfo.is_alive());
    assert_eq!(appinfo.get("/healthz").status, 200);
}

/// As by `docker pause`, for longer than the listening socket's timeout.
#[test]
fn a_process_that_was_frozen_goes_on_serving() {
    let mut appinfo = release().spawn();
    let both = [appinfo.pid(), appinfo.server()];
    let signal_both = |number| both.iter().for_each(|pid| signal(*pid, number));
    signal_both(19); // SIGSTOP
    let meanwhile = send(appinfo.address, REQUEST);
    thread::sleep(Duration::from_secs(11));
    signal_both(18); // SIGCONT
    assert_eq!(read_response(meanwhile, false).expect("a response").status, 200);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        is_unharmed(&mut appinfo);
        thread::sleep(Duration::from_millis(100));
    }
}

/// Pipelining clients cannot keep the program alive; those that send an endless line crash the
/// server again and again in its last moments.
#[test]
fn a_stop_during_an_attack_is_a_stop() {
    let _turn = alone();
    let attacks = [("", "GET / HTTP/1.1\r\n\r\n"), ("GET /", "x")];
    each(4, [attacks; 3].as_flattened(), |(first, then)| {
        let mut appinfo = release().args("--drain 1").spawn();
        let (address, start, drain) = (appinfo.address, Instant::now(), Duration::from_secs(1));
        thread::scope(|scope| {
            scope.spawn(|| {
                let then = then.repeat((1 << 18) / then.len());
                while let Ok(mut stream) = connect(address)
                    && start.elapsed() < DEADLINE
                {
                    stream.set_write_timeout(Some(drain)).expect("an option");
                    let _ = stream.write_all(first.as_bytes());
                    while stream.write_all(then.as_bytes()).is_ok() {}
                }
            });
            let _unread = send(address, "POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n");
            appinfo.signal(SIGTERM);
            let (status, took) = (appinfo.wait(), start.elapsed());
            assert_eq!(status.code(), Some(0), "{:?}", appinfo.stderr.all());
            assert!((drain..DEADLINE / 2).contains(&took), "{took:?}");
        });
    });
}
