//! How the page looks on screens of every size, with whatever it has to show.

use super::*;

#[test]
fn odd_pods_fit_every_screen_in_every_color_scheme() {
    let pods = odd_pods();
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("responses.textContent >= 60 && $('pods').rows.length === 4");
    for width in [320, 768, 1280, 3840] {
        browser.size(width, 800);
        let wide = browser.number("document.documentElement.scrollWidth");
        assert!(wide <= f64::from(width), "{wide} pixels on a screen of {width}");
        let text = browser.number("parseFloat(getComputedStyle(document.body).fontSize)");
        assert!(text >= 15.0, "text of {text} pixels on a screen of {width}");
    }
    let backgrounds = ["light", "dark"].map(|scheme| {
        browser.prefer("prefers-color-scheme", scheme);
        browser.text("getComputedStyle(document.documentElement).backgroundColor")
    });
    assert_eq!(backgrounds, ["rgb(245, 247, 246)", "rgb(14, 20, 23)"]);

    browser.prefer("forced-colors", "active");
    let style = |selector: &str, property: &str| {
        browser.text(&format!("getComputedStyle(find('{selector}')[0]).{property}"))
    };
    for what in ["#grid .stable:not(.late)", "#bars .stable", ".soft .stable"] {
        assert_eq!(style(what, "backgroundColor"), "rgb(16, 119, 141)", "{what}");
    }
    // Browsers print no other backgrounds.
    assert_eq!(style("#grid i", "printColorAdjust"), "exact");
    // Backgrounds are gone, so that borders have to show these.
    for what in ["#pause", "#pods tr"] {
        assert_ne!(style(what, "borderLeftColor"), style("html", "backgroundColor"), "{what}");
    }
    assert_clean(&browser);
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
    browser.wait("find('#bars .stable').length >= 15");
    service.set_pods(pods.iter().chain([&canary]));
    // More than the minute that the figures are about, but less than one at a time.
    browser.wait("find('#bars .canary').length >= 12");
    browser.wait("find('#bars .canary').length >= 22");
    pods[1].label("tier", "gold");
    browser.wait("find('.new')[0]");
    browser.size(1280, 890);
    for (name, scheme) in [("canary", "light"), ("canary-dark", "dark")] {
        browser.prefer("prefers-color-scheme", scheme);
        let shot = browser.devtools("Page.captureScreenshot", json!({}));
        let picture = BASE64.decode(shot["data"].as_str().expect("a screenshot has data"));
        let picture = picture.expect("a screenshot is base64");
        std::fs::write(folder.join(format!("{name}.png")), picture).expect("it can be written");
    }
}
