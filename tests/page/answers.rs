//! What the page tells of the answers it gets.

use super::{CANARY, PROXY, assert_clean, broken_canary, late, pod, three_stable, watch};
use crate::browser::Browser;
use crate::common::pod::{BROKEN_CANARY, FIXED_CANARY};
use crate::common::service::Service;

#[test]
fn the_broken_canary_is_seen_and_labels_as_they_change_under_the_path_prefix_of_kubectl_proxy() {
    let mut stable = three_stable();
    let canary = broken_canary();
    let service = Service::new(PROXY, stable.iter().chain([&canary]));
    let Some(browser) = watch(&service) else { return };

    // Shares: what four pods give by chance, give or take four standard deviations of 160 answers.
    let about_a_quarter = 11.0..=39.0;
    browser.wait("responses.textContent >= 160");
    for figure in ["canary", "errors"] {
        let share = percentage(&browser, figure);
        assert!(about_a_quarter.contains(&share), "{figure}: {share}%");
    }
    let shown = browser.js(
        "return ['i', '.stable:not(.failed)', '.canary.failed'].map(look => grid.querySelectorAll(look).length)",
    );
    let [all, good, bad] = [0, 1, 2].map(|i| shown[i].as_f64().expect("a count"));
    assert_eq!(all, good + bad, "nothing else is among the squares");
    assert!(about_a_quarter.contains(&(100.0 * bad / all)), "{bad} of {all} squares");
    let bars = |look: &str| browser.number(&format!("bars.querySelectorAll('{look}').length"));
    assert_eq!(browser.number("bars.childElementCount"), 40.0);
    assert!(bars(".stable") >= 3.0 && bars(".canary.failed") >= 3.0);
    assert_eq!(browser.text("sources.textContent.replace(/\\d+/, 'N')"), "N from canary");
    // An error is told by its shape: its background is drawn, not just coloured.
    let drawn = "getComputedStyle(grid.querySelector('.failed')).backgroundImage";
    assert!(browser.text(drawn).contains("45deg"), "{}", browser.text(drawn));
    assert_ne!(colour(&browser, ".stable"), colour(&browser, ".canary.failed"));

    // Pods: stable first, each with what it tells; the broken one can tell but its name.
    let row = |number: usize| {
        let cells = browser
            .js(&format!("return [...$('pods').rows[{number}].cells].map(cell => cell.innerText)"));
        serde_json::from_value::<Vec<String>>(cells).expect("cells hold text")
    };
    assert_eq!(browser.number("$('pods').rows.length"), 4.0);
    let healthy = row(1);
    assert_eq!(healthy[..3], ["appinfo-5d8c7b9f4d-7qvbn", "stable", "\"\" empty"]);
    assert_eq!(healthy[4], "0");
    assert!(healthy[5].ends_with(" ms"), "{healthy:?}");
    assert_eq!(healthy[7], "pod-template-hash=5d8c7b9f4d");
    let failing = row(3);
    assert_eq!(failing[..3], [CANARY, "canary", ""]);
    assert!(failing[3].parse::<u32>().expect("a count") > 10);
    assert_eq!(failing[4], format!("{} (100%)", failing[3]));
    assert_eq!(failing[7], "");

    // A label is set; then one whose value would be markup if it were not shown as text.
    assert_eq!(browser.number("$('pods').querySelectorAll('.new').length"), 0.0);
    stable[1].label("tier", "gold");
    browser.wait("$('pods').rows[1].querySelector('.new')?.textContent === 'tier=gold'");
    assert_eq!(
        browser.text("announcement.textContent"),
        "New on appinfo-5d8c7b9f4d-7qvbn: tier=gold"
    );
    let hostile = "<script>document.title='bad'</script><img src=//bad.example onerror=bad()>";
    stable[0].label("x", hostile);
    browser.wait("$('pods').rows[0].querySelector('.new')");
    assert_eq!(browser.text("$('pods').querySelector('.new').textContent"), format!("x={hostile}"));
    assert_eq!(browser.number("document.querySelectorAll('img, td script').length"), 0.0);
    // After a while it is a label like any other.
    browser.wait("!$('pods').querySelector('.new')");
    assert_eq!(row(1)[7], "tier=goldpod-template-hash=5d8c7b9f4d");

    // Once in a while a screen reader is told the figures.
    browser.wait("announcement.textContent.includes('in the last minute')");
    // The grid has an end.
    browser.wait("grid.childElementCount >= 240");
    let newest = browser.text("grid.firstChild.ariaLabel");
    browser.wait(&format!("grid.firstChild.ariaLabel !== {newest:?}"));
    assert_eq!(browser.number("grid.childElementCount"), 240.0);
    assert_clean(&browser, &service);
}

