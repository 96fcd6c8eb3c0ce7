//! The verdict: its figures and words in Node, and the tile that shows it.

use std::process::Command;

use super::{broken_canary, pod, three_stable, watch};
use crate::common::pod::{FIXED_CANARY, Pod, STABLE};
use crate::common::service::Service;
use crate::common::{Start, have, repository, run};

/// Its simulations print how long it takes (with `-- --nocapture`).
#[test]
fn the_pure_functions_pass_their_tests_in_node() {
    if have(&["node"]) {
        let mut node = Command::new("node");
        node.args(["--test", "tests/page/verdict.test.js"]).current_dir(repository());
        println!("{}", run(&mut node));
    }
}

#[test]
fn the_verdict_follows_a_canary_and_its_replacement() {
    let stable = three_stable();
    let broken = broken_canary();
    let service = Service::new("", &stable);
    let Some(browser) = watch(&service) else { return };
    let shows =
        |headline: &str| browser.wait(&format!("$('verdict').textContent === '{headline}'"));
    shows("no canary");
    service.set_pods(stable.iter().chain([&broken]));
    shows("too early");
    assert!(browser.text("reason.textContent").ends_with(" responses from the canary"));
    shows("worse");
    browser.wait(r"/^99\.9 % sure, (\d+) of \1 failed, stable 0 of \d+$/.test(reason.textContent)");
    // A screen reader is told once, politely.
    assert!(browser.text("announcement.textContent").starts_with("Verdict: worse: 99.9 % sure, "));

    // A new canary is compared by its own responses, once none is left.
    service.set_pods(&stable);
    browser.wait("find('.canary.quiet')[0]");
    let fixed = pod(&FIXED_CANARY, "tq5hd");
    service.set_pods(stable.iter().chain([&fixed]));
    shows("too early");
    shows("no difference seen");
    let reason = browser.text("reason.textContent");
    assert!(reason.starts_with("the canary fails at most "), "{reason}");
    assert!(browser.text("announcement.textContent").contains("Verdict: no difference seen"));
}

/// Late is late against stable's median: here most responses are, so that against all they were not.
#[test]
fn the_verdict_tells_slower_and_what_it_cannot_compare() {
    let slow = ["tq5hd", "w8kcz", "zd4lm"]
        .map(|suffix| FIXED_CANARY.pod(Start::new().args("--delay 400"), suffix));
    let service = Service::new("", &slow);
    let Some(browser) = watch(&service) else { return };
    browser.wait("reason.textContent === 'no response from stable'");
    assert_eq!(browser.text("$('verdict').textContent"), "cannot compare");
    let stable = pod(&STABLE, "2hx9k");
    service.set_pods(slow.iter().chain([&stable]));
    browser.wait("$('verdict').textContent === 'slower'");
    assert!(browser.text("reason.textContent").contains(" late, stable 0 of "));
    let labels = [("release", "preview")];
    let other = Pod::new(Start::new(), "appinfo-preview-1", "namespace", &labels);
    service.set_pods(slow.iter().chain([&stable, &other]));
    browser.wait("reason.textContent.endsWith('(not compared: preview)')");
}
