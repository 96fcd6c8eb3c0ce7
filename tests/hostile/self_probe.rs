//! The server's requests to itself.

use crate::attack;
use crate::common::*;

/// In a network that drops the first packets of its probes, which proves nothing, it serves. Without any
/// connection for 10 seconds, not even its own, the library's `accept` fails.
#[test]
fn a_server_is_restarted_when_it_accepts_no_more() {
    needs!("unshare", "nsenter", "ip", "iptables", "curl");
    needs!(root, "to make a network namespace");
    let script = "ip link set lo up && exec \"$0\" \"$@\" --listen :0";
    let binary = release_binary().to_str().expect("a path in UTF-8");
    let path = std::env::var("PATH").unwrap_or_default();
    let words = ["unshare", "--net", "sh", "-c", script, binary];
    let mut appinfo = Start::of(&words).env("PATH", path).spawn();
    let nsenter = format!("nsenter --target {} --net", appinfo.pid());
    let drop = "iptables --append INPUT --destination 127.0.0.1 --protocol tcp --syn --jump DROP";
    run(&mut command(&format!("{nsenter} {drop}")));
    let port = appinfo.address.port();
    let curl = format!("{nsenter} curl --silent --show-error --fail 127.0.0.2:{port}/healthz");
    for _ in 0..40 {
        run(&mut command(&curl));
        thread::sleep(Duration::from_millis(200));
    }
    let log = appinfo.stderr.clone();
    let restarted = || log.all().into_iter().find(|line| line.contains("restarting it"));
    assert_eq!(restarted(), None);
    let line = eventually("it is restarted", restarted);
    assert!(line.contains("could accept no more connections"), "{line}");
    run(&mut command(&curl));
    assert!(appinfo.is_alive());
}

/// They are in no log and no count; a client that guesses their target is.
#[test]
fn self_probes_are_invisible() {
    let appinfo = attack::release().args("--access-log").spawn();
    // Nothing but its own probes wakes the server's main thread now.
    let wakes = || appinfo.process().status().expect("/proc can be read").voluntary_ctxt_switches;
    assert_eq!(appinfo.get("/readyz").status, 200);
    let before = wakes().expect("the kernel counts");
    until("it has probed itself twice", || wakes() >= Some(before + 2));
    for target in ["/healthz", "/healthz?", "/healthz?0"] {
        assert_eq!(appinfo.get(target).status, 200);
    }
    let metrics = appinfo.get("/metrics");
    let counts = metrics.text().lines().filter(|line| line.starts_with("http_requests_total{"));
    let counts: Vec<_> = counts.filter(|line| !line.ends_with(" 0")).collect();
    let healthz = r#"http_requests_total{method="GET",path="/healthz",code="200"} 3"#;
    let readyz = r#"http_requests_total{method="GET",path="/readyz",code="200"} 1"#;
    assert_eq!(counts, [healthz, readyz]);
    until("the log has five lines", || appinfo.stdout.all().len() >= 5);
    let log = appinfo.stdout.all();
    let paths: Vec<_> = log.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/readyz", "/healthz", "/healthz", "/healthz", "/metrics"]);
}
