//! The server's requests to itself, when the network between it and itself fails.

use crate::attack;
use crate::common::*;

/// The program in a network of its own, listening on every address.
fn in_a_network() -> Option<Appinfo> {
    needs!("unshare", "nsenter", "ip", "iptables", "curl");
    needs!(root, "to make a network namespace");
    let start = attack::release_after(&["unshare", "--net"], "ip link set lo up");
    let path = std::env::var("PATH").unwrap_or_default();
    Some(start.env("PATH", path).args("--listen :0").spawn())
}

/// A command, its words separated by white space, in the program's network.
fn there(appinfo: &Appinfo, command: &str) -> Command {
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &appinfo.pid().to_string(), "--net"]);
    nsenter.args(command.split_whitespace());
    nsenter
}

/// Sends it a request, to another address than its own probes use.
fn request(appinfo: &Appinfo) {
    let port = appinfo.address.port();
    let curl = format!("curl --silent --show-error --fail http://127.0.0.2:{port}/healthz");
    assert!(run(&mut there(appinfo, &curl)).contains("ok"));
}

/// The first line that says that the server was restarted for this reason.
fn restarted(appinfo: &Appinfo, why: &str) -> Option<String> {
    let mut lines = appinfo.stderr.all().into_iter();
    lines.find(|line| line.contains("restarting it") && line.contains(why))
}

/// Its probes' first packets are dropped: it never connects, which proves nothing.
#[test]
fn a_server_that_cannot_reach_itself_goes_on() {
    let Some(mut appinfo) = in_a_network() else { return };
    let drop = "iptables --append INPUT --destination 127.0.0.1 --protocol tcp --syn --jump DROP";
    run(&mut there(&appinfo, drop));
    for _ in 0..40 {
        request(&appinfo);
        thread::sleep(Duration::from_millis(200));
    }
    assert!(appinfo.is_alive());
    assert_eq!(restarted(&appinfo, ""), None);
}

/// Without any connection for 10 seconds, not even its own, the library's `accept` fails.
#[test]
fn a_server_that_accepts_no_more_is_restarted() {
    let Some(mut appinfo) = in_a_network() else { return };
    request(&appinfo);
    run(&mut there(&appinfo, "ip address flush dev lo"));
    eventually("it is restarted", || restarted(&appinfo, "could accept no more connections"));
    run(&mut there(&appinfo, "ip address add 127.0.0.1/8 dev lo"));
    request(&appinfo);
    assert!(appinfo.is_alive());
}

/// They are in no log and no count; a client that guesses their target is.
#[test]
fn self_probes_are_invisible() {
    let appinfo = attack::release().arg("--access-log").spawn();
    // Nothing but its own probes wakes the server's main thread now.
    let wakes = || appinfo.process().status().expect("/proc can be read").voluntary_ctxt_switches;
    assert_eq!(appinfo.get("/readyz").status, 200);
    let before = wakes().expect("the kernel counts");
    until("it has probed itself twice", || wakes() >= Some(before + 2));
    let counts = |metrics: &Response| {
        let lines = metrics.text().lines();
        let counts = lines.filter(|line| line.starts_with("http_requests_total{"));
        counts.filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect::<Vec<_>>()
    };
    for target in ["/healthz", "/healthz?", "/healthz?0"] {
        assert_eq!(appinfo.get(target).status, 200);
    }
    let healthz = r#"http_requests_total{method="GET",path="/healthz",code="200"} 3"#;
    let readyz = r#"http_requests_total{method="GET",path="/readyz",code="200"} 1"#;
    assert_eq!(counts(&appinfo.get("/metrics")), [healthz, readyz]);
    let log = eventually("the log has five lines", || {
        Some(appinfo.stdout.all()).filter(|lines| lines.len() >= 5)
    });
    let paths: Vec<_> = log.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/readyz", "/healthz", "/healthz", "/healthz", "/metrics"]);
}
