//! The page in the oldest browser that it is made for: QtWebEngine 5.15, which is Chromium 87.

use std::process::Command;

use serde_json::Value;

use super::{broken_canary, three_stable};
use crate::common::service::Service;
use crate::common::{repository, run, skip};

#[test]
fn the_page_works_in_chromium_87() {
    // Debian's own Python, which has Debian's own Qt.
    let python = || Command::new("/usr/bin/python3");
    let has_qt = python().args(["-c", "import PyQt5.QtWebEngineWidgets"]).output();
    if !has_qt.is_ok_and(|output| output.status.success()) {
        return skip("needs QtWebEngine (Debian: python3-pyqt5.qtwebengine)");
    }
    let mut pods = three_stable();
    pods.push(broken_canary());
    let service = Service::new("", &pods);
    // Once ten squares and a row of each pod are there: what is said, and whether it is seen.
    let expression = "(() => {
        const text = id => document.getElementById(id).textContent;
        const look = element => {
            const { width, height } = element.getBoundingClientRect();
            const { backgroundColor, backgroundImage } = getComputedStyle(element);
            return [Math.round(width - height), height > 9, backgroundColor, backgroundImage !== 'none'];
        };
        const find = selector => document.querySelector(selector);
        if (!find('#grid .canary.failed + .stable') || !find('tr:nth-child(4)')) return null;
        return {
            browser: /Chrome\\/(\\d+)/.exec(navigator.userAgent)[1],
            state: text('state'),
            errors: text('sources').replace(/\\d+/, 'N'),
            verdict: text('verdict'),
            stable: look(find('#grid .canary.failed + .stable')),
            canary: look(find('#grid .canary.failed')),
            bar: look(find('#bars .stable'))[1],
            wide: document.documentElement.scrollWidth <= innerWidth,
        };
    })()";
    let mut oldest = python();
    oldest.arg(repository().join("tests/page/oldest.py")).args([&service.url(), expression]);
    let found: Value = serde_json::from_str(&run(&mut oldest)).expect("it prints JSON");
    let expected = serde_json::json!({
        "browser": "87",
        "state": "Live",
        "errors": "N from canary",
        "stable": [0, true, "rgb(16, 119, 141)", false],
        "canary": [0, true, "rgb(209, 132, 0)", true],
        "bar": true,
        "wide": true,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&found[name], value, "{name}: {found:#}");
    }
    assert_ne!(found["verdict"], "", "{found:#}");
}
