//! How the program ends. (The tests of the image end it as PID 1 in a container.)

use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::*;

#[test]
fn sigterm_ends_readiness_and_drains_for_five_seconds() {
    let mut appinfo = Start::new().spawn();
    assert_eq!(appinfo.get("/readyz").status, 200);
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    await_draining(appinfo.address);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    let not_ready = appinfo.get("/readyz");
    assert!(not_ready.json()["error"].as_str().unwrap().contains("draining"), "{not_ready:?}");
    while start.elapsed() < Duration::from_millis(4_500) {
        assert_eq!(appinfo.get("/v1/appinfo").status, 200);
        assert_eq!(appinfo.get("/healthz").status, 200);
    }
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    let (log, expected) = (appinfo.stderr.all(), "SIGTERM: not ready any more, draining for 5 s");
    assert!(log.iter().any(|line| line.contains(expected)), "{log:?}");
}

/// And a silent connection, which is cut after ten seconds, does not delay the end.
#[test]
#[cfg(target_os = "linux")]
fn sigint_stops_after_responding_to_what_was_received() {
    let mut appinfo = Start::new().args("--drain 3600").spawn();
    let _silent = connect(appinfo.address).expect("it accepts");
    let half = b"GET /v1/appinfo HTTP/1.1\r\n";
    let mut streams: Vec<_> = (0..20).map(|_| send(appinfo.address, half)).collect();
    // A connection that is served shows that all before it are accepted.
    assert_eq!(appinfo.get("/healthz").status, 200);
    // The requests come together with the signal.
    let (server, start) = (appinfo.server(), Instant::now());
    signal(server, 19); // SIGSTOP
    streams.iter_mut().for_each(|stream| stream.write_all(b"\r\n").expect("it is sent"));
    appinfo.signal(SIGINT);
    signal(server, 18); // SIGCONT
    for stream in streams {
        assert_eq!(read_response(stream, false).expect("a response").status, 200);
    }
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

/// Until the very end a client gets a response, or its connection is refused.
#[test]
fn sixteen_busy_clients_lose_nothing_over_twelve_stops() {
    each(4, 0..12, |_| {
        let mut appinfo = Start::new().args("--drain 1").spawn();
        let (address, responses) = (appinfo.address, AtomicU32::new(0));
        let requests = || {
            // A Service spares its clients refused connections. On one that has been established
            // each request must get a response.
            while let Ok(mut stream) = TcpStream::connect(address) {
                stream.write_all(REQUEST).expect("it is read");
                let response = read_response(&mut stream, false);
                assert_eq!(response.expect("a response").status, 200);
                responses.fetch_add(1, Ordering::Relaxed);
            }
            Instant::now()
        };
        thread::scope(|scope| {
            let clients = [(); 16].map(|()| scope.spawn(requests));
            until("all send requests", || responses.load(Ordering::Relaxed) > 100);
            let end = Instant::now() + Duration::from_secs(1);
            appinfo.signal(SIGTERM);
            for client in clients {
                assert!(client.join().expect("no request is lost") >= end, "refused too early");
            }
        });
        assert_eq!(appinfo.wait().code(), Some(0));
    });
}

#[test]
fn a_request_just_after_the_drain_gets_its_response() {
    let mut appinfo = Start::new().args("--drain 1").spawn();
    appinfo.signal(SIGTERM);
    let end = Instant::now() + Duration::from_secs(1);
    await_draining(appinfo.address);
    let until = |time: Instant| thread::sleep(time.saturating_duration_since(Instant::now()));
    until(end - Duration::from_millis(30));
    let mut streams: Vec<_> = (0..20).map(|_| connect(appinfo.address).unwrap()).collect();
    until(end + Duration::from_millis(20));
    streams.iter_mut().for_each(|stream| stream.write_all(REQUEST).expect("it is sent"));
    for stream in streams {
        assert_eq!(read_response(stream, false).expect("a response").status, 200);
    }
    assert_eq!(appinfo.wait().code(), Some(0));
}

/// Its connection is not reset while the client still sends.
#[test]
fn a_body_that_is_being_sent_at_the_end_does_no_harm() {
    let mut appinfo = Start::new().args("--drain 0").spawn();
    let mut stream = send(appinfo.address, "POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n");
    assert_eq!(appinfo.get("/healthz").status, 200);
    appinfo.signal(SIGTERM);
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(&[b'x'; 250]).expect("it is read");
    }
    assert_eq!(read_response(&mut stream, false).expect("a response").status, 405);
    assert_eq!(appinfo.wait().code(), Some(0));
}
