//! The page without a mouse and without sight.

use super::*;

#[test]
fn keyboard_pointer_and_screen_reader_reach_everything() {
    let pods = tutorial_pods();
    let service = Service::new("", &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.wait("responses.textContent >= 12 && find('#grid .failed')[0]");

    let tree = browser.accessible();
    for thing in [
        "heading: appinfo watch the canary",
        "slider: 4 requests a second",
        "button: Pause",
        "status:",
        "group: Responses",
        "image: appinfo-",
        "image: Shares over time",
        "columnheader: Namespace",
        "columnheader: Last seen",
        "rowheader: appinfo-canary-broken-6f7d9c8b5c-m8zrp",
        "cell: \"\" empty",
    ] {
        assert!(tree.iter().any(|line| line.starts_with(thing)), "{thing:?} is not in {tree:#?}");
    }

    // Three stops: pace, pause, grid. Then the arrows walk from square to square.
    for stop in ["rate", "pause", "grid"] {
        browser.press(TAB);
        assert_eq!(browser.js("document.activeElement.id"), stop);
    }
    let index = "[...grid.children].indexOf(document.activeElement)";
    browser.press(RIGHT);
    browser.press(RIGHT);
    assert_eq!(browser.js(index), 1);
    let told = browser.text("detail.textContent");
    assert!(told.starts_with(&browser.text("document.activeElement.title")), "{told}");
    assert!(told.contains("appinfo-") && told.contains("00") && told.contains(" ms"), "{told}");
    // The grid holds still meanwhile, and counts those that wait. (Several may have come at once.)
    browser.wait(r"/\((\d+) newer\)/.exec(detail.textContent)?.[1] >= 6");
    assert_eq!(browser.js(index), 1);
    browser.press(LEFT);
    assert_eq!(browser.js(index), 0);
    browser.press(TAB);
    browser.wait("detail.textContent.startsWith('Point')");

    // The pointer: any square under it tells the same, also while nothing else moves.
    browser.js("pause.click()");
    let place = browser.js("find('#grid i')[2].getBoundingClientRect()");
    browser.point(&place["x"], &place["y"]);
    browser.wait("detail.textContent.startsWith(find('#grid i:hover')[0].title)");
    browser.js("pause.click()");
    browser.point(&json!(1), &json!(1));
    browser.wait("detail.textContent.startsWith('Point')");
    assert_clean(&browser);
}
