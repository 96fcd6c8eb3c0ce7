//! Clients that mean no good, and limits that are hit, against the static release binary as the
//! image holds it. Beside each attack a client that means well is answered all the while.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use socket2::{Domain, SockRef, Socket, Type};

use crate::attack::{
    self, Attacked, Holdings, PROMPTLY, is_unharmed, may_open, release, release_after,
};
use crate::common::{
    self, Answer, Appinfo, DEADLINE, REQUEST, SIGTERM, Start, connect, eventually, send, until,
};

/// What the server sends on this connection until it closes it, or resets it.
fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

/// All that comes back when a client sends that and then closes its side.
fn answers_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let stream = send(address, bytes);
    stream.shutdown(Shutdown::Write).expect("a side can be closed");
    read_all(stream)
}

/// The status of the first answer in these bytes.
fn status(bytes: &[u8]) -> Option<u16> {
    Answer::parse(bytes).map(|answer| answer.status)
}

/// The process ends by itself, soon, with a status that says so and a sentence that says why.
fn ends_with_a_sentence(appinfo: &mut Appinfo) {
    let status = appinfo.wait();
    let log = appinfo.stderr.all();
    assert!(status.code().is_some_and(|code| code != 0), "{status}, {log:?}");
    let last = eventually("it says why", || {
        let last = appinfo.stderr.all().pop()?;
        (last.contains("cannot") || last.contains("no answer")).then_some(last)
    });
    println!("ended, {status}: {last}");
}

#[test]
fn ten_thousand_resets_harm_nobody_and_leave_a_line_in_the_log() {
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
    // The third line shows that resets have done what they do. A slow machine may need a fourth.
    let log = attacked.was_unharmed(0, 4_000, 4).stderr.all();
    assert!(log.iter().any(|line| line.contains("broke its connection off")), "{log:?}");
}

#[test]
fn a_thousand_connections_with_half_a_request_are_held_cut_and_all_is_given_back() {
    if !may_open(3_000) {
        return;
    }
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    let half = "GET /v1/appinfo HTTP/1.1\r\nHost: a";
    let half_open: Vec<_> = (0..1_000).map(|_| send(address, half)).collect();
    let Attacked { appinfo, before, .. } = &attacked;
    until("all are held", || appinfo.threads() >= before.threads + 990);
    until("all are cut", || Holdings::of(appinfo).files <= before.files + 6);
    drop(half_open);
    // Two lines: it did not begin anew either.
    attacked.was_unharmed(0, 6_000, 2);
}

/// Their threads are not what an attack has left behind, though nobody else asks for anything.
#[test]
fn that_a_thousand_connections_are_held_is_no_reason_to_begin_anew() {
    if !may_open(3_000) {
        return;
    }
    let turn = attack::alone();
    let mut appinfo = release().spawn();
    let half_open: Vec<_> = (0..1_000).map(|_| send(appinfo.address, "GET / HTTP/1.1")).collect();
    until("all are held", || appinfo.threads() >= 1_000);
    drop(turn); // Waiting disturbs no attack.
    until("their threads have gone", || appinfo.threads() < 20);
    drop(half_open);
    is_unharmed(&mut appinfo, 2);
}

#[test]
fn all_of_a_burst_of_connections_that_are_held_open_are_answered_promptly() {
    if !may_open(3_000) {
        return;
    }
    // Some ask, some never do; whoever asks must not have to wait for those to be cut.
    for (asking, silent, rounds) in [(8, 0, 5), (64, 0, 3), (512, 0, 1), (8, 8, 3), (8, 64, 3)] {
        let mut slowest = Duration::ZERO;
        for _ in 0..rounds {
            let _turn = attack::alone();
            let mut appinfo = release().spawn();
            let every = (asking + silent) / asking;
            let mut held: Vec<_> = (0..asking + silent)
                .map(|number| {
                    let asks = number % every == every - 1;
                    (send(appinfo.address, if asks { REQUEST } else { b"" }), asks)
                })
                .collect();
            let start = Instant::now();
            for (stream, _) in held.iter_mut().filter(|(_, asks)| *asks) {
                let answer = common::read_answer(stream, false).expect("an answer comes");
                assert_eq!(answer.status, 200);
            }
            slowest = slowest.max(start.elapsed());
            is_unharmed(&mut appinfo, 2);
        }
        println!("{asking} that ask, {silent} that do not: all are answered within {slowest:?}");
        assert!(slowest < PROMPTLY, "{asking} that ask, {silent} that do not: {slowest:?}");
    }
}

