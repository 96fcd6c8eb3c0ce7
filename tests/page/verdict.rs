//! The verdict: its figures and words in Node, and the tile that shows it.

use super::*;

/// Its simulations print how long it takes (with `-- --nocapture`).
#[test]
fn the_pure_functions_pass_their_tests_in_node() {
    needs!("node");
    let mut node = Command::new("node");
    node.args(["--test", "tests/page/verdict.test.js"]).current_dir(repository());
    println!("{}", run(&mut node));
}

/// Waits until the tile says so.
fn wait_for(browser: &Browser, headline: &str) {
    browser.wait(&format!("$('verdict').textContent === '{headline}'"));
}

#[test]
fn the_verdict_follows_a_canary_and_its_replacement() {
    let stable = three_stable();
    let broken = broken_canary();
    let service = Service::new("", &stable);
    let Some(browser) = watch(&service) else { return };
    wait_for(&browser, "no canary");
    service.set_pods(stable.iter().chain([&broken]));
    wait_for(&browser, "too early");
    assert!(browser.text("reason.textContent").ends_with(" responses from the canary"));
    wait_for(&browser, "worse");
    browser.wait(r"/^99\.9 % sure, (\d+) of \1 failed, stable 0 of \d+$/.test(reason.textContent)");
    // A screen reader is told once, politely.
    assert!(browser.text("announcement.textContent").starts_with("Verdict: worse: 99.9 % sure, "));

    // One with a small share is silent at times: the comparison goes on.
    service.set_pods(&stable);
    skip_time(&browser, 6);
    browser.wait("find('.canary.quiet')[0]");
    browser.js("window.headlines = [];
        new MutationObserver(() => headlines.push($('verdict').textContent))
            .observe($('verdict'), { childList: true })");
    service.set_pods(stable.iter().chain([&broken]));
    browser.wait("find('tr.canary:not(.quiet)')[0] && headlines.length >= 3");
    assert_eq!(browser.text("[...new Set(headlines)]"), "worse");

    // Another one is compared by its own responses, once none is left.
    service.set_pods(&stable);
    skip_time(&browser, 6);
    browser.wait("find('.canary.quiet')[0]");
    let fixed = pod(&FIXED_CANARY, "tq5hd");
    service.set_pods(stable.iter().chain([&fixed]));
    wait_for(&browser, "too early");
    wait_for(&browser, "no difference seen");
    let reason = browser.text("reason.textContent");
    assert!(reason.starts_with("the canary fails at most "), "{reason}");
    assert!(browser.text("announcement.textContent").contains("Verdict: no difference seen"));

    service.set_pods(&stable);
    skip_time(&browser, 60);
    wait_for(&browser, "no canary");
}

/// Late is late against stable's median: here most responses are, so that against all they were not.
#[test]
fn the_verdict_tells_slower_and_what_it_cannot_compare() {
    let slow = |suffix| FIXED_CANARY.pod(Start::new().args("--delay 400"), suffix);
    let mut pods = vec![slow("tq5hd"), slow("w8kcz")];
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("reason.textContent === 'no response from stable'");
    assert_eq!(browser.text("$('verdict').textContent"), "cannot compare");
    pods.push(pod(&STABLE, "2hx9k"));
    service.set_pods(&pods);
    wait_for(&browser, "slower");
    browser.wait("/ late, stable .* of /.test(reason.textContent)");

    // Another pod of the canary is compared with the first ones, another release is not.
    let total =
        |browser: &Browser| browser.number("+/ of (\\d+) late/.exec(reason.textContent)[1]");
    let before = total(&browser);
    pods.push(slow("zd4lm"));
    pods.push(Pod::new(Start::new(), "appinfo-preview-1", "namespace", &[("release", "preview")]));
    service.set_pods(&pods);
    browser.wait("reason.textContent.endsWith('(not compared: preview)')");
    browser.wait("find('tr.canary').length === 3");
    assert!(total(&browser) >= before, "less than {before}");
}
