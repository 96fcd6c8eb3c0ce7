//! As many late answers as are allowed, all at the same time.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::attack;
use crate::common::{connect, eventually, read_answer};

const REQUEST: &[u8] = b"GET /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_thousand_late_answers_hold_nobody_up_and_what_is_asked_beyond_is_answered_at_once() {
    let _turn = attack::alone();
    let delay = Duration::from_secs(15);
    let appinfo = attack::release().args("--delay 15000 --drain 0").spawn();
    assert!(attack::may_open(1_100));
    let start = Instant::now();
    let ask = |_| {
        let mut stream = connect(appinfo.address).expect("it accepts");
        stream.write_all(REQUEST).expect("a request can be sent");
        stream
    };
    let mut waiting: Vec<_> = (0..1_010).map(ask).collect();
    // A thread of the library's reads each; five are for other things.
    eventually("all have come", || (appinfo.status("Threads") >= 1_015).then_some(()));
    for path in ["/v1/appinfo", "/healthz", "/readyz", "/metrics"] {
        let asked = Instant::now();
        assert_eq!(appinfo.get(path).status, 200);
        assert!(asked.elapsed() < Duration::from_secs(1), "{path} after {:?}", asked.elapsed());
    }
    let threads = appinfo.status("Threads");
    assert!(threads < 1_100, "a thread for each connection, no more: {threads}");
    assert!(start.elapsed() < delay, "the machine is too slow for this test");
    for stream in &mut waiting {
        assert_eq!(read_answer(stream, false).expect("it is answered").status, 200);
    }
    assert!(start.elapsed() >= delay);
    let metrics = appinfo.get("/metrics").text().to_owned();
    let within = "http_request_duration_seconds_bucket{path=\"/v1/appinfo\",le=\"5\"} ";
    let within = metrics.split_once(within).expect("there is a histogram").1;
    let within: u32 = within.lines().next().expect("a number").parse().expect("a number");
    assert!(within < 100, "the delay counts: {within} took less than five seconds");
}
