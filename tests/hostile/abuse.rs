//! Hostile clients and exhausted limits, against the static release binary as the image holds it.
//! An ordinary client is served during each attack.

use std::net::Shutdown;

use socket2::{Domain, Socket, Type};

use crate::attack::{
    self, Attacked, Holdings, PROMPTLY, connect_from, is_unharmed, may_open, release,
    release_after, reset,
};
use crate::common::*;

/// All that comes back when a client sends these bytes and then closes its side.
fn responses_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = send(address, bytes);
    stream.shutdown(Shutdown::Write).expect("a side can be closed");
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all); // Until the server closes the connection, or resets it.
    all
}

#[test]
fn ten_thousand_resets_harm_nobody() {
    let attacked = Attacked::new();
    each(4, 0..10_000, |_| reset(send(attacked.appinfo.address, REQUEST)));
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
    let Attacked { appinfo, before, .. } = &attacked;
    let half = "GET /v1/appinfo HTTP/1.1\r\nHost: a";
    let half_open: Vec<_> = (0..1_500).map(|_| send(appinfo.address, half)).collect();
    until("all are held", || appinfo.threads() >= before.threads + 1_490);
    attacked.was_unharmed(0, 8_000);
    drop(half_open);
}

/// Connections that send requests need not wait until those that send nothing are cut.
#[test]
fn a_burst_of_held_connections_is_answered_promptly() {
    if !may_open(3_000) {
        return;
    }
    // Each connection sends a request, or one of nine.
    for (connections, every) in [(512, 1), (72, 9)] {
        let _turn = attack::alone();
        let mut appinfo = release().spawn();
        let start = Instant::now();
        let is_active = |number: usize| number % every == every - 1;
        let held: Vec<_> = (0..connections)
            .map(|number| send(appinfo.address, if is_active(number) { REQUEST } else { b"" }))
            .collect();
        for (_, stream) in held.iter().enumerate().filter(|(number, _)| is_active(*number)) {
            assert_eq!(read_response(stream, false).expect("a response comes").status, 200);
        }
        assert!(start.elapsed() < PROMPTLY, "one of {every} active: {:?}", start.elapsed());
        is_unharmed(&mut appinfo);
    }
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
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    thread::scope(|scope| {
        for (line, headers, body) in &cases {
            scope.spawn(move || {
                let (method, version) = line.split_once(' ').expect("a method and a version");
                let head = format!("{method} /healthz HTTP/{version}\r\n{headers}\r\n\r\n");
                let start = Instant::now();
                let response = first_response(address, &head, body).expect("a response comes");
                assert!(start.elapsed() < PROMPTLY, "after {:?}: {head}", start.elapsed());
                let expected = if method == "POST" { 405 } else { 200 };
                assert_eq!(response.status, expected, "{head}");
                let close = ("connection".to_owned(), "close".to_owned());
                assert!(response.headers.contains(&close), "{head}");
            });
        }
    });
    // The allocator keeps some of what was read at the same time.
    attacked.was_unharmed(3, 8_000);
}

/// Sends a head and its body, and reads the first response meanwhile. The rest of the body may fail
/// to be sent then.
fn first_response(address: SocketAddr, head: &str, body: &str) -> io::Result<Response> {
    let mut stream = send(address, head);
    let reader = stream.try_clone().expect("a socket can be cloned");
    thread::scope(|scope| {
        scope.spawn(move || stream.write_all(body.as_bytes()));
        let response = read_response(&reader, head.starts_with("HEAD"));
        let _ = reader.shutdown(Shutdown::Both);
        response
    })
}

/// A connection from this port (0: any) with a small buffer, which responses soon fill if they are
/// not read.
fn connect_with_small_buffer(port: u16, address: SocketAddr) -> TcpStream {
    // On a busy machine it takes the kernel a moment to free a port.
    eventually("the port is free", || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        socket.set_tcp_mss(536).expect("small segments");
        socket.set_read_timeout(Some(PROMPTLY)).expect("a timeout");
        // Another address than that of the self-probes.
        let from = SocketAddr::from(([127, 0, 0, 2], port));
        socket.bind(&from.into()).and_then(|()| socket.connect(&address.into())).ok()?;
        Some(TcpStream::from(socket))
    })
}

/// Sends as much of these bytes as fits the buffers, and reads nothing.
fn send_without_reading(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = connect_with_small_buffer(0, address);
    stream.set_nonblocking(true).expect("an option");
    let _ = stream.write(bytes.as_bytes());
    stream
}