/// What these announce is so much that the library may not be let to ask the allocator for it: the
/// request is answered and forgotten, thread and files and all.
const FORGOTTEN: [&str; 3] = [
    "Content-Length: 100000000000",
    "Content-Length: 9223372036854775808",
    // The library heeds the first of several alone.
    "Connection: close\r\nConnection: upgrade\r\nContent-Length: 100000000000",
];

/// How a client goes about the body that it has announced.
enum Body {
    Never,
    Whole(usize),
    /// Fifty bytes every tenth of a second, up to so many.
    Trickle(usize),
    Text(&'static str),
}

#[test]
fn whoever_sends_a_body_hears_first_and_at_once_that_none_is_wanted() {
    use Body::{Never, Text, Trickle, Whole};
    // The headers, what follows them, and the first answer (none: the connection is closed without
    // one).
    let cases = [
        ("Content-Length: 2000", Never, Some(413)),
        ("Content-Length: 2000", Whole(2_000), Some(413)),
        ("Content-Length: 900000", Whole(900_000), Some(413)),
        ("Content-Length: 1200000", Never, Some(413)),
        ("Content-Length: 2000000", Whole(2_000_000), Some(413)),
        // No number for the library, which then sees no body at all.
        ("Content-Length: 18446744073709551616", Never, Some(413)),
        ("Content-Length: many", Never, Some(413)),
        ("Content-Length: -1", Never, Some(413)),
        // Up to 1,024 bytes are read before the program hears of the request.
        ("Content-Length: 700", Whole(700), Some(413)),
        ("Content-Length: 700", Never, None),
        ("Content-Length: 5000", Trickle(5_000), Some(413)),
        ("Content-Length: 5000", Trickle(500), Some(413)),
        ("Expect: 100-continue\r\nContent-Length: 2000", Never, Some(413)),
        ("Expect: 100-continue\r\nContent-Length: 20", Never, Some(413)),
        ("Expect: 100-continue\r\nContent-Length: 20", Whole(20), Some(413)),
        ("Expect: 100-continue\r\nContent-Length: 2000000", Never, Some(413)),
        ("Expect: 100-continue\r\nContent-Length: 2000000", Whole(2_000_000), Some(413)),
        ("Expect: 100-continue\r\nContent-Length: 0", Never, Some(404)),
        ("Expect: 100-continue\r\nContent-Length: 00", Never, Some(413)),
        ("Expect: a miracle\r\nContent-Length: 2000", Never, Some(417)),
        ("Transfer-Encoding: chunked", Never, Some(413)),
        ("Transfer-Encoding: chunked", Text("5\r\nhel"), Some(413)),
        ("Transfer-Encoding: chunked", Text("5\r\nhello\r\n0\r\n\r\n"), Some(413)),
        ("Transfer-Encoding: chunked", Text("not a length\r\n"), Some(413)),
        ("Transfer-Encoding: chunked", Text("ffffffffffffffff\r\nx"), Some(413)),
        ("Transfer-Encoding: gzip", Never, Some(413)),
        ("Connection: upgrade\r\nContent-Length: 700", Trickle(500), Some(413)),
        ("Connection: upgrade\r\nContent-Length: 2000", Whole(2_000), Some(413)),
        ("Connection: upgrade\r\nContent-Length: 2000", Never, Some(413)),
        // As Java's client asks for HTTP/2 with its first request.
        (
            "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n\
             Upgrade: h2c\r\nContent-Length: 2000000",
            Whole(2_000_000),
            Some(413),
        ),
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked",
            Text("5\r\nhello\r\n0\r\n\r\n"),
            Some(413),
        ),
        ("Content-Length: 0\r\nContent-Length: 2000", Never, Some(413)),
        ("Content-Length: 2000\r\nContent-Length: 0", Never, Some(413)),
        (FORGOTTEN[0], Never, Some(413)),
        (FORGOTTEN[1], Never, Some(413)),
        (FORGOTTEN[2], Never, Some(413)),
    ];
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    // One after the other: all bodies of one of these are less than the 8 MiB that may be unread.
    for (method, version) in [("POST", "1.1"), ("POST", "1.0"), ("HEAD", "1.1")] {
        thread::scope(|scope| {
            for (headers, body, expected) in &cases {
                scope.spawn(move || {
                    let head =
                        format!("{method} /nowhere HTTP/{version}\r\nHost: a\r\n{headers}\r\n\r\n");
                    let (status, took) = first_answer(address, &head, body);
                    assert_eq!(status, *expected, "after {took:?}: {head}");
                    // What does not come is waited for, unless its client waits to be told to go on.
                    let comes = match body {
                        Never | Trickle(_) => headers.contains("Expect"),
                        Text(text) => text.ends_with("0\r\n\r\n"),
                        Whole(_) => true,
                    };
                    assert!(!comes || took < PROMPTLY, "after {took:?}: {head}");
                    assert!(took < DEADLINE / 2, "after {took:?}: {head}");
                });
            }
        });
    }
    // Some of what was read at the same time stays with the allocator.
    attacked.was_unharmed(3 * FORGOTTEN.len() as u64, 8_000, 2);
}

