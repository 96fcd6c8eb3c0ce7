//! How much of its stack a thread that serves a connection uses: the supervisor makes it 24 KiB.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::getuid;

use crate::attack;
use crate::common::{self, Appinfo, REQUEST, connect, send, until};

/// A stack in `/proc/PID/smaps`: how much is reserved, and how much has been touched, in kB.
fn stacks(appinfo: &Appinfo) -> Vec<(u64, u64)> {
    let smaps = fs::read_to_string(format!("/proc/{}/smaps", appinfo.server()));
    let smaps = smaps.expect("root may read it");
    let value = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    let mut sizes = smaps.lines().filter(|line| line.starts_with("Size:")).filter_map(value);
    let mut touched = smaps.lines().filter(|line| line.starts_with("Rss:")).filter_map(value);
    let all: Vec<_> = std::iter::from_fn(|| Some((sizes.next()?, touched.next()?))).collect();
    all.into_iter().filter(|(size, _)| (24..=32).contains(size)).collect()
}

/// A page at least stays unused, whatever a client sends: a panic unwinds, heads are long, bodies are
/// ignored.
#[test]
fn a_connection_uses_at_most_five_sixths_of_its_stack() {
    if !getuid().is_root() {
        return common::skip("needs root, to see how much of a stack is used");
    }
    let _turn = attack::alone();
    let appinfo = attack::release().spawn();
    let long = format!("GET /{} HTTP/1.1\r\n{}\r\n", "x".repeat(9_000), "X: y\r\n".repeat(200));
    let post = format!("POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20_000));
    for _ in 0..50 {
        // The library's thread panics when it asks for the address of a client that has gone.
        let mut stream = connect(appinfo.address).expect("it accepts");
        let _ = stream.write_all(REQUEST);
        attack::reset(stream);
        for request in [&long, &post, "nonsense\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n"] {
            drop(send(appinfo.address, request));
        }
        thread::sleep(Duration::from_millis(2));
    }
    let held: Vec<_> = (0..20).map(|_| send(appinfo.address, "GET / HTTP/1.1\r\n")).collect();
    until("their threads are there", || stacks(&appinfo).len() >= 20);
    let stacks = stacks(&appinfo);
    println!("reserved and used, in kB: {stacks:?}");
    assert!(stacks.iter().all(|(_, used)| *used <= 20), "{stacks:?}");
    assert_eq!(appinfo.restarts(), 0);
    drop(held);
}
