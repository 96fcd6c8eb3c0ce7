//! Clients as people use them. (The page's tests have Chromium; those of monitoring and the
//! tutorial have Prometheus, kubectl and curl.)

use crate::attack;
use crate::common::*;

/// A thousand fit the server's limits, and a few hundred more would.
#[test]
fn sixteen_or_a_thousand_clients_are_served() {
    needs!("wrk");
    let _turn = attack::alone();
    for (options, header) in [
        ("-c16 -d1s", "Connection: close"),
        ("-c16 -d1s", "Connection: keep-alive"),
        ("-c16 -d1s", "X-Nothing: special"),
        // A burst at a server's start is the hardest.
        ("-c1000 -d3s", "X-Nothing: special"),
        ("-c1000 -d1s", "X-Nothing: special"),
    ] {
        let appinfo = attack::release().spawn();
        let url = format!("http://{}/v1/appinfo", appinfo.address);
        let wrk = format!("wrk -t1 {options} {url} --header");
        let printed = run(command(&wrk).arg(header));
        // A thousand may have to wait longer than wrk does.
        let may_wait = options.starts_with("-c1000");
        assert!(may_wait || !printed.contains("Socket errors"), "{header}: {printed}");
        assert!(!printed.contains("Non-2xx"), "{header}: {printed}");
        let requests = printed.lines().find_map(|line| line.trim().split_once(" requests in "));
        let requests: u64 = requests.expect("wrk counts").0.parse().expect("a number");
        assert!(requests > 100, "{header}: {printed}");
        assert_eq!(appinfo.restarts(), 0, "{header}: {:?}", appinfo.stderr.all());
    }
}
