//! Hostile clients and exhausted limits, against the static release binary as the image holds it. An
//! ordinary client is served during each attack.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::attack::{
    self, Attacked, Holdings, PROMPTLY, connect_from, is_unharmed, may_open, release,
    release_after, reset,
};
use crate::common::{
    self, Appinfo, DEADLINE, REQUEST, Response, SIGTERM, Start, connect, eventually, send, until,
};

/// What the server sends on this connection until it closes it, or resets it.
fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

/// All that comes back when a client sends these bytes and then closes its side.
fn responses_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let stream = send(address, bytes);
    stream.shutdown(Shutdown::Write).expect("a side can be closed");
    read_all(stream)
}

/// The status of the first response in these bytes.
fn status(bytes: &[u8]) -> Option<u16> {
    Response::parse(bytes).map(|response| response.status)
}

#[test]
fn ten_thousand_resets_harm_nobody() {
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2_500 {
                    let mut stream = connect(address).expect("it accepts");
                    let _ = stream.write_all(REQUEST);
                    reset(stream);
                }
            });
        }
    });
    // That the library panics on a reset shows in its threads' stacks: see `stack.rs`.
    attacked.was_unharmed(0, 4_000);
}

/// They are cut after ten seconds.
#[test]
fn fifteen_hundred_half_open_connections_harm_nobody() {
    if !may_open(4_000) {
        return;
    }
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    let half = "GET /v1/appinfo HTTP/1.1\r\nHost: a";
    let half_open: Vec<_> = (0..1_500).map(|_| send(address, half)).collect();
    let Attacked { appinfo, before, .. } = &attacked;
    until("all are held", || appinfo.threads() >= before.threads + 1_490);
    let files = before.files.map(|files| files + 10);
    until("all are cut", || appinfo.open_files() <= files);
    drop(half_open);
    attacked.was_unharmed(0, 8_000);
}

/// Connections that send requests need not wait until those that send nothing are cut.
#[test]
fn a_burst_of_held_connections_is_answered_promptly() {
    if !may_open(3_000) {
        return;
    }
    for (active, silent) in [(512, 0), (8, 64), (8, 64)] {
        let _turn = attack::alone();
        let mut appinfo = release().spawn();
        let every = (active + silent) / active;
        let is_active = |number: &usize| number % every == every - 1;
        let start = Instant::now();
        let held = (0..active + silent).map(|number| {
            let request = if is_active(&number) { REQUEST } else { b"" };
            send(appinfo.address, request)
        });
        let mut held: Vec<_> = held.collect();
        for number in (0..held.len()).filter(is_active) {
            let response = common::read_response(&mut held[number], false);
            assert_eq!(response.expect("a response comes").status, 200);
        }
        let took = start.elapsed();
        assert!(took < PROMPTLY, "{active} active, {silent} silent: {took:?}");
        is_unharmed(&mut appinfo);
    }
}

/// So long that the library must not allocate it: a thread and two files are leaked.
const LEAKED: [&str; 3] = [
    "Content-Length: 20000000",
    "Content-Length: 9223372036854775808",
    // The library reads the first of several `Connection` headers only.
    "Connection: close\r\nConnection: upgrade\r\nContent-Length: 100000000000",
];