/// Sends a head and its body; the status of the first answer, which must be whole, and how long that
/// took to come. What cannot be sent any more then is no surprise.
fn first_answer(address: SocketAddr, head: &str, body: &Body) -> (Option<u16>, Duration) {
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
        let answer = common::read_answer(&mut reader, is_head).ok();
        let took = start.elapsed();
        let _ = reader.shutdown(Shutdown::Both);
        if let Some(answer) = &answer {
            let length = answer.header("content-length").map_or(Ok(0), str::parse);
            assert!(is_head || length == Ok(answer.body.len()), "{head}{answer:?}");
        }
        (answer.map(|answer| answer.status), took)
    })
}

/// Each refusal waits in a thread for those before it: what is asked behind one is passed over, else
/// threads would pile up, and the loop would wait for all of them.
#[test]
fn bodies_that_are_refused_one_behind_the_other_hold_nobody_up() {
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    for headers in
        ["Transfer-Encoding: chunked\r\n\r\n0", "Expect: 100-continue\r\nContent-Length: 00"]
    {
        let post = format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n");
        let clients = [(); 4].map(|()| {
            let mut stream = connect_deaf(address, Some(536));
            stream.write_all(post.repeat(150).as_bytes()).expect("its answers fill the sockets");
            thread::sleep(Duration::from_millis(100));
            let requests = post.repeat(500) + "GET /healthz HTTP/1.1\r\n\r\n";
            stream.write_all(requests.as_bytes()).expect("it can go on asking");
            stream
        });
        thread::sleep(Duration::from_secs(1));
        let threads = attacked.appinfo.threads();
        assert!(threads < attacked.before.threads + 20, "{threads} threads: {headers}");
        drop(clients);
    }
    attacked.was_unharmed(0, 4_000, 2);
}

/// A connection of a client that reads nothing: what it is sent, in segments of no more than so many
/// bytes, soon fills all sockets on the way.
fn connect_deaf(address: SocketAddr, segment: Option<u32>) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    if let Some(segment) = segment {
        socket.set_tcp_mss(segment).expect("small segments");
    }
    socket.set_write_timeout(Some(DEADLINE)).expect("a time-out");
    socket.connect(&address.into()).expect("it accepts");
    socket.into()
}

#[test]
fn a_body_that_is_announced_after_the_answer_is_not_kept_waiting_for_ever() {
    let two = "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n";
    twenty_are_held_and_then_leak([two, two], 0);
}

/// The library waits for itself when it refuses such a version: nothing above it can help.
#[test]
fn a_request_in_a_version_above_1_1_costs_a_thread_and_two_files_and_no_more() {
    let requests = ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/3.0\r\n\r\n"];
    twenty_are_held_and_then_leak(requests, 20);
}

/// Ten connections with each of these are held, and then given back, but for so many.
fn twenty_are_held_and_then_leak(requests: [&str; 2], leaked: u64) {
    let mut appinfo = release().spawn();
    let before = Holdings::of(&appinfo);
    let streams: Vec<_> =
        requests.repeat(10).iter().map(|request| send(appinfo.address, request)).collect();
    until("they are all held", || Holdings::of(&appinfo).files >= before.files + 40);
    before.come_back(&appinfo, leaked, 2_000);
    drop(streams);
    is_unharmed(&mut appinfo, 2);
}

