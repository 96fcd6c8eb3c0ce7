//! What the page shows of the responses that it gets.

use super::*;

#[test]
fn a_broken_canary_is_seen_behind_kubectl_proxy() {
    let pods = tutorial_pods();
    let service = Service::new(PROXY, &pods);
    let Some(browser) = watch(&service) else { return };

    // The grid has an end, and nothing else is in it.
    browser.wait("responses.textContent >= 250");
    let all = "find('#grid .stable:not(.failed)').length + find('#grid .canary.failed').length";
    assert_eq!(browser.js(all), 240);
    // A quarter of 240, give or take four standard deviations.
    for share in ["canary.textContent", "errors.textContent", "find('#grid .failed').length / 2.4"]
    {
        let percentage = browser.js(&format!("parseFloat({share})")).as_f64();
        assert!(
            percentage.is_some_and(|it| (13.0..=37.0).contains(&it)),
            "{share}: {percentage:?}"
        );
    }
    browser.wait("find('#bars .stable')[2] && find('#bars .canary.failed')[2]");
    assert_eq!(browser.js("find('#bars span').length"), 40);
    assert_eq!(browser.js("sources.textContent.replace(/\\d+/, 'N')"), "N from canary");
    let color = |look| browser.js(&format!("getComputedStyle(find('{look}')[0]).backgroundColor"));
    assert_ne!(color("#grid .stable"), color("#grid .canary.failed"));

    // Stable first. The broken one can name but itself and its release.
    for (row, cells) in [
        (
            1,
            r#"appinfo-5d8c7b9f4d-7qvbn;stable;"" empty;\d+;0;\d+ ms;.*;pod-template-hash=5d8c7b9f4d"#,
        ),
        (3, r"appinfo-canary-broken-6f7d9c8b5c-m8zrp;canary;;(\d\d+);\1 \(100%\);\d+ ms;.*;"),
    ] {
        let row = format!("[...$('pods').rows[{row}].cells].map(cell => cell.innerText).join(';')");
        browser.wait(&format!("/^{cells}$/.test({row})"));
    }
    assert_eq!(browser.js("$('pods').rows.length"), 4);
    assert_clean(&browser);
}

#[test]
fn a_new_label_is_marked_for_a_while_and_is_no_markup() {
    let mut pods = tutorial_pods();
    let service = Service::new("", &pods[..3]);
    let Some(browser) = watch(&service) else { return };
    browser.wait("$('pods').rows.length === 3");
    assert_eq!(browser.js("find('.new').length"), 0);
    let hostile = "<script>document.title='bad'</script><img src=//bad.example onerror=bad()>";
    for value in ["gold", hostile] {
        pods[1].label("tier", value);
        browser.wait(&format!("find('.new')[0]?.textContent === {:?}", format!("tier={value}")));
        let announced = format!("New on appinfo-5d8c7b9f4d-7qvbn: tier={value}");
        assert_eq!(browser.js("announcement.textContent"), announced);
    }
    assert_eq!(browser.js("find('img, td script').length"), 0);
    skip_time(&browser, 20);
    browser.wait("!find('.new')[0]");
    let labels = format!("pod-template-hash=5d8c7b9f4dtier={hostile}");
    assert_eq!(browser.js("$('pods').rows[1].cells[7].innerText"), labels);
    assert_clean(&browser);
}
