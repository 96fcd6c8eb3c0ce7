//! `appinfo --check`: a health check for images without a shell.

use crate::common::*;

/// Runs a check with these arguments; how it ended, and what it wrote to stderr.
fn check(args: &str) -> (Option<i32>, String) {
    let started = Instant::now();
    let output = Start::new().args("--check").args(args).output();
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(started.elapsed() < DEADLINE / 10, "{:?}", started.elapsed());
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn check_is_silent_while_the_program_is_ready() {
    let appinfo = Start::new().args("--listen :0 --drain 3600").spawn();
    let port = appinfo.address.port();
    for listen in [format!("--listen :{port}"), format!("--listen=127.0.0.1:{port}")] {
        assert_eq!(check(&listen), (Some(0), String::new()));
    }
    appinfo.signal(SIGTERM);
    await_draining(appinfo.address);
    let (status, stderr) = check(&format!("--listen :{port}"));
    assert_eq!(status, Some(1));
    assert!(stderr.contains("is not ready: /readyz says 503"), "{stderr}");
}

#[test]
fn check_fails_soon_without_a_response() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    for address in [silent.local_addr(), free] {
        let address = address.expect("it has an address").to_string();
        let (status, stderr) = check(&format!("--listen {address}"));
        assert_eq!((status, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(&address) && stderr.contains("APPINFO_LISTEN"), "{stderr}");
    }
    assert_eq!(check("--listen nowhere").0, Some(2));
}