#[test]
fn what_is_no_request_is_refused_or_closed_and_harms_nobody() {
    let many_headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000));
    let long_query = format!("GET /healthz?{} HTTP/1.1\r\n\r\n", "x".repeat(1_000_000));
    let three = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
    // All that a client sends before it closes its side, and the answer, if there is any.
    let cases: &[(&[u8], Option<u16>)] = &[
        (b"", None),
        (b"\r\n\r\n", Some(400)),
        (b"\0\x01\x02garbage\r\n\r\n", Some(400)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", None),
        (b"GET /healthz HTTP/1.1\r\nHost: a", None),
        (b"GET /healthz HTTP/1.1\nHost: a\n\n", None),
        (b"GET /healthz HTTP/1.1\rHost: a\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/9.9\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.2\r\n\r\n", Some(400)),
        (b"GET /healthz\r\n\r\n", Some(400)),
        (b"GET\r\n\r\n", Some(400)),
        (b"GET /healthz http/1.1\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/0.9\r\n\r\n", Some(200)),
        (b"GET /healthz HTTP/1.0\r\n\r\n", Some(200)),
        (b"GET /healthz HTTP/1.1 and more\r\n\r\n", Some(200)),
        (b"GET  /healthz HTTP/1.1\r\n\r\n", Some(400)),
        (b"GET  HTTP/1.1\r\n\r\n", Some(404)),
        (b"get /healthz HTTP/1.1\r\n\r\n", Some(405)),
        (b"GET http://anybody/healthz HTTP/1.1\r\n\r\n", Some(200)),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", Some(404)),
        (b"CONNECT anybody:80 HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /v1/../healthz HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /\0 HTTP/1.1\r\n\r\n", Some(404)),
        (b"GET /healthz HTTP/1.1\r\nX: \0\r\n\r\n", Some(200)),
        (b"GET /healthz HTTP/1.1\r\nTE: chunked\r\n\r\n", Some(200)),
        (b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", Some(400)),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", Some(400)),
        ("GET /healthz HTTP/1.1\r\nX: grün\r\n\r\n".as_bytes(), None),
        ("GET /grün HTTP/1.1\r\n\r\n".as_bytes(), None),
        (many_headers.as_bytes(), Some(200)),
        (long_target.as_bytes(), Some(404)),
        (long_query.as_bytes(), Some(200)),
        (three.as_bytes(), Some(200)),
    ];
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    for (request, expected) in cases {
        let answer = answers_to(address, request);
        let start = &request[..request.len().min(60)];
        assert_eq!(status(&answer), *expected, "{}", start.escape_ascii());
        let text = String::from_utf8_lossy(&answer);
        let requests = request.windows(4).filter(|end| end == b"\r\n\r\n").count().max(1);
        assert!(text.matches("HTTP/1.").count() <= requests, "an answer each: {text}");
        assert!(!text.contains("chunked"), "{text}");
    }
    attacked.was_unharmed(0, 4_000, 2);
}

/// What comes back for two requests of which the first, to whoever knows HTTP better than the library
/// does, holds the second: the first answer ends the connection, which a proxy heeds; and nothing that a
/// client has sent comes back in any.
#[test]
fn what_a_request_may_hide_from_a_proxy_tells_nothing() {
    let hidden = "GET /secret HTTP/1.1\r\nX: secret\r\n\r\n";
    let length = hidden.len();
    for (hiding, statuses) in [
        // CVE-2026-66752: every `Transfer-Encoding` is taken for chunked. (The second request may come
        // while the first is being refused, and is passed over then.)
        ("POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0".to_owned(), ["413", "404"]),
        // CVE-2026-66753: a bare line feed is part of a header's value, and hides what is behind it.
        (format!("GET /healthz HTTP/1.1\r\nX: a\nContent-Length: {length}"), ["200", "404"]),
    ] {
        let mut appinfo = release().spawn();
        let request = format!("{hiding}\r\n\r\n{hidden}");
        let answers = answers_to(appinfo.address, request.as_bytes());
        let answers = String::from_utf8(answers).expect("answers are text");
        let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
        let found: Vec<_> = answers.iter().map(|answer| &answer[..3]).collect();
        assert!(found == statuses || found == ["413"], "{found:?}");
        for answer in answers {
            assert!(
                answer.contains("Connection: close\r\n") && !answer.contains("secret"),
                "{answer}"
            );
        }
        is_unharmed(&mut appinfo, 2);
    }
}

