//! The page in the oldest browser that it is made for: QtWebEngine 5.15, which is Chromium 87.

use super::*;

#[test]
fn the_page_works_in_chromium_87() {
    // Debian's own Python, which has Debian's own Qt.
    let python = || Command::new("/usr/bin/python3");
    let has_qt = python().args(["-c", "import PyQt5.QtWebEngineWidgets"]).output();
    if !has_qt.is_ok_and(|output| output.status.success()) {
        return skip("needs QtWebEngine (Debian: python3-pyqt5.qtwebengine)");
    }
    let pods = tutorial_pods();
    let service = Service::new("", &pods);
    // Once squares and a row of each pod are there: what is said, and what is seen.
    let expression = "(() => {
        const find = selector => document.querySelector(selector);
        const square = find('#grid .canary.failed + .stable:not(.late)');
        if (!square || !find('#pods tr:nth-child(4)') || !find('#bars .canary')) return null;
        const { width, height } = square.getBoundingClientRect();
        return [
            /Chrome\\/(\\d+)/.exec(navigator.userAgent)[1],
            find('#state').textContent,
            find('#sources').textContent.replace(/\\d+/, 'N'),
            find('#verdict').textContent !== '',
            height > 9 && Math.round(width - height) === 0,
            getComputedStyle(square).backgroundColor,
            find('#bars .canary').offsetHeight > 9,
            document.documentElement.scrollWidth <= innerWidth
        ];
    })()";
    let mut oldest = python();
    oldest.arg(repository().join("tests/page/oldest.py")).args([&service.url(), expression]);
    let found: Value = serde_json::from_str(&run(&mut oldest)).expect("it prints JSON");
    let teal = "rgb(16, 119, 141)";
    let expected = json!(["87", "Live", "N from canary", true, true, teal, true, true]);
    assert_eq!(found, expected);
}