/// One body is read at a time on a connection, so that threads do not pile up.
#[test]
fn pipelined_bodies_block_nobody() {
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    let clients = [
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Expect: 100-continue\r\nContent-Length: 00\r\n\r\n",
        // The library has read it already, and the next request too.
        "Content-Length: 1\r\n\r\nx",
    ]
    .map(|rest| {
        let requests = format!("POST / HTTP/1.1\r\n{rest}").repeat(650);
        [(); 2].map(|()| send_without_reading(address, &requests))
    });
    thread::sleep(Duration::from_secs(1)); // What does not happen cannot be waited for.
    let threads = attacked.appinfo.threads();
    assert!(threads < attacked.before.threads + 20, "{threads} threads");
    drop(clients);
    attacked.was_unharmed(10, 4_000);
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
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),
        (b"GET /healthz HTTP/1.1\nHost: a\n\n", None),
        (b"GET /healthz HTTP/1.1\rHost: a\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/9.9\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/0.9\r\n\r\n", Some(200)),
        (b"GET /healthz HTTP/1.1 and more\r\n\r\n", Some(200)),
        (b"get /healthz HTTP/1.1\r\n\r\n", Some(405)),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /\0 HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.1\r\nExpect: a miracle\r\n\r\n", Some(417)),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 700\r\n\r\nx", None),
        ("GET /grün HTTP/1.1\r\n\r\n".as_bytes(), None),
        (many_headers.as_bytes(), Some(200)),
        (long_query.as_bytes(), Some(200)),
        (three.as_bytes(), Some(200)),
    ];
    let attacked = Attacked::new();
    for (request, expected) in cases {
        let responses = responses_to(attacked.appinfo.address, request);
        let status = read_response(&*responses, false).map(|response| response.status).ok();
        assert_eq!(status, *expected, "{}", request[..request.len().min(60)].escape_ascii());
        let text = String::from_utf8_lossy(&responses);
        let requests = request.windows(4).filter(|end| end == b"\r\n\r\n").count().max(1);
        assert!(text.matches("HTTP/1.").count() <= requests, "a response each: {text}");
    }
    attacked.was_unharmed(0, 4_000);
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
        let request = format!("{hiding}\r\n\r\n{hidden}");
        let responses = responses_to(appinfo.address, request.as_bytes());
        let text = String::from_utf8(responses).expect("responses are text");
        let [responses, closing] =
            ["\r\nServer: ", "\r\nConnection: close\r\n"].map(|line| text.matches(line).count());
        assert!(responses > 0 && closing == responses, "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    is_unharmed(&mut appinfo);
}

/// How many pages have been sent.
fn pages(appinfo: &Appinfo) -> Option<f64> {
    let series = r#"http_requests_total{method="GET",path="/",code="200"}"#;
    appinfo.get("/metrics").metric(series)
}

/// Each is sent some responses, and its connection is cut in the end.
#[test]
fn pipelining_clients_that_never_read_block_nobody() {
    let attacked = Attacked::new();
    let appinfo = &attacked.appinfo;
    // The page is the largest response, so it fills the socket soonest.
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1_000);
    let clients = [(); 20].map(|()| send_without_reading(appinfo.address, &requests));
    until("each has got a response", || pages(appinfo) >= Some(20.0));
    let start = Instant::now();
    assert_eq!(appinfo.get("/healthz").status, 200);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    // The library's queue keeps the memory of its greatest length: 20,000 requests at most, of some
    // 1.2 kB each.
    attacked.was_unharmed(0, 30_000);
    drop(clients);
}

/// As behind a proxy that has few ports left.
#[test]
fn a_client_with_the_port_of_a_slow_one_is_served() {
    let appinfo = release().spawn();
    let stream = send_without_reading(appinfo.address, &"GET / HTTP/1.1\r\n\r\n".repeat(1_000));
    let port = stream.local_addr().expect("it has an address").port();
    // That its connection is shut down does not show on its side while the server's buffer is full.
    until("it has got a page, and gets no more", || {
        let before = pages(&appinfo);
        thread::sleep(Duration::from_millis(200));
        before >= Some(1.0) && pages(&appinfo) == before
    });
    reset(stream);
    let mut stream = connect_with_small_buffer(port, appinfo.address);
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("it can be sent");
    assert_eq!(read_response(stream, false).expect("a response").status, 200);
}

/// Whether a new connection gets a response soon.
fn responds_promptly(address: SocketAddr) -> bool {
    let response = connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(PROMPTLY))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")?;
        read_response(stream, false)
    });
    response.is_ok_and(|response| response.status == 200)
}

/// A connection takes two files, so the limit is reached while accepting or right after.
#[test]
fn without_open_files_it_answers_or_restarts() {
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
        let is_restarted = appinfo.is_alive() && appinfo.restarts() > 0;
        assert!(is_restarted, "{limit}: {:?}", appinfo.stderr.all());
    }
}

/// So Kubernetes shows CrashLoopBackOff, rather than a pod that restarts its server for ever.
#[test]
fn a_server_that_cannot_start_ends_the_program() {
    let mut appinfo = release_after(&[], "ulimit -n 6").spawn();
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
    std::fs::copy(release_binary(), &copy).expect("a file can be copied");
    let user = "setpriv --reuid=61234 --clear-groups prlimit --nproc=14";
    let command: Vec<_> = user.split(' ').chain(copy.to_str()).collect();
    let mut appinfo = Start::of(&command).spawn();
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
    both.iter().for_each(|pid| signal(*pid, 19)); // SIGSTOP
    let address = appinfo.address;
    let meanwhile = thread::spawn(move || get(address, "/healthz").status);
    thread::sleep(Duration::from_secs(11));
    both.iter().for_each(|pid| signal(*pid, 18)); // SIGCONT
    assert_eq!(meanwhile.join().expect("a request sent meanwhile gets a response"), 200);
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
    let _turn = attack::alone();
    let attacks = [("", "GET / HTTP/1.1\r\n\r\n"), ("GET /", "x")];
    each(4, [attacks; 3].as_flattened(), |(first, then)| {
        let mut appinfo = release().args("--drain 1").spawn();
        let (address, start, drain) = (appinfo.address, Instant::now(), Duration::from_secs(1));
        thread::scope(|scope| {
            scope.spawn(|| {
                let then = then.repeat((1 << 18) / then.len());
                while start.elapsed() < DEADLINE {
                    let Some(mut stream) = connect_from(0, address, drain) else { break };
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
