//! What the page shows of the responses that it gets.

use super::*;

/// How many elements this selector finds.
fn count(browser: &Browser, selector: &str) -> f64 {
    browser.number(&format!("find('{selector}').length"))
}

/// The cells of a row of the pods' table.
fn row(browser: &Browser, number: usize) -> Vec<String> {
    let cells = format!("[...$('pods').rows[{number}].cells].map(cell => cell.innerText)");
    serde_json::from_value(browser.js(&format!("return {cells}"))).expect("cells hold text")
}

#[test]
fn a_broken_canary_is_seen_behind_kubectl_proxy() {
    let stable = three_stable();
    let canary = broken_canary();
    let service = Service::new(PROXY, stable.iter().chain([&canary]));
    let Some(browser) = watch(&service) else { return };

    // The grid has an end, and nothing else is in it.
    browser.wait("responses.textContent >= 250");
    let squares = browser.js(
        "return ['#grid .stable:not(.failed)', '#grid .canary.failed'].map(look => find(look).length)",
    );
    let [whole, failed] = [0, 1].map(|i| squares[i].as_f64().expect("a count"));
    assert_eq!(whole + failed, 240.0);
    // A quarter of 240, give or take four standard deviations.
    let shares = [
        browser.number("parseFloat(canary.textContent)"),
        browser.number("parseFloat(errors.textContent)"),
        100.0 * failed / 240.0,
    ];
    assert!(shares.iter().all(|share| (13.0..=37.0).contains(share)), "{shares:?}");
    assert_eq!(count(&browser, "#bars span"), 40.0);
    assert!(count(&browser, "#bars .stable") >= 3.0);
    assert!(count(&browser, "#bars .canary.failed") >= 3.0);
    assert_eq!(browser.text("sources.textContent.replace(/\\d+/, 'N')"), "N from canary");
    let color = |look| {
        let style = format!("getComputedStyle(find('#grid {look}')[0])");
        browser.text(&format!("{style}.backgroundColor"))
    };
    assert_ne!(color(".stable"), color(".canary.failed"));

    // Stable first. The broken one can name but itself and its release.
    assert_eq!(browser.number("$('pods').rows.length"), 4.0);
    let healthy = row(&browser, 1);
    assert_eq!(healthy[..3], ["appinfo-5d8c7b9f4d-7qvbn", "stable", "\"\" empty"]);
    assert_eq!(healthy[4], "0");
    assert!(healthy[5].ends_with(" ms"), "{healthy:?}");
    assert_eq!(healthy[7], "pod-template-hash=5d8c7b9f4d");
    let failing = row(&browser, 3);
    assert_eq!(failing[..3], [CANARY, "canary", ""]);
    assert!(failing[3].parse::<u32>().expect("a count") > 10);
    assert_eq!(failing[4], format!("{} (100%)", failing[3]));
    assert_eq!(failing[7], "");
    assert_clean(&browser);
}

#[test]
fn a_new_label_is_marked_for_a_while_and_is_no_markup() {
    let mut pods = three_stable();
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("$('pods').rows.length === 3");
    assert_eq!(count(&browser, ".new"), 0.0);
    let hostile = "<script>document.title='bad'</script><img src=//bad.example onerror=bad()>";
    for value in ["gold", hostile] {
        pods[1].label("tier", value);
        browser.wait(&format!("find('.new')[0]?.textContent === {:?}", format!("tier={value}")));
        let announced = format!("New on appinfo-5d8c7b9f4d-7qvbn: tier={value}");
        assert_eq!(browser.text("announcement.textContent"), announced);
    }
    assert_eq!(count(&browser, "img, td script"), 0.0);
    skip_time(&browser, 20);
    browser.wait("!find('.new')[0]");
    assert_eq!(row(&browser, 1)[7], format!("pod-template-hash=5d8c7b9f4dtier={hostile}"));
    assert_clean(&browser);
}

#[test]
fn a_fixed_canary_shows_its_namespace_and_fades_once_it_is_gone() {
    let stable = three_stable();
    let canary = pod(&FIXED_CANARY, "tq5hd");
    let service = Service::new("", stable.iter().chain([&canary]));
    let Some(browser) = watch(&service) else { return };
    browser.wait("find('tr.canary')[0]?.cells[2].textContent === 'default'");
    browser.wait("responses.textContent >= 40");
    assert_eq!(browser.text("errors.textContent + sources.textContent"), "0%none");
    assert_eq!(count(&browser, ".quiet"), 0.0);

    service.set_pods(&stable);
    skip_time(&browser, 6);
    browser.wait("find('tr.canary.quiet')[0]");
    assert!(browser.text("find('.quiet')[0].cells[6].textContent").ends_with(" s ago"));
    let ink = |row: &str| browser.text(&format!("getComputedStyle(find('{row}')[0]).color"));
    assert_ne!(ink("tr.canary"), ink("tr.stable"));
    skip_time(&browser, 6);
    browser.wait("!find('tr.canary')[0]");
    let last = browser.number("now() - results.filter(({ kind }) => kind === 'canary').pop().at");
    assert!(last < 50e3, "it went after {last} ms only");
    assert_eq!(browser.number("$('pods').rows.length"), 3.0);
    assert_eq!(count(&browser, ".quiet"), 0.0);
    assert_clean(&browser);
}

#[test]
fn lateness_is_a_shape_and_a_pod_shows_its_95th_percentile() {
    let stable = three_stable();
    let canaries = [late(&BROKEN_CANARY, "m8zrp"), late(&FIXED_CANARY, "tq5hd")];
    let service = Service::new("", stable.iter().chain(&canaries));
    let Some(browser) = watch(&service) else { return };
    browser.wait("find('#grid .canary.failed.late')[0] && find('#grid .late:not(.failed)')[0]");
    browser.wait("responses.textContent >= 40");

    let shapes = [
        (".late.failed", true),
        (".late:not(.failed)", true),
        (".failed:not(.late)", false),
        (":not(.failed, .late)", false),
    ]
    .map(|(look, is_late)| {
        let square = format!("find('#grid .canary{look}')[0]");
        let told = browser.text(&format!("{square}.title"));
        assert_eq!(told.contains(" ms late"), is_late, "{told}");
        let style = format!("getComputedStyle({square})");
        browser.text(&format!("{style}.borderRadius + {style}.backgroundImage"))
    });
    let distinct: std::collections::BTreeSet<_> = shapes.iter().collect();
    assert_eq!(distinct.len(), 4, "{shapes:?}");

    for number in 0..5 {
        let milliseconds = row(&browser, number)[5].trim_end_matches(" ms").parse::<u32>();
        assert_eq!(milliseconds.expect("a number") >= 900, number >= 3, "row {number}");
    }
    assert_eq!(count(&browser, "tr.canary td.wrong:nth-child(6)"), 2.0);
    assert_clean(&browser);
}
