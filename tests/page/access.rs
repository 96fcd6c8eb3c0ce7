//! The page without a mouse, without sight, without JavaScript.

use std::path::Path;
use std::process::Command;

use super::{CANARY, assert_clean, broken_canary, late, odd_pods, pod, three_stable, watch};
use crate::browser::{Browser, LEFT, RIGHT, TAB};
use crate::common::pod::{FIXED_CANARY, STABLE};
use crate::common::service::Service;
use crate::common::{Start, have, skip};

#[test]
fn it_is_used_with_the_keyboard_the_pointer_and_a_screen_reader() {
    let mut pods = three_stable();
    pods.push(broken_canary());
    let service = Service::new("", &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.wait("responses.textContent >= 12 && grid.querySelector('.failed')");

    let tree = browser.accessible();
    for thing in [
        "heading: appinfo watch the canary",
        "slider: 4 requests a second",
        "button: Pause",
        "group: Responses",
        "image: Shares of stable, canary and errors",
        "columnheader: Namespace",
        "columnheader: Last seen",
        &format!("rowheader: {CANARY}"),
        "cell: \"\" empty",
    ] {
        assert!(tree.iter().any(|line| line == thing), "{thing:?} is not in {tree:#?}");
    }
    assert!(tree.iter().any(|line| line.starts_with("status:")), "{tree:#?}");

    // Three stops: pace, pause, grid. Then the arrows walk from square to square.
    for stop in ["rate", "pause", "grid"] {
        browser.press(TAB);
        assert_eq!(browser.text("document.activeElement.id"), stop);
    }
    browser.press(RIGHT);
    browser.press(RIGHT);
    assert_eq!(browser.text("[...grid.children].indexOf(document.activeElement)"), "1");
    let told = browser.text("detail.textContent");
    assert!(told.starts_with(&browser.text("document.activeElement.ariaLabel")), "{told}");
    assert!(told.contains("appinfo-") && told.contains("00") && told.contains(" ms"), "{told}");
    // The grid holds still meanwhile, and tells how many wait. (Several may have come at once.)
    browser.wait(r"/\((\d+) newer\)/.exec(detail.textContent)?.[1] >= 6");
    assert_eq!(browser.text("[...grid.children].indexOf(document.activeElement)"), "1");
    browser.press(LEFT);
    assert_eq!(browser.text("[...grid.children].indexOf(document.activeElement)"), "0");
    browser.press(TAB);
    browser.wait("detail.textContent.startsWith('Point')");

    // The pointer: any square under it tells the same.
    let place = "grid.children[2].getBoundingClientRect()";
    let (x, y) = (browser.number(&format!("{place}.x")), browser.number(&format!("{place}.y")));
    browser.point(x as u32 + 5, y as u32 + 5);
    browser.wait("detail.textContent.includes(' ms')");
    let told = browser.text("detail.textContent");
    assert!(told.starts_with(&browser.text("grid.children[2].ariaLabel")), "{told}");
    browser.point(1, 1);
    browser.wait("detail.textContent.startsWith('Point')");
    assert_clean(&browser, &service);
}

#[test]
fn axe_finds_nothing_in_any_scheme_on_any_screen_with_any_data() {
    let Some(axe) = axe() else { return };
    let pods = odd_pods();
    let late = late(&FIXED_CANARY, "tq5hd");
    let gone = pod(&STABLE, "7qvbn");
    let service = Service::new("", pods.iter().chain([&late, &gone]));
    let Some(browser) = watch(&service) else { return };
    browser.wait("$('pods').rows.length === 6 && grid.querySelector('.late')");
    service.set_pods(pods.iter().chain([&late]));
    browser.prefer(&[("prefers-reduced-motion", "reduce")]);
    browser.wait("$('pods').querySelector('.quiet')");
    browser.click("#pause"); // With the quiet row, which would go.
    browser.js(&axe);
    for scheme in ["light", "dark"] {
        for width in [320, 1280] {
            browser
                .prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
            browser.size(width, 800);
            browser.wait(&format!("innerWidth === {width}"));
            for open in [false, true] {
                browser.js(&format!("document.querySelector('details').open = {open}"));
                let found = browser.js(
                    "return axe.run().then(({ passes, violations }) => [passes.length, ...violations.map(
                        rule => [rule.id, rule.help, ...rule.nodes.map(node => [node.html, node.failureSummary])])])",
                );
                let found = found.as_array().expect("a list");
                assert!(found[0].as_u64().expect("a count") > 20, "{found:?}");
                assert!(found.len() == 1, "{scheme}, {width} pixels: {:#?}", &found[1..]);
            }
        }
    }
}

/// axe-core's script (<https://github.com/dequelabs/axe-core>), which npm fetches.
fn axe() -> Option<String> {
    const AXE: &str = "axe-core@4.14.1";
    if !have(&["npm"]) {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(AXE);
    let script = || std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).ok();
    script().or_else(|| {
        let arguments = ["install", "--silent", AXE, "--prefix"];
        let npm = Command::new("npm").args(arguments).arg(&folder).output();
        script().or_else(|| {
            skip(&format!("needs {AXE}, but npm says {npm:?}"));
            None
        })
    })
}

#[test]
fn without_javascript_it_tells_the_command() {
    let appinfo = Start::new().spawn();
    let Some(browser) = Browser::new() else { return };
    browser.devtools("Emulation.setScriptExecutionDisabled", serde_json::json!({"value": true}));
    browser.open(&format!("http://{}/", appinfo.address));
    let tree = browser.accessible().join("\n");
    assert!(tree.contains("curl -s http://localhost:8080/v1/appinfo"), "{tree}");
    for thing in ["table:", "slider:", "button:"] {
        assert!(!tree.contains(thing), "what does not work without is not shown: {tree}");
    }
}
