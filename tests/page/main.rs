//! The live page in real Chromium, before real processes and a Service in small between them.
//!
//! `cargo test --test page -- --ignored` makes the pictures in `tests/screenshots` anew (with the
//! fonts of the machine: Debian's `fonts-inter` gives those that are there), and
//! `pngquant --force --ext .png tests/screenshots/*.png` makes them small.

#[path = "../common/mod.rs"]
mod common;

mod browser;
mod demo;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use browser::{Browser, END, LEFT, RIGHT, SPACE, TAB};
use common::pod::{BROKEN_CANARY, FIXED_CANARY, Pod, Release, STABLE};
use common::service::{Mode, Service};
use common::{Start, eventually, have, skip};
use sha2::{Digest, Sha256};

const PROXY: &str = "/api/v1/namespaces/default/services/appinfo:http/proxy";
const CANARY: &str = "appinfo-canary-broken-6f7d9c8b5c-m8zrp";

fn pod(release: &Release, suffix: &str) -> Pod {
    release.pod(Start::new(), suffix)
}

/// A pod, two of five of whose answers are late.
fn late(release: &Release, suffix: &str) -> Pod {
    release.pod(Start::new().args("--delay 900 --delay-rate 40"), suffix)
}

fn broken_canary() -> Pod {
    pod(&BROKEN_CANARY, "m8zrp")
}

/// The three stable pods of the tutorial.
fn three_stable() -> Vec<Pod> {
    ["2hx9k", "7qvbn", "xw4lt"].map(|suffix| pod(&STABLE, suffix)).into()
}

/// A browser at the page of this service, asking as fast as the page lets it.
fn watch(service: &Service) -> Option<Browser> {
    let browser = Browser::at(&service.url())?;
    fastest(&browser);
    Some(browser)
}

fn fastest(browser: &Browser) {
    browser.js("rate.focus()");
    browser.press(END);
}

/// A percentage on the page, as a number.
fn percentage(browser: &Browser, figure: &str) -> f64 {
    browser.number(&format!("parseFloat({figure}.textContent)"))
}

/// Nothing is in the console but the deliberate errors, and nothing was asked for elsewhere.
fn assert_clean(browser: &Browser, service: &Service) {
    for message in browser.console() {
        assert!(message.contains("v1/appinfo") && message.contains("500"), "{message}");
    }
    let requests = browser.requests();
    assert!(requests.len() > 20, "the browser tells its requests: {requests:?}");
    for address in requests {
        let own = [service.url(), format!("{}v1/appinfo", service.url())].contains(&address);
        assert!(own || address.starts_with("data:image/svg+xml,"), "asks for {address}");
    }
}

#[test]
fn the_page_is_one_small_document_and_its_policy_names_its_script_and_style() {
    let answer = Start::new().spawn().get("/");
    let page = answer.text();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    // Without an icon of its own, browsers ask for one elsewhere on the server.
    assert!(page.contains("<link rel=\"icon\" href=\"data:image/svg+xml,"));
    // Each pod sends it in one write, which the socket's buffer has to hold, and carries it in its
    // memory and its image; and whoever wants to know what it does can read it in one sitting.
    assert!(page.len() <= 14_000, "the page has {} bytes", page.len());
    for refused in
        [" src=", "style=\"", " onclick", "innerHTML", "@import", "url(", "//www.", "https:"]
    {
        let mut found = page.match_indices(refused).map(|(at, _)| &page[at - 20..]);
        // The icon's name space is not an address that anybody asks.
        assert!(found.all(|text| text[..40].contains("xmlns")), "the page holds {refused}");
    }

    let hash = |tag: &str| {
        let (_, rest) = page.split_once(&format!("<{tag}>")).expect("there is one");
        let (content, rest) = rest.split_once(&format!("</{tag}>")).expect("it ends");
        assert!(!rest.contains(&format!("<{tag}")), "there is one {tag} only");
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content))
    };
    let policy = answer.header("content-security-policy").expect("there is a policy");
    let lines = format!(
        "script-src 'sha256-{}'; \\\n    style-src 'sha256-{}'; \\\n",
        hash("script"),
        hash("style")
    );
    let expected = format!(
        "default-src 'none'; {}connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
        lines.replace("\\\n", "").replace("    ", "")
    );
    assert_eq!(policy, expected, "\n\nfor POLICY in src/page.rs:\n    {lines}");
}

