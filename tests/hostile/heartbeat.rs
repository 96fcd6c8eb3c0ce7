//! The program's requests to itself, when the network between it and itself fails.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getuid;

use crate::attack;
use crate::common::{self, Appinfo, eventually, have};

/// Longer than the program bears to hear nothing.
const LONG: Duration = Duration::from_secs(8);

/// The program in a network of its own, listening on every address.
fn in_a_network() -> Option<Appinfo> {
    if !have(&["unshare", "nsenter", "ip", "iptables", "curl"]) {
        return None;
    }
    if !getuid().is_root() {
        common::skip("needs root, to make a network namespace");
        return None;
    }
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

/// Asks it once, at another address than its own heart does.
fn ask(appinfo: &Appinfo) {
    let port = appinfo.address.port();
    let curl = format!("curl --silent --show-error --fail http://127.0.0.2:{port}/healthz");
    assert!(common::run(&mut there(appinfo, &curl)).contains("ok"));
}

/// The first line, if there is one, that says that it began anew for this reason.
fn began_anew(appinfo: &Appinfo, why: &str) -> Option<String> {
    let mut lines = appinfo.stderr.all().into_iter();
    lines.find(|line| line.contains("began anew") && line.contains(why))
}

#[test]
fn who_serves_others_is_alive_though_it_cannot_hear_itself_and_else_begins_anew() {
    let Some(mut appinfo) = in_a_network() else { return };
    let drop = "iptables --append INPUT --destination 127.0.0.1 --protocol tcp --syn --jump DROP";
    common::run(&mut there(&appinfo, drop));
    let start = Instant::now();
    while start.elapsed() < LONG {
        ask(&appinfo);
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(began_anew(&appinfo, ""), None);
    // Connections come, and no request.
    let connect = format!("exec 3<>/dev/tcp/127.0.0.2/{}", appinfo.address.port());
    let mut connecting = there(&appinfo, "bash -c")
        .arg(format!("while {connect} && printf GET >&3; do sleep 1; done"))
        .spawn()
        .expect("bash starts");
    eventually("it begins anew", || began_anew(&appinfo, "no request came through for 5 seconds"));
    connecting.kill().and_then(|()| connecting.wait()).expect("bash ends");
    assert!(appinfo.is_alive());
    ask(&appinfo);
}

/// ENETUNREACH, and EADDRNOTAVAIL: the one port left waits for its last connection's end.
#[test]
fn that_it_has_no_way_to_itself_is_no_reason_to_begin_anew_until_accepting_ends() {
    let one_port = "echo 20000 20000 >/proc/sys/net/ipv4/ip_local_port_range";
    for cut in [one_port, "ip address flush dev lo"] {
        let Some(mut appinfo) = in_a_network() else { return };
        common::run(there(&appinfo, "sh -c").arg(cut));
        thread::sleep(LONG);
        assert!(appinfo.is_alive());
        assert_eq!(began_anew(&appinfo, "no request came through"), None);
        if cut != one_port {
            eventually("it begins anew", || began_anew(&appinfo, "could not accept connections"));
            common::run(&mut there(&appinfo, "ip address add 127.0.0.1/8 dev lo"));
            ask(&appinfo);
        }
    }
}