/// How many pages have been sent.
const PAGES: &str = r#"http_requests_total{method="GET",path="/",code="200"}"#;

#[test]
fn clients_that_pipeline_and_never_read_hold_nobody_up() {
    let attacked = Attacked::new();
    let address = attacked.appinfo.address;
    // The page is the largest answer: the sooner is the socket full.
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500);
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect_deaf(address, None);
            stream.write_all(&requests).expect("all requests can be sent");
            stream
        })
        .collect();
    // Each has been given an answer, and the rest has been passed over; who sends nothing for 10
    // seconds is cut.
    let Attacked { appinfo, before, .. } = &attacked;
    until("each has been answered", || appinfo.get("/metrics").metric(PAGES) >= Some(50.0));
    until("they are cut", || Holdings::of(appinfo).files <= before.files + 6);
    drop(clients);
    // The library's queue keeps the memory of its longest moment.
    // It may begin anew to give it back, once there is leisure for that.
    attacked.was_unharmed(0, 16_000, 3);
}

#[test]
fn whoever_goes_on_asking_after_being_told_to_close_is_passed_over_in_whatever_words() {
    let appinfo = release().spawn();
    for head in [
        "HTTP/1.1",
        "HTTP/1.0\r\nConnection: keep-alive",
        "HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close",
    ] {
        let requests = format!("GET /healthz {head}\r\n\r\n").repeat(100);
        let answers = answers_to(appinfo.address, requests.as_bytes());
        let answers = String::from_utf8_lossy(&answers).matches(" 200 OK").count();
        assert!(PASSED_OVER.contains(&answers), "{answers} answers: {head}");
    }
}

/// How many of many requests in a row are answered: 16, or several times that where the machine makes
/// pauses of a second between two of them.
const PASSED_OVER: RangeInclusive<usize> = 16..=64;

#[test]
fn whoever_was_silent_for_a_while_is_answered_again_and_passed_over_again() {
    let appinfo = release().spawn();
    let request = "GET /healthz HTTP/1.1\r\n\r\n";
    let mut stream = send(appinfo.address, request.repeat(100));
    // A byte now and then keeps the connection open, and is no request yet.
    for byte in &request.as_bytes()[..6] {
        thread::sleep(Duration::from_secs(2));
        stream.write_all(&[*byte]).expect("it is open");
    }
    let answers = |stream: &TcpStream| {
        let mut all = Vec::new();
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
        let _ = stream.take(1 << 20).read_to_end(&mut all);
        String::from_utf8_lossy(&all).matches(" 200 OK").count()
    };
    assert!(PASSED_OVER.contains(&answers(&stream)));
    let rest = request[6..].to_owned() + &request.repeat(500);
    stream.write_all(rest.as_bytes()).expect("it is open");
    let again = answers(&stream);
    assert!(PASSED_OVER.contains(&again), "{again} answers");
}

/// A connection from this port of an address of its own: the heart may use any of 127.0.0.1.
fn connect_from_port(port: u16, address: SocketAddr) -> TcpStream {
    // On a busy machine the kernel takes a moment to see the last connection from there end.
    eventually("the port is free", || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        socket.set_read_timeout(Some(PROMPTLY)).expect("a time-out");
        let from = SocketAddr::from(([127, 0, 0, 2], port));
        socket.bind(&from.into()).and_then(|()| socket.connect(&address.into())).ok()?;
        Some(TcpStream::from(socket))
    })
}

fn reset(stream: TcpStream) {
    let at_once = Some(Duration::ZERO);
    SockRef::from(&stream).set_linger(at_once).expect("a reset can be asked for");
}

/// As behind a proxy that has few ports left.
#[test]
fn whoever_has_the_port_of_one_that_is_passed_over_is_answered_if_it_asks_to_close() {
    let appinfo = release().spawn();
    let mut stream = connect_from_port(0, appinfo.address);
    let port = stream.local_addr().expect("it has an address").port();
    let requests = "GET / HTTP/1.1\r\n\r\n".repeat(100);
    stream.write_all(requests.as_bytes()).expect("requests can be sent");
    until("it has been answered and passed over", || {
        appinfo.get("/metrics").metric(PAGES) >= Some(*PASSED_OVER.start() as f64)
    });
    reset(stream);
    let mut stream = connect_from_port(port, appinfo.address);
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("it can be sent");
    assert_eq!(common::read_answer(&mut stream, false).expect("an answer").status, 200);
}

