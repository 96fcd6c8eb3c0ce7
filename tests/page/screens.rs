//! How the page looks on screens of every size, with whatever it has to show.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::json;

use super::{PROXY, assert_clean, broken_canary, odd_pods, three_stable, watch};
use crate::browser::{Browser, RIGHT, SPACE, TAB};
use crate::common::pod::Pod;
use crate::common::service::Service;
use crate::common::{Start, repository};

#[test]
fn it_fits_every_screen_and_both_colour_schemes() {
    let pods = odd_pods();
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("responses.textContent >= 60 && $('pods').rows.length === 4");
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
    browser.wait(&format!("{moving} === 0"));
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
    let broken = browser.js(
        "const range = document.createRange();
        const lines = cell => {
            range.selectNodeContents(cell.querySelector('span') ?? cell);
            return new Set([...range.getClientRects()].map(line => Math.round(line.bottom / 9))).size;
        };
        return [...$('pods').querySelectorAll('th, td:not(:last-child)')]
            .filter(cell => lines(cell) !== 1).map(cell => cell.textContent)",
    );
    assert_eq!(broken, json!([]));
    let shown = "[...$('pods').rows[1].querySelectorAll('td:last-child .tag')]
        .filter(tag => tag.checkVisibility()).length";
    assert_eq!(browser.number("$('pods').querySelectorAll('details:not([hidden])').length"), 1.0);
    let summary = browser.text("$('pods').rows[1].querySelector('summary').textContent");
    assert_eq!(summary, "+42 labels");
    assert_eq!(browser.number(shown), 8.0);
    // From the grid it is the next stop; the keyboard opens it and closes it.
    browser.js("grid.focus()");
    browser.press(TAB);
    assert_eq!(browser.text("document.activeElement.textContent"), "+42 labels");
    browser.press(SPACE);
    browser.wait(&format!("{shown} === 50"));
    // A label that is new stands first, and leaves the rest as open as it was, and the focus.
    many.label("zone", "b");
    browser.wait("$('pods').querySelector('tr:last-child .tag.new')?.textContent === 'zone=b'");
    assert_eq!(browser.number(shown), 51.0);
    browser.press(SPACE);
    browser.wait(&format!("{shown} === 8 && $('pods').querySelector('.new').checkVisibility()"));
    browser.wait("responses.textContent >= 30");
    assert_clean(&browser, &service);
}

/// The colors in a part of the window, `[x, y, width, height]` as this expression yields it.
fn colors(browser: &Browser, place: &str) -> String {
    let place = browser
        .js(&format!("const box = element => element.getBoundingClientRect(); return {place}"));
    let [x, y, width, height] = [0, 1, 2, 3].map(|i| place[i].as_f64().expect("a number"));
    let clip = json!({"x": x, "y": y, "width": width, "height": height, "scale": 1});
    let shot = browser.devtools("Page.captureScreenshot", json!({"clip": clip}));
    let decode = format!(
        "const bytes = Uint8Array.from(atob({}), byte => byte.charCodeAt());
        return createImageBitmap(new Blob([bytes])).then(image => {{
            const canvas = new OffscreenCanvas(image.width, image.height).getContext('2d');
            canvas.drawImage(image, 0, 0);
            const {{ data }} = canvas.getImageData(0, 0, image.width, image.height);
            const pixels = data.length / 4;
            return [...new Set(Array.from({{ length: pixels }}, (_, i) => data.slice(4 * i, 4 * i + 3).join()))].join(' ');
        }})",
        shot["data"]
    );
    browser.js(&decode).as_str().expect("text").to_owned()
}

#[test]
fn squares_bars_and_controls_show_in_forced_colors_and_in_print() {
    let mut pods = three_stable();
    pods.push(broken_canary());
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("grid.querySelector('.canary') && bars.querySelectorAll('.stable').length > 2");
    browser.wait("$('pods').rows.length === 4");
    browser.click("#pause");
    let dressed = [("forced-colors", "active"), ("prefers-reduced-motion", "reduce")];
    browser.prefer(&dressed);
    browser
        .wait("matchMedia('(forced-colors: active)').matches && !document.getAnimations().length");
    let (teal, amber, white) = ("16,119,141", "209,132,0", "255,255,255");
    for (what, place, color) in [
        ("a square", "(({x, y}) => [x + 4, y + 4, 4, 4])(box(find('#grid .stable')[0]))", teal),
        (
            "a canary's square",
            "(({x, y}) => [x + 9, y + 2, 2, 2])(box(find('#grid .canary')[0]))",
            amber,
        ),
        ("a bar", "(({x, y}) => [x + 2, y + 2, 4, 4])(box(find('#bars .stable')[1]))", teal),
        ("the legend", "(({x, y}) => [x + 4, y + 4, 4, 4])(box(find('.soft .canary')[0]))", amber),
    ] {
        assert_eq!(colors(&browser, place), color, "{what}");
    }
    for (what, place) in [
        (
            "the button's border",
            "(({x, y, height}) => [x, y + height / 2, 3, 1])(box(find('#pause')[0]))",
        ),
        (
            "the row's stripe",
            "(({x, y, height}) => [x, y + height / 2, 3, 1])(box(find('#pods tr')[0]))",
        ),
    ] {
        let found = colors(&browser, place);
        assert!(found != white && !found.is_empty(), "{what}: {found}");
    }

    // As browsers print, without backgrounds: what the page's drawing commands fill.
    browser.prefer(&[("prefers-reduced-motion", "reduce")]);
    let printed = browser.devtools("Page.printToPDF", json!({"printBackground": false}));
    let filled = browser.js(&format!(
        "const text = atob({});
        const streams = [...text.matchAll(/stream\\r?\\n/g)].map(async ({{ 0: {{ length }}, index }}) => {{
            const part = text.slice(index + length, text.indexOf('endstream', index));
            const bytes = Uint8Array.from(part.replace(/\\r?\\n$/, ''), byte => byte.charCodeAt());
            const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
            return new Response(inflated).text().catch(() => '');
        }});
        return Promise.all(streams).then(all => all.join().match(/[\\d.]+ [\\d.]+ [\\d.]+ rg/g).join())",
        printed["data"]
    ));
    let filled = filled.as_str().expect("text");
    // The legend's gray, which nothing else has.
    assert!(filled.contains(".498 .5529 .5843 rg"), "the legend is not printed: {filled}");
    assert_eq!(browser.text("getComputedStyle(pause).printColorAdjust"), "exact");
}

#[test]
#[ignore = "takes two minutes; writes the pictures in tests/screenshots, or where APPINFO_SCREENSHOTS says"]
fn pictures_of_the_broken_canary() {
    let folder = std::env::var_os("APPINFO_SCREENSHOTS")
        .map_or(repository().join("tests/screenshots"), Into::into);
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
        let shot = json!({"captureBeyondViewport": width < 500});
        let shot = browser.devtools("Page.captureScreenshot", shot);
        let picture = BASE64.decode(shot["data"].as_str().expect("a screenshot has data"));
        let picture = picture.expect("a screenshot is base64");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("it can be written");
    }
}
