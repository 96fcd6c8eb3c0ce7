//! How the page looks on screens of every size, with whatever it has to show.

use super::*;

/// With names as long as Kubernetes allows (253 characters, and 63 for a label's value), with more labels
/// than can be read, with no name at all, with late responses, and with a pod that is gone.
#[test]
fn odd_pods_fit_every_screen_and_axe_finds_nothing() {
    let (long, name) = ("x".repeat(63), "y".repeat(253));
    let labels = [("app", "appinfo"), ("release", &long), (&long, &long)];
    let mut nameless = Pod::new(Start::new(), "", "baseline", &[]);
    (0..50).for_each(|n| nameless.label(&format!("example.com/label-{n:02}"), ""));
    let pods = [
        nameless,
        Pod::new(Start::new(), &name, "namespace", &labels),
        pod(&STABLE, "2hx9k"),
        pod(&BROKEN_CANARY, "m8zrp"),
        FIXED_CANARY.pod(Start::new().args("--delay 900 --delay-rate 40"), "tq5hd"),
        pod(&STABLE, "7qvbn"),
    ];
    let service = Service::new("", &pods);
    let Some(browser) = watch(&service) else { return };
    browser.wait("responses.textContent >= 60 && find('#grid .late')[0]");
    browser.wait("$('pods').rows.length === 6");
    service.set_pods(&pods[..5]);
    browser.wait("find('.quiet')[0]");
    browser.js("pause.click()"); // With the quiet row, which would go.

    let has_axe = add_axe(&browser);
    for (scheme, background) in [("light", "rgb(245, 247, 246)"), ("dark", "rgb(14, 20, 23)")] {
        browser.prefer("prefers-color-scheme", scheme);
        assert_eq!(
            browser.js("getComputedStyle(document.documentElement).backgroundColor"),
            background
        );
        for width in [320, 768, 1280, 3840] {
            browser.size(width, 800);
            let fits = "[document.documentElement.scrollWidth <= innerWidth,
                parseFloat(getComputedStyle(document.body).fontSize) >= 15]";
            assert_eq!(browser.js(fits), json!([true, true]), "{width} pixels");
            if has_axe {
                let run = "axe.run().then(({ passes, violations }) => [passes.length, violations])";
                let found = browser.js(run);
                assert!(found[0].as_u64() > Some(20), "{found}");
                assert_eq!(found[1], json!([]), "{scheme}, {width} pixels");
            }
        }
    }

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
    let page = style("html", "backgroundColor");
    for what in ["#pause", "#pods tr"] {
        let border = style(what, "borderLeft");
        assert!(border.contains("solid") && !border.contains(&page), "{what}: {border}");
    }
    assert_clean(&browser);
}

/// Runs axe-core's script (<https://github.com/dequelabs/axe-core>), which npm fetches.
fn add_axe(browser: &Browser) -> bool {
    const AXE: &str = "axe-core@4.14.1";
    needs!("npm");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(AXE);
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        let npm = command("npm install --silent --prefix").arg(&folder).arg(AXE).output();
        if !script.is_file() {
            skip(&format!("needs {AXE}, but npm says {npm:?}"));
            return false;
        }
    }
    browser.devtools("Runtime.evaluate", json!({"expression": text(script)}));
    true
}

#[test]
#[ignore = "takes two minutes; writes the pictures in tests/screenshots, or where APPINFO_SCREENSHOTS says"]
fn pictures_of_the_broken_canary() {
    let folder = std::env::var_os("APPINFO_SCREENSHOTS")
        .map_or(repository().join("tests/screenshots"), Into::into);
    let mut pods = tutorial_pods();
    let service = Service::new(PROXY, &pods[..3]);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.js("rate.focus()");
    (0..4).for_each(|_| browser.press(RIGHT)); // 8 a second: shares that are less a matter of luck
    browser.js("rate.blur()");
    browser.wait("find('#bars .stable').length >= 15");
    service.set_pods(&pods);
    // More than the minute that the figures are about, but less than one at a time.
    browser.wait("find('#bars .canary').length >= 12");
    browser.wait("find('#bars .canary').length >= 22");
    pods[1].label("newlabel", "realtime");
    browser.wait("find('.new')[0]");
    browser.size(1280, 890);
    for (name, scheme) in [("canary", "light"), ("canary-dark", "dark")] {
        browser.prefer("prefers-color-scheme", scheme);
        let shot = browser.devtools("Page.captureScreenshot", json!({}));
        let picture = BASE64.decode(shot["data"].as_str().expect("a screenshot has data"));
        let picture = picture.expect("a screenshot is base64");
        fs::write(folder.join(format!("{name}.png")), picture).expect("it can be written");
    }
}