#[test]
fn a_client_that_uses_its_port_again_is_answered_at_once_if_it_asks_to_close_or_else_later() {
    // Asked to, the server closes first: the client's port is free as soon as it has seen that.
    let close = ["GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"];
    let post =
        "POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let neither = ["GET / HTTP/1.1\r\n\r\n"; 2];
    let (none, second) = (Duration::ZERO, Duration::from_millis(1_100));
    let cases = [(100, none, close), (1_000, none, [post, close[0]]), (20, second, neither)];
    common::each(3, cases, asks_from_one_port);
}

fn asks_from_one_port((times, pause, requests): (usize, Duration, [&str; 2])) {
    let appinfo = release().spawn();
    let mut port = 0;
    for number in 0..times {
        let mut stream = connect_from_port(port, appinfo.address);
        port = stream.local_addr().expect("it has an address").port();
        stream.write_all(requests[number % 2].as_bytes()).expect("a request can be sent");
        let expected = if requests[number % 2].starts_with("POST") { 413 } else { 200 };
        let answer = common::read_answer(&mut stream, false).expect("an answer");
        assert_eq!(answer.status, expected, "connection {number}");
        if pause.is_zero() {
            read_all(stream);
        } else {
            reset(stream);
        }
        thread::sleep(pause);
    }
}

#[test]
fn out_of_open_files_it_answers_or_ends_but_is_never_deaf() {
    if !may_open(1_000) {
        return;
    }
    let _turn = attack::alone();
    // Connections take two files each, so a limit is hit while accepting or right after.
    thread::scope(|scope| {
        for limit in [24, 25, 26, 27, 64] {
            scope.spawn(move || answers_or_ends_with_so_many_files(limit));
        }
    });
}

/// Whether a new connection is accepted and answered, and soon.
fn answers_promptly(address: SocketAddr) -> bool {
    let Ok(mut stream) = connect(address) else { return false };
    stream.set_read_timeout(Some(PROMPTLY)).expect("a time-out");
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    status(&read_all(stream)) == Some(200)
}

fn answers_or_ends_with_so_many_files(limit: usize) {
    let mut appinfo = release_after(&[], &format!("ulimit -n {limit}")).spawn();
    let held: Vec<_> = (0..limit).map_while(|_| connect(appinfo.address).ok()).collect();
    let start = Instant::now();
    while appinfo.is_alive() && start.elapsed() < Duration::from_secs(3) {
        until("it answers or ends", || answers_promptly(appinfo.address) || !appinfo.is_alive());
    }
    let alive = appinfo.is_alive();
    println!("at most {limit} files, after {:?}, alive: {alive}", start.elapsed());
    if !alive {
        ends_with_a_sentence(&mut appinfo);
    }
    drop(held);
}

#[test]
fn a_server_that_can_accept_no_more_ends_with_a_sentence() {
    let mut appinfo = release().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let none = Rlimit { current: Some(4), maximum: Some(4) };
    prlimit(Pid::from_raw(appinfo.pid()), Resource::Nofile, none).expect("a limit can be lowered");
    // It hears of it with the next connection, which may be anybody's but its own.
    let _ = common::exchange(appinfo.address, b"GET /healthz HTTP/1.1\r\n\r\n");
    ends_with_a_sentence(&mut appinfo);
}

#[test]
fn a_server_that_can_start_no_more_threads_ends_with_a_sentence() {
    if !common::have(&["setpriv", "prlimit"]) {
        return;
    }
    // The limit does not hold for root.
    let is_root = rustix::process::getuid().is_root();
    let user = ["setpriv", "--reuid=65534", "--clear-groups"];
    let user = if is_root { &user[..] } else { &[] };
    // Another user may not look into the folder where the binary was built.
    let folder = common::Folder::new();
    let copy = folder.path().join("appinfo");
    std::fs::copy(common::release_binary(), &copy).expect("a file can be copied");
    let copy = copy.to_str().expect("a plain path");
    let mut appinfo = Start::of(&[user, &[copy]].concat()).spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let pid = format!("--pid={}", appinfo.pid());
    let limit = [user, &["prlimit", &pid, "--nproc=1:1"]].concat();
    common::run(Command::new(limit[0]).args(&limit[1..]));
    let held: Vec<_> = (0..50).map_while(|_| connect(appinfo.address).ok()).collect();
    ends_with_a_sentence(&mut appinfo);
    drop(held);
}

