//! A pod that is only a little bad: a share of its responses fails, a share is delayed, and no
//! other response waits for a delayed one.

use crate::common::*;

/// How many are delayed or fail is tested beside the code; how they fail, in `http.rs`.
#[test]
fn only_appinfo_is_delayed_or_fails() {
    let start = Instant::now();
    // The second response is the first delayed one.
    let appinfo = Start::new().args("--error-rate 100 --delay 60000 --delay-rate 49").spawn();
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(appinfo.get(path).status, 200, "{path}");
    }
    assert_eq!(appinfo.raw("PUT /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
    assert_eq!(appinfo.get("/v1/appinfo").status, 500);
    assert!(start.elapsed() < Duration::from_secs(60), "one of them was delayed");
}

/// Also to requests with a chunked, empty body, as proxies in meshes send them.
#[test]
#[cfg(target_os = "linux")]
fn delayed_responses_are_sent_before_the_program_stops() {
    let mut appinfo = Start::new().args("--delay 3000 --drain 1").spawn();
    let start = Instant::now();
    let chunked = b"GET /v1/appinfo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let requests = [REQUEST, chunked].repeat(25);
    let mut waiting: Vec<_> = requests.iter().map(|text| send(appinfo.address, text)).collect();
    // One of the library's threads reads each; four are for other things.
    until("all have been received", || appinfo.threads() >= 54);
    appinfo.signal(SIGTERM);
    for stream in &mut waiting {
        assert_eq!(read_response(stream, false).expect("a response").status, 200);
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    }
    assert_eq!(appinfo.wait().code(), Some(0));
}

/// Each response carries `Connection: close`.
#[test]
fn persistent_clients_do_not_keep_the_program_alive() {
    let mut appinfo = Start::new().args("--delay 1000 --drain 0").spawn();
    for _ in 0..2 {
        let mut stream = send(appinfo.address, REQUEST);
        thread::spawn(move || {
            while read_response(&mut stream, false).is_ok() && stream.write_all(REQUEST).is_ok() {}
        });
        thread::sleep(Duration::from_millis(300)); // So that one always waits.
    }
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn delayed_responses_on_one_connection_keep_their_order() {
    let appinfo = Start::new().args("--delay 500 --delay-rate 50").spawn();
    let mut stream = connect(appinfo.address).expect("it accepts");
    for path in ["/v1/appinfo", "/v1/appinfo", "/healthz", "/v1/appinfo", "/nowhere"] {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it can be sent");
    }
    // A request with a body keeps its place behind a delayed response.
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 900000000\r\n\r\nx").expect("the same");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("responses are text"));
    let status = |line: String| Some(line.strip_prefix("HTTP/1.1 ")?[..3].to_owned());
    let statuses: Vec<_> = lines.filter_map(status).take(6).collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "404", "405"]);
    assert_eq!(appinfo.get("/healthz").status, 200);
}

#[test]
#[cfg(target_os = "linux")]
fn a_delayed_response_without_a_client_is_dropped() {
    let appinfo = Start::new().args("--delay 2000 --delay-rate 50").spawn();
    let threads = appinfo.threads();
    drop((0..200).map(|_| send(appinfo.address, REQUEST)).collect::<Vec<_>>());
    let sent = Instant::now();
    while sent.elapsed() < Duration::from_secs(3) {
        let start = Instant::now();
        assert_eq!(appinfo.get("/healthz").status, 200);
        assert!(start.elapsed() < DEADLINE / 10, "it waits for clients that have gone");
    }
    until("all threads end", || appinfo.threads() <= threads + 20);
}