/// A percentage on the page, as a number.
fn percentage(browser: &Browser, figure: &str) -> f64 {
    browser.number(&format!("parseFloat({figure}.textContent)"))
}

/// The colour of the first square or row that this selector finds.
fn colour(browser: &Browser, selector: &str) -> String {
    let style = format!("getComputedStyle(grid.querySelector('{selector}'))");
    browser.text(&format!("{style}.getPropertyValue('--c')"))
}

#[test]
fn the_fixed_canary_tells_its_namespace_and_a_pod_that_is_gone_fades_then_goes() {
    let stable = three_stable();
    let canary = pod(&FIXED_CANARY, "tq5hd");
    let service = Service::new("", stable.iter().chain([&canary]));
    let Some(browser) = watch(&service) else { return };
    let row = "[...$('pods').rows].find(row => row.className.includes('canary'))";
    browser.wait(&format!("{row}?.cells[2].textContent === 'default'"));
    browser.wait("responses.textContent >= 100");
    assert_eq!(percentage(&browser, "errors"), 0.0);
    assert!(percentage(&browser, "canary") > 10.0);
    assert_eq!(browser.number("$('pods').querySelectorAll('.quiet').length"), 0.0);
    assert_eq!(browser.text("sources.textContent"), "none");

    service.set_pods(&stable);
    browser.wait(&format!("{row}?.classList.contains('quiet')"));
    assert!(browser.text(&format!("{row}.cells[6].textContent")).ends_with(" s ago"));
    // The colour fades: at first it is still that of the others.
    let ink = |row: &str| format!("getComputedStyle({row}).color");
    browser.wait(&format!("{} !== {}", ink(row), ink("$('pods').rows[0]")));
    browser.wait(&format!("!{row}"));
    assert_eq!(browser.number("$('pods').rows.length"), 3.0);
    assert_eq!(browser.number("$('pods').querySelectorAll('.quiet').length"), 0.0);
    assert_clean(&browser, &service);
}

#[test]
fn a_late_answer_is_told_by_shape_and_each_pod_s_time_is_that_of_95_in_100() {
    let stable = three_stable();
    let canaries = [late(&BROKEN_CANARY, "m8zrp"), late(&FIXED_CANARY, "tq5hd")];
    let service = Service::new("", stable.iter().chain(&canaries));
    let Some(browser) = watch(&service) else { return };
    browser.wait(
        "grid.querySelector('.canary.failed.late') && grid.querySelector('.canary.late:not(.failed)')",
    );
    browser.wait("responses.textContent >= 100");

    let square = |look: &str| {
        let square = format!("grid.querySelector('.canary{look}')");
        let style = format!("getComputedStyle({square})");
        let parts = ["borderRadius", "backgroundImage"]
            .map(|part| browser.text(&format!("{style}.{part}")));
        (parts.join(" "), browser.text(&format!("{square}.ariaLabel")))
    };
    let looks =
        [".late:not(.failed)", ".late.failed", ":not(.late, .failed)", ".failed:not(.late)"]
            .map(square);
    for (number, (shape, told)) in looks.iter().enumerate() {
        assert_eq!(looks.iter().filter(|(other, _)| other == shape).count(), 1, "{looks:?}");
        assert_eq!(told.contains(" ms late"), number < 2, "{told}");
    }
    let milliseconds = |row: usize| {
        let told = browser.text(&format!("$('pods').rows[{row}].cells[5].textContent"));
        told.strip_suffix(" ms").and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    };
    let mark = |row: usize| browser.js(&format!("return $('pods').rows[{row}].cells[5].className"));
    for row in [3, 4] {
        assert!(milliseconds(row) >= 900.0 && mark(row) == "wrong", "{}", milliseconds(row));
    }
    let healthy = [0, 1, 2].map(milliseconds);
    assert!(healthy.iter().all(|ms| *ms < 900.0), "{healthy:?}");
    // It is about the last minute alone: a minute later nothing is known of who did not respond.
    service.set_pods(&stable);
    browser.js("const now = performance.now.bind(performance);
        performance.now = () => now() + 60e3;");
    browser.wait("$('pods').rows.length === 3");
    assert_clean(&browser, &service);
}
