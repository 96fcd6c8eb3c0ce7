//! Clients as people use them. (The page's tests have Chromium; those of monitoring and the
//! tutorial have Prometheus, kubectl and curl.)

use crate::attack;
use crate::common::*;

#[test]
fn wrk_sees_no_error_with_and_without_keep_alive() {
    needs!("wrk");
    let appinfo = attack::release().spawn();
    let url = format!("http://{}/v1/appinfo", appinfo.address);
    for header in ["Connection: close", "Connection: keep-alive", "X-Nothing: special"] {
        let printed =
            run(Command::new("wrk").args(["-t1", "-c16", "-d1s", "-H", header]).arg(&url));
        assert!(!printed.contains("Socket errors"), "{header}: {printed}");
        assert!(!printed.contains("Non-2xx"), "{header}: {printed}");
        let requests = printed.lines().find_map(|line| line.trim().split_once(" requests in "));
        let requests: u64 = requests.expect("wrk counts").0.parse().expect("a number");
        assert!(requests > 100, "{header}: {printed}");
    }
}

/// They fit the server's limits, and a few hundred more would.
#[test]
fn a_thousand_clients_cause_no_restart() {
    needs!("wrk");
    if !attack::may_open(2_000) {
        return;
    }
    let _turn = attack::alone();
    let appinfo = attack::release().spawn();
    let url = format!("http://{}/v1/appinfo", appinfo.address);
    let printed = run(Command::new("wrk").args(["-t1", "-c1000", "-d3s"]).arg(&url));
    assert!(!printed.contains("Non-2xx"), "{printed}");
    assert_eq!(appinfo.restarts(), 0, "{:?}", appinfo.stderr.all());
}
