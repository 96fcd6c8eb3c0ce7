//! `appinfo --check`: a health check for images without a shell.

use std::net::TcpListener;
use std::process::Output;
use std::time::Instant;

use crate::common::{self, DEADLINE, SIGTERM, Start};

/// Checks the program that listens there; how it ended, and what it said.
fn check(listen: &str) -> (Option<i32>, String) {
    let started = Instant::now();
    let Output { status, stdout, stderr } =
        Start::new().args("--check").env("APPINFO_LISTEN", listen).output();
    assert!(stdout.is_empty(), "{stdout:?}");
    assert!(started.elapsed() < DEADLINE / 10, "{:?}", started.elapsed());
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

#[test]
fn check_is_silent_if_the_program_is_ready_and_else_says_why() {
    let appinfo = Start::new().args("--listen :0 --drain 3600").spawn();
    let port = appinfo.address.port();
    for listen in [format!(":{port}"), format!("127.0.0.1:{port}")] {
        assert_eq!(check(&listen), (Some(0), String::new()));
    }
    appinfo.signal(SIGTERM);
    common::await_draining(appinfo.address);
    let (status, said) = check(&format!(":{port}"));
    assert_eq!(status, Some(1));
    assert!(said.contains("not ready") && said.contains("503"), "{said}");
}

#[test]
fn check_fails_within_a_second_if_nobody_responds() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = silent.local_addr().map(|address| (address, silent)).expect("an address");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    for address in [silent.0, free.expect("an address")] {
        let (status, said) = check(&address.to_string());
        assert_eq!(status, Some(1));
        let names = said.contains(&address.to_string()) && said.contains("APPINFO_LISTEN");
        assert!(names && said.lines().count() == 1, "{said}");
    }
    let (status, said) = check("nowhere");
    assert_eq!(status, Some(2), "{said}");
}
