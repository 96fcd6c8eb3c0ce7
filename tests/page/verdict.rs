//! The verdict: its figures and words in Node; and canaries that come and go, or are late, as the tile, the
//! table and the grid show them.

use super::*;

/// Its simulations print how long it takes (with `-- --nocapture`).
#[test]
fn the_pure_functions_pass_their_tests_in_node() {
    needs!("node");
    let mut node = command("node --test tests/page/verdict.test.js");
    println!("{}", run(node.current_dir(repository())));
}

/// Waits until the tile says so.
fn wait_for(browser: &Browser, headline: &str) {
    browser.wait(&format!("$('verdict').textContent === '{headline}'"));
}

#[test]
fn the_verdict_follows_a_canary_and_its_replacement() {
    let (pods, fixed) = (tutorial_pods(), pod(&FIXED_CANARY, "tq5hd"));
    let stable = &pods[..3];
    let service = Service::new("", stable);
    let Some(browser) = watch(&service) else { return };
    wait_for(&browser, "no canary");
    service.set_pods(&pods);
    wait_for(&browser, "too early");
    assert!(browser.text("reason.textContent").ends_with(" responses from the canary"));
    wait_for(&browser, "worse");
    browser.wait(r"/^99\.9 % sure, (\d+) of \1 failed, stable 0 of \d+$/.test(reason.textContent)");
    // A screen reader is told once, politely.
    let told = browser.text("announcement.textContent");
    assert!(told.starts_with("Verdict: worse: 99.9 % sure, "), "{told}");

    // One with a small share is silent at times: the comparison goes on.
    service.set_pods(stable);
    skip_time(&browser, 6);
    browser.wait("find('.canary.quiet')[0]");
    browser.js("window.headlines = []");
    browser.js("new MutationObserver(() => headlines.push($('verdict').textContent))
        .observe($('verdict'), { childList: true })");
    service.set_pods(&pods);
    browser.wait("find('tr.canary:not(.quiet)')[0] && headlines.length >= 3");
    assert_eq!(browser.js("[...new Set(headlines)]"), json!(["worse"]));
    assert_eq!(browser.js("announcement.textContent"), told);

    // Another one is compared by its own responses, once none is left.
    service.set_pods(stable);
    skip_time(&browser, 6);
    browser.wait("find('.canary.quiet')[0]");
    service.set_pods(stable.iter().chain([&fixed]));
    wait_for(&browser, "too early");
    wait_for(&browser, "no difference seen");
    let reason = browser.text("reason.textContent");
    assert!(reason.starts_with("the canary fails at most "), "{reason}");
    assert!(browser.text("announcement.textContent").contains("Verdict: no difference seen"));

    // Its row fades once it is gone, and disappears before its responses are a minute old.
    browser.wait("find('tr.canary').length === 1");
    assert_eq!(browser.js("find('.quiet')"), json!([]));
    service.set_pods(stable);
    skip_time(&browser, 6);
    browser.wait("find('tr.canary.quiet')[0]");
    let [namespace, seen] =
        [2, 6].map(|cell| browser.text(&format!("find('.quiet')[0].cells[{cell}].textContent")));
    assert!(namespace == "default" && seen.ends_with(" s ago"), "{namespace}, {seen}");
    let ink = |row: &str| browser.text(&format!("getComputedStyle(find('{row}')[0]).color"));
    assert_ne!(ink("tr.canary"), ink("tr.stable"));
    skip_time(&browser, 6);
    browser.wait("!find('tr.canary')[0]");
    assert_eq!(browser.js("find('.quiet')"), json!([]));
    let last = "now() - results.filter(({ kind }) => kind === 'canary').pop().at < 50e3";
    assert_eq!(browser.js(last), true);
    skip_time(&browser, 60);
    wait_for(&browser, "no canary");
}

/// Late is late against stable's median: here most responses are, so that against all they were not.
#[test]
fn a_late_canary_is_seen_and_called_slower() {
    let late = |suffix| FIXED_CANARY.pod(Start::new().args("--delay 900"), suffix);
    let mut pods = vec![late("tq5hd"), late("w8kcz")];
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("reason.textContent === 'no response from stable'");
    assert_eq!(browser.js("$('verdict').textContent"), "cannot compare");
    pods.push(pod(&STABLE, "2hx9k"));
    service.set_pods(&pods);
    wait_for(&browser, "slower");

    // Another pod of the canary is compared with the first ones, another release is not.
    let total = "+/ of (\\d+) late, stable .* of /.exec(reason.textContent)?.[1]";
    let before = browser.js(total).as_u64();
    pods.push(BROKEN_CANARY.pod(Start::new().args("--delay 900 --delay-rate 40"), "m8zrp"));
    pods.push(Pod::new(Start::new(), "appinfo-preview-1", "namespace", &[("release", "preview")]));
    service.set_pods(&pods);
    browser.wait("reason.textContent.endsWith('(not compared: preview)')");
    browser.wait("find('tr.canary').length === 3");
    assert!(before.is_some() && browser.js(total).as_u64() >= before, "less than {before:?}");

    // Lateness is a shape, and a pod shows its 95th percentile.
    let shapes = [
        (".late.failed", true),
        (".late:not(.failed)", true),
        (".failed:not(.late)", false),
        (":not(.failed, .late)", false),
    ]
    .map(|(look, is_late)| {
        let square = format!("find('#grid i{look}')[0]");
        browser.wait(&square);
        let told = browser.text(&format!("{square}.title"));
        assert_eq!(told.contains(" ms late"), is_late, "{told}");
        let style = format!("getComputedStyle({square})");
        browser.text(&format!("{style}.borderRadius + {style}.backgroundImage"))
    });
    let distinct = BTreeSet::from(shapes);
    assert_eq!(distinct.len(), 4, "{distinct:?}");
    let are_late = "find('#pods tr').map(({ cells }) => parseInt(cells[5].textContent) >= 900)";
    browser.wait(&format!("{are_late}.join() === 'false,true,true,true,false'"));
    assert_eq!(browser.js("find('tr.canary td.wrong:nth-child(6)').length"), 3);
    assert_clean(&browser);
}
