//! The page without a mouse and without sight.

use super::*;

#[test]
fn keyboard_pointer_and_screen_reader_reach_everything() {
    let mut pods = three_stable();
    pods.push(broken_canary());
    let service = Service::new("", &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.wait("responses.textContent >= 12 && find('#grid .failed')[0]");

    let tree = browser.accessible();
    for thing in [
        "heading: appinfo watch the canary",
        "slider: 4 requests a second",
        "button: Pause",
        "group: Responses",
        "image: Shares over time",
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
    let assert_at = |index: &str| {
        assert_eq!(browser.text("[...grid.children].indexOf(document.activeElement)"), index);
    };
    browser.press(RIGHT);
    browser.press(RIGHT);
    assert_at("1");
    let told = browser.text("detail.textContent");
    assert!(told.starts_with(&browser.text("document.activeElement.title")), "{told}");
    assert!(told.contains("appinfo-") && told.contains("00") && told.contains(" ms"), "{told}");
    // The grid holds still meanwhile, and counts those that wait. (Several may have come at once.)
    browser.wait(r"/\((\d+) newer\)/.exec(detail.textContent)?.[1] >= 6");
    assert_at("1");
    browser.press(LEFT);
    assert_at("0");
    browser.press(TAB);
    browser.wait("detail.textContent.startsWith('Point')");

    // The pointer: any square under it tells the same.
    let place =
        |axis: &str| browser.number(&format!("find('#grid i')[2].getBoundingClientRect().{axis}"));
    browser.point(place("x") + 5.0, place("y") + 5.0);
    browser.wait("detail.textContent.startsWith(find('#grid i:hover')[0].title)");
    browser.point(1.0, 1.0);
    browser.wait("detail.textContent.startsWith('Point')");
    assert_clean(&browser);
}

#[test]
fn axe_finds_nothing_in_any_scheme_on_any_screen() {
    let Some(axe) = axe() else { return };
    let pods = odd_pods();
    let late = late(&FIXED_CANARY, "tq5hd");
    let gone = pod(&STABLE, "7qvbn");
    let service = Service::new("", pods.iter().chain([&late, &gone]));
    let Some(browser) = watch(&service) else { return };
    browser.wait("$('pods').rows.length === 6 && find('#grid .late')[0]");
    service.set_pods(pods.iter().chain([&late]));
    browser.wait("find('.quiet')[0]");
    browser.js("pause.click()"); // With the quiet row, which would go.
    browser.js(&axe);
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme);
        for width in [320, 1280] {
            browser.size(width, 800);
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

/// axe-core's script (<https://github.com/dequelabs/axe-core>), which npm fetches.
fn axe() -> Option<String> {
    const AXE: &str = "axe-core@4.14.1";
    needs!("npm");
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
