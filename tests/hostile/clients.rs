//! Clients as people use them. (Chromium is in the tests of the page; Go's client in those of the
//! monitoring, where Prometheus scrapes, and of the tutorial, where kubectl proxies and curl asks.)

use std::process::Command;

use crate::attack;
use crate::common::{have, run};

#[test]
fn wrk_sees_no_error_whether_it_asks_to_close_or_not() {
    if !have(&["wrk"]) {
        return;
    }
    let appinfo = attack::release().spawn();
    let url = format!("http://{}/v1/appinfo", appinfo.address);
    for header in ["Connection: close", "Connection: keep-alive", "X-Nothing: special"] {
        let printed =
            run(Command::new("wrk").args(["-t1", "-c16", "-d1s", "-H", header]).arg(&url));
        assert!(!printed.contains("Socket errors"), "{header}: {printed}");
        assert!(!printed.contains("Non-2xx"), "{header}: {printed}");
        let answers = printed.lines().find_map(|line| line.trim().split_once(" requests in "));
        let answers: u64 = answers.expect("wrk counts").0.parse().expect("a number");
        assert!(answers > 100, "{header}: {printed}");
    }
}