#[test]
fn a_process_that_was_frozen_for_a_while_goes_on_serving() {
    let mut appinfo = release().spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    appinfo.signal(19); // SIGSTOP
    // Longer than the heartbeat's patience and than the listening socket's time-out.
    let frozen = Duration::from_secs(11);
    let address = appinfo.address;
    let meanwhile = thread::spawn(move || common::get(address, "/healthz").status);
    thread::sleep(frozen);
    appinfo.signal(18); // SIGCONT
    assert_eq!(meanwhile.join().expect("a request sent meanwhile is answered"), 200);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        is_unharmed(&mut appinfo, 2);
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

/// It has just begun to begin anew when the drain is over.
#[test]
fn a_stop_is_not_forgotten_where_an_attack_goes_on_to_its_very_end() {
    let _turn = attack::alone();
    let drain = Duration::from_secs(1);
    let leads = (36..=60).step_by(2).map(Duration::from_millis);
    common::each(4, leads, |lead| {
        let mut appinfo = release().args("--drain 1").spawn();
        let mut stream = send(appinfo.address, "GET /");
        stream.write_all(&vec![b'x'; 15 << 20]).expect("it is read");
        let start = Instant::now();
        appinfo.signal(SIGTERM);
        thread::sleep((drain - lead).saturating_sub(start.elapsed()));
        while stream.write_all(&[b'x'; 1 << 18]).is_ok() {}
        let (status, log) = (appinfo.wait(), appinfo.stderr.all());
        assert_eq!(status.code(), Some(0), "{lead:?}, {log:?}");
        let starts = log.iter().filter(|line| line.contains("listening on")).count();
        assert_eq!(starts, 1, "{lead:?}, {log:?}");
    });
}

/// Somebody waits for a late answer, so that it is not over yet.
#[test]
fn after_the_drain_it_ends_rather_than_hold_more_than_a_pod_may() {
    let _turn = attack::alone();
    let mut appinfo = release().args("--drain 0 --delay 5000").spawn();
    let _waiting = send(appinfo.address, REQUEST);
    let mut stream = send(appinfo.address, "GET /");
    assert_eq!(appinfo.get("/healthz").status, 200);
    appinfo.signal(SIGTERM);
    let mut most = 0;
    while stream.write_all(&[b'x'; 1 << 16]).is_ok() {
        let Ok(status) = appinfo.process().status() else { break };
        most = most.max(status.vmhwm.unwrap_or(0));
    }
    assert_eq!(appinfo.wait().code(), Some(0), "{:?}", appinfo.stderr.all());
    assert!(most < 96 << 10, "it held {most} kB");
}

#[test]
fn its_requests_to_itself_show_in_no_log_and_no_count() {
    let appinfo = release().arg("--access-log").spawn();
    // Nothing but its own requests wakes the main thread now.
    let wakes = || appinfo.process().status().expect("/proc tells").voluntary_ctxt_switches;
    let before = wakes().expect("the kernel counts");
    until("the heartbeat has been heard ten times", || wakes() >= Some(before + 10));
    let metrics = appinfo.get("/metrics");
    let counts = |metrics: &Answer| {
        let lines = metrics.text().lines();
        let counts = lines.filter(|line| line.starts_with("http_requests_total{"));
        counts.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(counts(&metrics).is_empty(), "{metrics:?}");
    // Whoever guesses what it asks for is seen all the same.
    for target in ["/healthz", "/healthz?", "/healthz?0"] {
        assert_eq!(appinfo.get(target).status, 200);
    }
    let metrics = appinfo.get("/metrics");
    let healthz = r#"http_requests_total{method="GET",path="/healthz",code="200"} 3"#;
    let first = r#"http_requests_total{method="GET",path="/metrics",code="200"} 1"#;
    assert_eq!(counts(&metrics), [healthz, first]);
    let log = eventually("the log has five lines", || {
        Some(appinfo.stdout.all()).filter(|lines| lines.len() >= 5)
    });
    let paths: Vec<_> = log.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/metrics", "/healthz", "/healthz", "/healthz", "/metrics"]);
}
