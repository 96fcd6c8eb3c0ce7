//! Many delayed responses at the same time.

use crate::attack;
use crate::common::*;

/// As many as are allowed wait, for longer than an idle connection is kept; any beyond that is sent
/// at once.
#[test]
fn a_thousand_delayed_responses_block_nobody() {
    let turn = attack::alone();
    let delay = Duration::from_secs(12);
    let appinfo = attack::release().args("--delay 12000 --drain 0").spawn();
    let start = Instant::now();
    let mut waiting: Vec<_> = (0..1_010).map(|_| send(appinfo.address, REQUEST)).collect();
    // One of the library's threads reads each; four are for other things.
    until("all have been received", || appinfo.threads() >= 1_014);
    for path in ["/v1/appinfo", "/healthz", "/readyz", "/metrics"] {
        let sent = Instant::now();
        assert_eq!(appinfo.get(path).status, 200);
        assert!(sent.elapsed() < Duration::from_secs(1), "{path} after {:?}", sent.elapsed());
    }
    let threads = appinfo.threads();
    assert!(threads < 1_100, "a thread for each connection, no more: {threads}");
    assert!(start.elapsed() < delay, "the machine is too slow for this test");
    drop(turn); // Waiting disturbs no attack.
    for stream in &mut waiting {
        assert_eq!(read_response(stream, false).expect("a response").status, 200);
    }
    assert!(start.elapsed() >= delay);
    let bucket = "http_request_duration_seconds_bucket{path=\"/v1/appinfo\",le=\"5\"}";
    let within = appinfo.get("/metrics").metric(bucket).expect("there is a histogram");
    assert!(within < 100.0, "the delay counts: {within} took less than five seconds");
    assert_eq!(appinfo.restarts(), 0);
}