/// What a client sends of the body that it has announced.
enum Body {
    Never,
    Whole(usize),
    /// Fifty bytes every tenth of a second, up to this many.
    Trickle(usize),
    Text(&'static str),
}

/// The first response is the whole one, and comes promptly, however long the body is and whether or not
/// it comes: 200 for GET and HEAD, 405 for POST.
#[test]
fn bodies_are_ignored_and_the_response_comes_first() {
    use Body::{Never, Text, Trickle, Whole};
    // The headers, what follows them, and a status other than the usual one (0: no response).
    let cases = [
        ("Content-Length: 2000", Never, None),
        // The library takes this for no body.
        ("Content-Length: -1", Never, None),
        // The library reads up to 1,024 bytes before the program receives the request.
        ("Content-Length: 700", Whole(700), None),
        ("Content-Length: 700", Never, Some(0)),
        ("Content-Length: 5000", Trickle(5_000), None),
        ("Content-Length: 5000", Trickle(500), None),
        ("Expect: 100-continue\r\nContent-Length: 2000", Never, None),
        ("Expect: 100-continue\r\nContent-Length: 2000000", Whole(2_000_000), None),
        ("Expect: 100-continue\r\nContent-Length: 0", Never, None),
        ("Expect: a miracle\r\nContent-Length: 2000", Never, Some(417)),
        ("Transfer-Encoding: chunked", Never, None),
        ("Transfer-Encoding: chunked", Text("5\r\nhello\r\n0\r\n\r\n"), None),
        ("Transfer-Encoding: chunked", Text("ffffffffffffffff\r\nx"), None),
        ("Transfer-Encoding: gzip", Never, None),
        ("Connection: upgrade\r\nContent-Length: 700", Trickle(500), None),
        ("Connection: upgrade\r\nContent-Length: 2000", Never, None),
        // As Java's client asks for HTTP/2 with its first request.
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 2000000",
            Whole(2_000_000),
            None,
        ),
        ("Content-Length: 0\r\nContent-Length: 2000", Never, None),
        (LEAKED[0], Whole(20_000_000), None),
        (LEAKED[1], Never, None),
        (LEAKED[2], Never, None),
    ];
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    let methods =
        [("POST", "1.1", 405), ("POST", "1.0", 405), ("GET", "1.1", 200), ("HEAD", "1.1", 200)];
    for (method, version, usual) in methods {
        thread::scope(|scope| {
            for (headers, body, unusual) in &cases {
                scope.spawn(move || {
                    let head =
                        format!("{method} /healthz HTTP/{version}\r\nHost: a\r\n{headers}\r\n\r\n");
                    let (response, took) = first_response(address, &head, body);
                    let status = response.as_ref().map_or(0, |response| response.status);
                    assert_eq!(status, unusual.unwrap_or(usual), "after {took:?}: {head}");
                    assert!(status == 0 || took < PROMPTLY, "after {took:?}: {head}");
                    let closes = |response: &Response| {
                        let raw = String::from_utf8_lossy(&response.raw);
                        raw.contains("\r\nConnection: close\r\n") || status == 417
                    };
                    assert!(response.is_none_or(|response| closes(&response)), "{head}");
                });
            }
        });
    }
    // The allocator keeps some of what was read at the same time.
    attacked.was_unharmed((methods.len() * LEAKED.len()) as u64, 8_000);
}