#[test]
fn the_broken_canary_is_seen_behind_a_service() {
    shows_the_broken_canary("");
}

#[test]
fn the_broken_canary_is_seen_under_the_path_prefix_of_kubectl_proxy() {
    shows_the_broken_canary(PROXY);
}

fn shows_the_broken_canary(prefix: &'static str) {
    let mut stable = three_stable();
    let canary = broken_canary();
    let service = Service::new(prefix, stable.iter().chain([&canary]));
    let Some(browser) = watch(&service) else { return };

    // Shares: what four pods give by chance, give or take four standard deviations of 160 answers.
    let about_a_quarter = 11.0..=39.0;
    browser.wait("answers.textContent >= 160");
    for figure in ["canary", "errors"] {
        let share = percentage(&browser, figure);
        assert!(about_a_quarter.contains(&share), "{figure}: {share}%");
    }
    let shown = browser.js(
        "return ['i', '.stable:not(.bad)', '.canary.bad'].map(look => grid.querySelectorAll(look).length)",
    );
    let [all, good, bad] = [0, 1, 2].map(|i| shown[i].as_f64().expect("a count"));
    assert_eq!(all, good + bad, "nothing else is among the squares");
    assert!(about_a_quarter.contains(&(100.0 * bad / all)), "{bad} of {all} squares");
    let bars = |look: &str| browser.number(&format!("bars.querySelectorAll('{look}').length"));
    assert_eq!(browser.number("bars.childElementCount"), 40.0);
    assert!(bars(".stable") >= 3.0 && bars(".canary.bad") >= 3.0);
    assert_eq!(browser.text("whose.textContent.replace(/\\d+/, 'N')"), "N from canary");
    // An error is told by its shape: its background is drawn, not just coloured.
    let drawn = "getComputedStyle(grid.querySelector('.bad')).backgroundImage";
    assert!(browser.text(drawn).contains("45deg"), "{}", browser.text(drawn));
    assert_ne!(colour(&browser, ".stable"), colour(&browser, ".canary.bad"));

    // Pods: stable first, each with what it tells; the broken one can tell but its name.
    let row = |number: usize| {
        let cells = browser.js(&format!(
            "return [...$('pods').rows[{number}].cells].map(cell => cell.textContent)"
        ));
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
    assert_eq!(browser.text("say.textContent"), "New on appinfo-5d8c7b9f4d-7qvbn: tier=gold");
    let hostile = "<script>document.title='bad'</script><img src=//bad.example onerror=bad()>";
    stable[0].label("x", hostile);
    browser.wait("$('pods').rows[0].querySelector('.new')");
    assert_eq!(browser.text("$('pods').querySelector('.new').textContent"), format!("x={hostile}"));
    assert_eq!(browser.number("document.querySelectorAll('img, td script').length"), 0.0);
    // After a while it is a label like any other.
    browser.wait("!$('pods').querySelector('.new')");
    assert_eq!(row(1)[7], "tier=goldpod-template-hash=5d8c7b9f4d");

    // Once in a while a screen reader is told the figures.
    browser.wait("say.textContent.includes('in the last minute')");
    // The grid has an end.
    browser.wait("grid.childElementCount >= 240");
    let newest = browser.text("grid.firstChild.ariaLabel");
    browser.wait(&format!("grid.firstChild.ariaLabel !== {newest:?}"));
    assert_eq!(browser.number("grid.childElementCount"), 240.0);
    assert_clean(&browser, &service);
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
    browser.wait("answers.textContent >= 100");
    assert_eq!(percentage(&browser, "errors"), 0.0);
    assert!(percentage(&browser, "canary") > 10.0);
    assert_eq!(browser.number("$('pods').querySelectorAll('.quiet').length"), 0.0);
    assert_eq!(browser.text("whose.textContent"), "none");

    service.set_pods(&stable);
    browser.wait(&format!("{row}?.classList.contains('quiet')"));
    assert!(browser.text(&format!("{row}.cells[6].textContent")).ends_with(" s ago"));
    let ink = |row: &str| browser.text(&format!("getComputedStyle({row}).color"));
    assert_ne!(ink(row), ink("$('pods').rows[0]"));
    browser.wait(&format!("!{row}"));
    assert_eq!(browser.number("$('pods').rows.length"), 3.0);
    assert_eq!(browser.number("$('pods').querySelectorAll('.quiet').length"), 0.0);
    assert_clean(&browser, &service);
}

#[test]
fn it_asks_at_the_pace_that_is_set_rests_when_paused_and_when_hidden() {
    let pods = three_stable();
    let service = Service::new("", &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    let pace = || {
        let (before, start) = (service.count(), Instant::now());
        std::thread::sleep(Duration::from_secs(3));
        (service.count() - before) as f64 / start.elapsed().as_secs_f64()
    };
    let asks_again = || {
        let before = service.count();
        eventually("the page asks again", || (service.count() > before + 5).then_some(()));
    };
    browser.wait("state.textContent === 'Live'");
    assert_eq!(browser.text("pace.textContent"), "4");
    let asked = pace();
    assert!((1.5..=4.8).contains(&asked), "{asked} a second, not about 4");
    fastest(&browser);
    assert_eq!(browser.text("pace.textContent"), "20");
    let asked = pace();
    assert!((5.5..=21.0).contains(&asked), "{asked} a second, not about 20");

    let rests = || {
        eventually("the last answer is shown", || {
            (browser.number("+answers.textContent") == service.count() as f64).then_some(())
        });
        let seen = "answers.textContent + $('pods').textContent";
        let before = (service.count(), browser.text(seen));
        std::thread::sleep(Duration::from_millis(2500)); // What is absent cannot be waited for.
        assert_eq!(before, (service.count(), browser.text(seen)));
    };
    browser.click("#pause");
    browser.wait("state.textContent === 'Paused' && pause.textContent === 'Resume'");
    rests();
    browser.js("rate.focus()");
    browser.press(LEFT);
    assert_eq!(browser.text("pace.textContent"), "19");
    rests(); // Another pace is not the end of the pause.
    browser.click("#pause");
    browser.wait("state.textContent === 'Live' && pause.textContent === 'Pause'");
    asks_again();

    browser.minimise();
    browser.wait("document.hidden");
    rests();
    browser.restore();
    browser.wait("!document.hidden");
    asks_again();
    assert_clean(&browser, &service);
}

#[test]
fn a_slow_or_dead_server_makes_it_wait_and_never_piles_up_requests() {
    let pod = pod(&STABLE, "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = watch(&service) else { return };
    browser.wait("answers.textContent >= 20");

    service.set_mode(Mode::Hold);
    eventually("a few requests wait", || (service.open() == 4).then_some(()));
    browser.wait("state.textContent === 'No answer, trying again'");
    eventually("they are given up", || (service.open() <= 1).then_some(()));
    assert_eq!(service.most_open(), 4);
    assert!(browser.text("tell.textContent").starts_with("Point"));
    browser.wait("grid.firstChild.matches('.other.bad')");
    assert!(browser.text("grid.firstChild.ariaLabel").contains("no answer"));
    // One at a time, with ever longer waits: at the pace that is set it would be 120.
    let before = service.count();
    std::thread::sleep(Duration::from_secs(6));
    assert!(service.count() - before <= 3, "{} within 6 seconds", service.count() - before);

    service.set_mode(Mode::Serve);
    browser.wait("state.textContent === 'Live' && grid.firstChild.matches('.stable')");

    service.set_mode(Mode::HangUp);
    browser.wait("state.textContent === 'No answer, trying again'");
    let (before, start) = (service.count(), Instant::now());
    eventually("six seconds pass", || (start.elapsed().as_secs() >= 6).then_some(()));
    // A browser may ask once more, by itself, when a connection ends without an answer.
    assert!(service.count() - before <= 12, "{} in 6 seconds", service.count() - before);
    service.set_mode(Mode::Serve);
    browser.wait("state.textContent === 'Live' && grid.firstChild.matches('.stable')");
}

#[test]
fn it_is_used_with_the_keyboard_the_pointer_and_a_screen_reader() {
    let mut pods = three_stable();
    pods.push(broken_canary());
    let service = Service::new("", &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.wait("answers.textContent >= 12 && grid.querySelector('.bad')");

    let tree = browser.accessible();
    for thing in [
        "heading: appinfo watch the canary",
        "slider: 4 requests a second",
        "button: Pause",
        "group: Answers",
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
    let told = browser.text("tell.textContent");
    assert!(told.starts_with(&browser.text("document.activeElement.ariaLabel")), "{told}");
    assert!(told.contains("appinfo-") && told.contains("00") && told.contains(" ms"), "{told}");
    // The grid holds still meanwhile, and tells how many wait.
    browser.wait("tell.textContent.includes('(6 newer)')");
    assert_eq!(browser.text("[...grid.children].indexOf(document.activeElement)"), "1");
    browser.press(LEFT);
    assert_eq!(browser.text("[...grid.children].indexOf(document.activeElement)"), "0");
    browser.press(TAB);
    browser.wait("tell.textContent.startsWith('Point')");

    // The pointer: any square under it tells the same.
    let place = "grid.children[2].getBoundingClientRect()";
    let (x, y) = (browser.number(&format!("{place}.x")), browser.number(&format!("{place}.y")));
    browser.point(x as u32 + 5, y as u32 + 5);
    browser.wait("tell.textContent.includes(' ms')");
    let told = browser.text("tell.textContent");
    assert!(told.starts_with(&browser.text("grid.children[2].ariaLabel")), "{told}");
    browser.point(1, 1);
    browser.wait("tell.textContent.startsWith('Point')");
    assert_clean(&browser, &service);
}

/// Pods as the page does not expect them: with names as long as Kubernetes allows (253 characters, and
/// 63 for a label's value), with more labels than can be read, with no name at all.
fn odd_pods() -> [Pod; 4] {
    let (long, name) = ("x".repeat(63), "y".repeat(253));
    let labels = [("app", "appinfo"), ("release", &long), (&long, &long)];
    let longest = Pod::new(Start::new(), &name, "namespace", &labels);
    let mut nameless = Pod::new(Start::new(), "", "baseline", &[]);
    (0..50).for_each(|n| nameless.label(&format!("example.com/label-{n:02}"), ""));
    [pod(&STABLE, "2hx9k"), longest, nameless, broken_canary()]
}

#[test]
fn it_fits_every_screen_and_both_colour_schemes() {
    let pods = odd_pods();
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("answers.textContent >= 60 && $('pods').rows.length === 4");
    for width in [320, 360, 768, 1280, 1920, 3840] {
        browser.size(width, 800);
        browser.wait(&format!("innerWidth === {width}"));
        let wide = browser.number("document.documentElement.scrollWidth");
        assert!(wide <= f64::from(width), "{wide} pixels on a screen of {width}");
        let text = browser.number("parseFloat(getComputedStyle(document.body).fontSize)");
        assert!(text >= 15.0, "text of {text} pixels on a screen of {width}");
    }

    let background = "getComputedStyle(document.documentElement).backgroundColor";
    let backgrounds = ["light", "dark"].map(|scheme| {
        browser.prefer(&[("prefers-color-scheme", scheme)]);
        browser.text(background)
    });
    assert_eq!(backgrounds, ["rgb(245, 247, 246)", "rgb(14, 20, 23)"]);

    // New squares come with a movement, unless that is not wanted.
    browser.wait("document.getAnimations().length > 0");
    browser.prefer(&[("prefers-reduced-motion", "reduce")]);
    let moving = "document.getAnimations().length";
    assert_eq!((0..20).map(|_| browser.number(moving)).sum::<f64>(), 0.0);
    assert_clean(&browser, &service);
}

#[test]
fn names_stand_on_one_line_and_beyond_eight_labels_the_rest_can_be_opened() {
    // What Helm and Istio give a pod of a Deployment.
    let mut labels = vec![
        ("app", "appinfo"),
        ("app.kubernetes.io/instance", "appinfo-production"),
        ("app.kubernetes.io/managed-by", "Helm"),
        ("app.kubernetes.io/name", "appinfo"),
        ("app.kubernetes.io/version", "1.27.3"),
        ("helm.sh/chart", "appinfo-1.27.3"),
        ("pod-template-hash", "5d8c7b9f4d"),
        ("release", "stable"),
        ("security.istio.io/tlsMode", "istio"),
        ("service.istio.io/canonical-revision", "1.27.3"),
    ];
    let usual =
        Pod::new(Start::new(), "appinfo-canary-fixed-5d8c7b9f4d-2hx9k", "namespace", &labels);
    let more: Vec<_> = (0..42).map(|n| format!("example.com/label-{n:02}")).collect();
    labels.extend(more.iter().map(|name| (name.as_str(), "value")));
    let mut many =
        Pod::new(Start::new(), "appinfo-canary-fixed-5d8c7b9f4d-7qvbn", "baseline", &labels);
    let service = Service::new("", [&usual, &many]);
    let Some(browser) = watch(&service) else { return };
    browser.wait("$('pods').querySelectorAll('td:nth-child(6):not(:empty)').length === 2");
    for row in 0..2 {
        for cell in 0..7 {
            let lines = "const range = document.createRange(); range.selectNodeContents(CELL.querySelector('span') ?? CELL);
                return new Set([...range.getClientRects()].map(line => Math.round(line.bottom / 9))).size";
            let cell = format!("$('pods').rows[{row}].cells[{cell}]");
            assert_eq!(
                browser.js(&lines.replace("CELL", &cell)),
                1,
                "{}",
                browser.text(&format!("{cell}.textContent"))
            );
        }
    }
    let shown = "[...$('pods').querySelectorAll('tr:last-child .tag')].filter(tag => tag.checkVisibility() && tag.closest('td:last-child')).length";
    assert_eq!(browser.number("$('pods').querySelectorAll('summary').length"), 1.0);
    assert_eq!(browser.text("$('pods').querySelector('summary').textContent"), "+42");
    assert_eq!(browser.number(shown), 8.0);
    // From the grid it is the next stop; the keyboard opens it and closes it.
    browser.js("grid.focus()");
    browser.press(TAB);
    assert_eq!(browser.text("document.activeElement.textContent"), "+42");
    browser.press(SPACE);
    browser.wait(&format!("{shown} === 50"));
    // A label that is new stands first, and leaves the rest as open as it was.
    many.label("zone", "b");
    browser.wait("$('pods').querySelector('tr:last-child .tag.new')?.textContent === 'zone=b'");
    assert_eq!(browser.number(shown), 51.0);
    browser.js("$('pods').querySelector('summary').focus()");
    browser.press(SPACE);
    browser.wait(&format!("{shown} === 8"));
    assert!(browser.text("$('pods').querySelector('.new').checkVisibility()") == "true");
    browser.wait("answers.textContent >= 30");
    assert_clean(&browser, &service);
}

#[test]
fn a_late_answer_is_told_by_shape_and_each_pod_s_time_is_that_of_95_in_100() {
    let stable = three_stable();
    let canaries = [late(&BROKEN_CANARY, "m8zrp"), late(&FIXED_CANARY, "tq5hd")];
    let service = Service::new("", stable.iter().chain(&canaries));
    let Some(browser) = watch(&service) else { return };
    browser.wait(
        "grid.querySelector('.canary.bad.late') && grid.querySelector('.canary.late:not(.bad)')",
    );
    browser.wait("answers.textContent >= 100");

    let square = |look: &str| {
        let square = format!("grid.querySelector('.canary{look}')");
        let style = format!("getComputedStyle({square})");
        let parts = ["borderRadius", "backgroundImage"]
            .map(|part| browser.text(&format!("{style}.{part}")));
        (parts.join(" "), browser.text(&format!("{square}.ariaLabel")))
    };
    let looks =
        [".late:not(.bad)", ".late.bad", ":not(.late, .bad)", ".bad:not(.late)"].map(square);
    for (number, (shape, told)) in looks.iter().enumerate() {
        assert_eq!(looks.iter().filter(|(other, _)| other == shape).count(), 1, "{looks:?}");
        assert_eq!(told.ends_with(" ms late"), number < 2, "{told}");
    }
    let milliseconds = |row: usize| {
        let told = browser.text(&format!("$('pods').rows[{row}].cells[5].textContent"));
        told.strip_suffix(" ms").and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    };
    let mark = |row: usize| browser.js(&format!("return $('pods').rows[{row}].cells[5].className"));
    for row in [3, 4] {
        assert!(milliseconds(row) >= 900.0 && mark(row) == "wrong", "{}", milliseconds(row));
    }
    assert!((0..3).all(|row| milliseconds(row) < 900.0));
    // It is about the last minute alone: a minute later nothing is known about who did not answer.
    service.set_pods(&stable);
    eventually("the last late answer has come", || (service.open() <= 1).then_some(()));
    let silent = browser.js("const now = performance.now.bind(performance);
        performance.now = () => now() + 60e3;
        draw();
        return [3, 4].map(row => $('pods').rows[row].cells[5].textContent).join()");
    assert_eq!(silent, ",");
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
    let npm = Command::new("npm")
        .args(["install", "--silent", "--prefix"])
        .arg(&folder)
        .arg(AXE)
        .output();
    let script = std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js"));
    if script.is_err() {
        skip(&format!("needs {AXE}, but npm says {npm:?}"));
    }
    script.ok()
}

#[test]
fn without_javascript_it_tells_the_command() {
    let appinfo = Start::new().spawn();
    let Some(browser) = Browser::new() else { return };
    browser.devtools("Emulation.setScriptExecutionDisabled", &serde_json::json!({"value": true}));
    browser.open(&format!("http://{}/", appinfo.address));
    let tree = browser.accessible().join("\n");
    assert!(tree.contains("curl -s http://localhost:8080/v1/appinfo"), "{tree}");
    for thing in ["table:", "slider:", "button:"] {
        assert!(!tree.contains(thing), "what does not work without is not shown: {tree}");
    }
}

#[test]
#[ignore = "takes two minutes; writes the pictures in tests/screenshots, or where APPINFO_SCREENSHOTS says"]
fn pictures_of_the_broken_canary() {
    let folder = std::env::var_os("APPINFO_SCREENSHOTS")
        .map_or(common::repository().join("tests/screenshots"), Into::into);
    let mut pods = three_stable();
    let canary = broken_canary();
    let service = Service::new(PROXY, &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.js("rate.focus()");
    (0..4).for_each(|_| browser.press(RIGHT)); // 8 a second: shares that are less a matter of luck
    browser.js("rate.blur()");
    browser.wait("bars.querySelectorAll('.stable').length >= 15");
    service.set_pods(pods.iter().chain([&canary]));
    // More than the minute that the figures are about, but less than one at a time.
    browser.wait("bars.querySelectorAll('.canary').length >= 12");
    browser.wait("bars.querySelectorAll('.canary').length >= 22");
    pods[1].label("tier", "gold");
    browser.wait("$('pods').querySelector('.new')");
    for (name, scheme, width) in [
        ("canary", "light", 1280),
        ("canary-dark", "dark", 1280),
        ("canary-narrow", "light", 360),
        ("canary-narrow-dark", "dark", 360),
    ] {
        browser.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        browser.size(width, 890);
        browser.wait(&format!("innerWidth === {width} && document.getAnimations().length === 0"));
        let picture = browser.picture(width < 500);
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("it can be written");
    }
}
