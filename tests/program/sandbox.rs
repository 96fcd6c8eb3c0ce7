//! Kernels and sandboxes that refuse what is useful, but not needed: it serves all the same.

use crate::common::{self, SIGTERM, Start};

/// What it says when the system refuses these calls, while it serves and stops.
fn said_without(calls: &str) -> Option<Vec<String>> {
    if !common::have(&["strace"]) {
        return None;
    }
    let strace = format!("strace -D --follow-forks --output=/dev/null {calls}");
    let words: Vec<String> =
        strace.split_whitespace().map(str::to_owned).chain(common::program()).collect();
    let mut appinfo = Start::of(&words).args("--drain 0").spawn();
    assert_eq!(appinfo.get("/readyz").status, 200);
    appinfo.signal(SIGTERM);
    assert_eq!(appinfo.wait().code(), Some(0), "{:?}", appinfo.stderr.all());
    Some(appinfo.stderr.all())
}

/// As on WSL 1. The first three options, the address's reuse and the two timeouts, are needed.
#[test]
fn sockets_without_optional_options_serve_all_the_same() {
    let calls = "--trace=setsockopt --inject=setsockopt:error=ENOPROTOOPT:when=4+";
    let Some(said) = said_without(calls) else { return };
    assert!(said.iter().all(|line| !line.contains("cannot")), "{said:?}");
}

/// As under a strict seccomp profile.
#[test]
fn a_server_that_cannot_limit_itself_says_so_and_serves() {
    let calls = "--trace=prctl --inject=prctl:error=EPERM";
    let Some(said) = said_without(calls) else { return };
    let said_so = said.iter().filter(|line| line.contains("cannot limit the server process"));
    assert_eq!(said_so.count(), 1, "{said:?}");
}