/// Sends a head and its body; returns the first response, which must be whole, and how long it took. The
/// rest of the body may fail to be sent then.
fn first_response(address: SocketAddr, head: &str, body: &Body) -> (Option<Response>, Duration) {
    let mut stream = send(address, head);
    let start = Instant::now();
    let mut reader = stream.try_clone().expect("a socket can be cloned");
    thread::scope(|scope| {
        scope.spawn(|| match body {
            Body::Never => {}
            Body::Whole(length) => drop(stream.write_all(&vec![b'x'; *length])),
            Body::Text(text) => drop(stream.write_all(text.as_bytes())),
            Body::Trickle(length) => {
                for _ in 0..length / 50 {
                    let _ = stream.write_all(&[b'x'; 50]);
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        let is_head = head.starts_with("HEAD");
        let response = common::read_response(&mut reader, is_head).ok();
        let took = start.elapsed();
        let _ = reader.shutdown(Shutdown::Both);
        if let Some(response) = &response {
            let length = response.header("content-length").map_or(Ok(0), str::parse);
            assert!(is_head || length == Ok(response.body.len()), "{head}{response:?}");
        }
        (response, took)
    })
}

/// One body is read at a time on a connection, so that threads do not pile up.
#[test]
fn pipelined_bodies_block_nobody() {
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    for headers in
        ["Transfer-Encoding: chunked\r\n\r\n0", "Expect: 100-continue\r\nContent-Length: 00"]
    {
        let post = format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
        let clients = [(); 4].map(|()| {
            let mut stream = connect_unreading(address, Some(536));
            stream.set_nonblocking(true).expect("an option");
            let requests = post.repeat(650) + "GET /healthz HTTP/1.1\r\n\r\n";
            let _ = stream.write(requests.as_bytes());
            stream
        });
        thread::sleep(Duration::from_secs(1));
        let threads = attacked.appinfo.threads();
        assert!(threads < attacked.before.threads + 20, "{threads} threads: {headers}");
        drop(clients);
    }
    attacked.was_unharmed(10, 4_000);
}

/// A connection of a client that reads nothing: responses, in segments of at most this many bytes, soon
/// fill its buffers.
fn connect_unreading(address: SocketAddr, segment: Option<u32>) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    if let Some(segment) = segment {
        socket.set_tcp_mss(segment).expect("small segments");
    }
    socket.set_write_timeout(Some(DEADLINE)).expect("a time-out");
    socket.connect(&address.into()).expect("it accepts");
    socket.into()
}

/// The library waits for itself when it refuses such a version.
#[test]
fn a_request_in_http_2_costs_one_thread_and_two_files() {
    let mut appinfo = release().spawn();
    let before = Holdings::of(&appinfo);
    let requests = ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/3.0\r\n\r\n"].repeat(10);
    let streams: Vec<_> = requests.iter().map(|request| send(appinfo.address, request)).collect();
    until("they are all held", || appinfo.threads() >= before.threads + 15);
    drop(streams);
    before.come_back(&appinfo, 20, 2_000);
    is_unharmed(&mut appinfo);
}

#[test]
fn malformed_requests_are_refused_or_closed() {
    let many_headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let long_query = format!("GET /healthz?{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000));
    let three = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
    // All that a client sends before it closes its side, and the status of the response, if any.
    let cases: &[(&[u8], Option<u16>)] = &[
        (b"", None),
        (b"\r\n\r\n", Some(400)),
        (b"\0\x01\x02garbage\r\n\r\n", Some(400)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),
        (b"GET /healthz HTTP/1.1\nHost: a\n\n", None),
        (b"GET /healthz HTTP/1.1\rHost: a\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/9.9\r\n\r\n", Some(400)),
        (b"GET /healthz\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/0.9\r\n\r\n", Some(200)),
        (b"GET /healthz HTTP/1.1 and more\r\n\r\n", Some(200)),
        (b"GET  /healthz HTTP/1.1\r\n\r\n", Some(400)),
        (b"get /healthz HTTP/1.1\r\n\r\n", Some(405)),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", Some(404)),
        (b"CONNECT anybody:80 HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /\0 HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", Some(400)),
        ("GET /grün HTTP/1.1\r\n\r\n".as_bytes(), None),
        (many_headers.as_bytes(), Some(200)),
        (long_query.as_bytes(), Some(200)),
        (three.as_bytes(), Some(200)),
    ];
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    for (request, expected) in cases {
        let response = responses_to(address, request);
        let start = &request[..request.len().min(60)];
        assert_eq!(status(&response), *expected, "{}", start.escape_ascii());
        let text = String::from_utf8_lossy(&response);
        let requests = request.windows(4).filter(|end| end == b"\r\n\r\n").count().max(1);
        assert!(text.matches("HTTP/1.").count() <= requests, "a response each: {text}");
        assert!(!text.contains("chunked"), "{text}");
    }
    attacked.was_unharmed(0, 4_000);
}

/// For a proxy that knows HTTP better than the library does, the first of two requests contains the
/// second. The first response closes the connection, and no response repeats what a client has sent.
#[test]
fn a_request_hidden_from_a_proxy_reveals_nothing() {
    let hidden = "GET /secret HTTP/1.1\r\nX: secret\r\n\r\n";
    let length = hidden.len();
    for (hiding, statuses) in [
        // CVE-2026-66752: every `Transfer-Encoding` is taken for chunked.
        ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0".to_owned(), &["405"][..]),
        // CVE-2026-66753: a bare line feed is part of a header's value, and hides what is behind it.
        (format!("GET /healthz HTTP/1.1\r\nX: a\nContent-Length: {length}"), &["200", "404"]),
    ] {
        let mut appinfo = release().spawn();
        let request = format!("{hiding}\r\n\r\n{hidden}");
        let responses = responses_to(appinfo.address, request.as_bytes());
        let responses = String::from_utf8(responses).expect("responses are text");
        let responses: Vec<_> = responses.split("HTTP/1.1 ").skip(1).collect();
        let found: Vec<_> = responses.iter().map(|response| &response[..3]).collect();
        // The header `Upgrade` of the first names a version as well.
        let found: Vec<_> =
            found.into_iter().filter(|status| status.parse::<u16>().is_ok()).collect();
        assert_eq!(found, statuses);
        let text = responses.concat();
        assert_eq!(text.matches("Connection: close\r\n").count(), statuses.len(), "{text}");
        assert!(!text.contains("secret"), "{text}");
        is_unharmed(&mut appinfo);
    }
}

/// How many pages have been sent.
const PAGES: &str = r#"http_requests_total{method="GET",path="/",code="200"}"#;

/// Each is sent some responses, and is then ignored until it is cut.
#[test]
fn pipelining_clients_that_never_read_block_nobody() {
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    // The page is the largest response, so it fills the socket soonest.
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect_unreading(address, None);
            stream.set_nonblocking(true).expect("an option");
            let _ = stream.write(&requests);
            stream
        })
        .collect();
    let Attacked { appinfo, before, .. } = &attacked;
    until("each has got a response", || appinfo.get("/metrics").metric(PAGES) >= Some(20.0));
    let start = Instant::now();
    assert_eq!(appinfo.get("/healthz").status, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    until("they are cut", || appinfo.threads() <= before.threads + 60);
    drop(clients);
    // The library's queue keeps the memory of its greatest length: 20,000 requests at most.
    attacked.was_unharmed(0, 20_000);
}

/// A connection from this port of another address than that of the self-probes.
fn connect_from_port(port: u16, address: SocketAddr) -> TcpStream {
    // On a busy machine it takes the kernel a moment to free the port.
    eventually("the port is free", || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        socket.set_read_timeout(Some(PROMPTLY)).expect("a time-out");
        let from = SocketAddr::from(([127, 0, 0, 2], port));
        socket.bind(&from.into()).and_then(|()| socket.connect(&address.into())).ok()?;
        Some(TcpStream::from(socket))
    })
}

/// As behind a proxy that has few ports left.
#[test]
fn a_client_with_the_port_of_a_slow_one_is_served() {
    let appinfo = release().spawn();
    let mut stream = connect_from_port(0, appinfo.address);
    let port = stream.local_addr().expect("it has an address").port();
    SockRef::from(&stream).set_recv_buffer_size(4_096).expect("a small buffer");
    let requests = "GET / HTTP/1.1\r\n\r\n".repeat(1_000);
    let _ = stream.write_all(requests.as_bytes());
    until("it is reset", || stream.write(b"x").is_err());
    let mut stream = connect_from_port(port, appinfo.address);
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("it can be sent");
    assert_eq!(common::read_response(&mut stream, false).expect("a response").status, 200);
}

/// Whether a new connection gets a response soon.
fn responds_promptly(address: SocketAddr) -> bool {
    let Ok(mut stream) = connect(address) else { return false };
    stream.set_read_timeout(Some(PROMPTLY)).expect("a timeout");
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    status(&read_all(stream)) == Some(200)
}

/// A connection takes two files, so the limit is reached while accepting or right after.
#[test]
fn without_open_files_it_answers_or_restarts() {
    if !may_open(1_000) {
        return;
    }
    let _turn = attack::alone();
    for limit in [24, 25, 64] {
        let mut appinfo = release_after(&[], &format!("ulimit -n {limit}")).spawn();
        let hold = |number| {
            let mut stream = connect_from(number, appinfo.address, PROMPTLY)?;
            stream.write_all(b"GET /").ok()?; // A silent one may not be accepted.
            Some(stream)
        };
        let held: Vec<_> = (0..limit).map_while(hold).collect();
        until("it responds", || responds_promptly(appinfo.address));
        drop(held);
        until("it responds", || responds_promptly(appinfo.address));
        assert!(
            appinfo.is_alive() && appinfo.restarts() > 0,
            "{limit}: {:?}",
            appinfo.stderr.all()
        );
    }
}

/// Waits until its last line says why the server cannot start.
fn says_what_it_lacks(appinfo: &Appinfo) {
    let says = |line: &String| line.contains("cannot start 8 threads and open 8 files");
    eventually("it says why", || appinfo.stderr.all().pop().filter(says));
}

/// So Kubernetes shows CrashLoopBackOff, rather than a pod that restarts its server for ever.
#[test]
fn a_server_that_cannot_start_ends_the_program() {
    let mut appinfo = release_after(&[], "ulimit -n 9").spawn();
    drop((0..9).map_while(|_| connect(appinfo.address).ok()).collect::<Vec<_>>());
    assert_eq!(appinfo.wait().code(), Some(1));
    says_what_it_lacks(&appinfo);
}

/// With enough threads for a server, but no more, it restarts; with fewer it ends.
#[test]
fn without_threads_it_restarts_or_ends() {
    if !common::have(&["setpriv", "prlimit"]) {
        return;
    }
    if !rustix::process::getuid().is_root() {
        return common::skip("needs root, to be a user who has no other process");
    }
    // Another user may not look into the folder where the binary was built.
    let folder = common::Folder::new();
    let copy = folder.path().join("appinfo");
    std::fs::copy(common::release_binary(), &copy).expect("a file can be copied");
    let start = |uid: &str, threads: u32| {
        let user = format!("setpriv --reuid={uid} --clear-groups prlimit --nproc={threads}");
        let copy = copy.to_str().expect("a plain path");
        Start::of(&user.split(' ').chain([copy]).collect::<Vec<_>>()).spawn()
    };
    let mut appinfo = start("61234", 9);
    let held: Vec<_> = (0..50).map_while(|_| connect(appinfo.address).ok()).collect();
    assert_eq!(appinfo.wait().code(), Some(1), "{:?}", appinfo.stderr.all());
    says_what_it_lacks(&appinfo);
    drop(held);
    let mut appinfo = start("61235", 14);
    let held: Vec<_> = (0..50).map_while(|_| connect(appinfo.address).ok()).collect();
    until("it is restarted", || appinfo.restarts() > 0);
    drop(held);
    assert!(appinfo.is_alive() && responds_promptly(appinfo.address));
}

/// As by `docker pause`, for longer than the listening socket's timeout.
#[test]
fn a_process_that_was_frozen_goes_on_serving() {
    let mut appinfo = release().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let both = [appinfo.pid(), appinfo.server()];
    both.iter().for_each(|pid| common::signal(*pid, 19)); // SIGSTOP
    let frozen = Duration::from_secs(11);
    let address = appinfo.address;
    let meanwhile = thread::spawn(move || common::get(address, "/healthz").status);
    thread::sleep(frozen);
    both.iter().for_each(|pid| common::signal(*pid, 18)); // SIGCONT
    assert_eq!(meanwhile.join().expect("a request sent meanwhile gets a response"), 200);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        is_unharmed(&mut appinfo);
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_stop_during_an_attack_is_a_stop() {
    let _turn = attack::alone();
    let mut appinfo = release().args("--drain 1").spawn();
    let address = appinfo.address;
    let status = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let requests = "GET / HTTP/1.1\r\n\r\n".repeat(1_000);
                let mut stream = connect(address).expect("it accepts");
                // Until the server has gone, or does not read any more.
                while stream.write_all(requests.as_bytes()).is_ok() {}
            });
        }
        let _unread = send(address, "POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n");
        assert_eq!(appinfo.get("/healthz").status, 200);
        appinfo.signal(SIGTERM);
        appinfo.wait()
    });
    assert_eq!(status.code(), Some(0), "{:?}", appinfo.stderr.all());
}

/// The server may crash again and again in its last moments, but the program ends.
#[test]
fn a_stop_survives_an_attack_until_its_very_end() {
    let _turn = attack::alone();
    common::each(4, 0..8, |_| {
        let mut appinfo = release().args("--drain 1").spawn();
        let mut stream = send(appinfo.address, "GET /");
        let start = Instant::now();
        appinfo.signal(SIGTERM);
        while start.elapsed() < DEADLINE && appinfo.is_alive() {
            if stream.write_all(&[b'x'; 1 << 18]).is_err() {
                let Ok(again) = TcpStream::connect(appinfo.address) else { break };
                stream = again;
                let _ = stream.write_all(b"GET /");
            }
        }
        let (status, took) = (appinfo.wait(), start.elapsed());
        assert_eq!(status.code(), Some(0), "{:?}", appinfo.stderr.all());
        let drain = Duration::from_secs(1);
        assert!(took >= drain && took < DEADLINE / 2, "{took:?}");
    });
}
