//! The page wherever it is served, and whose fault it is if it cannot work.

use super::*;

/// What the page blames the server for: bad squares, errors and where from, requests without a response.
const BLAME: &str = "[find('#grid .failed, #grid .lost').length,
    errors.textContent, sources.textContent, $('lost').textContent].join()";

#[test]
fn the_page_works_below_any_path_behind_a_login_and_in_a_frame() {
    let pods = tutorial_pods();
    let service = Service::new("", &pods[..3]);
    let Some(nginx) = Nginx::before(service.address) else { return };
    let Some(browser) = Browser::new() else { return };
    let address = nginx.address;
    for url in [
        format!("http://{address}/appinfo"),
        format!("http://{address}/appinfo/"),
        format!("http://{address}/appinfo?some=query#part"),
        // Credentials that stand in the address, which it keeps, or that the browser knows by then.
        format!("http://user:pass@{address}/private"),
        format!("http://{address}/private/"),
        Service::new(PROXY, &pods[..3]).url(),
    ] {
        browser.open(&url);
        browser.wait(&format!("{WORKS} /* at {url} */"));
    }
    // A redirect to another server is forbidden.
    let login = format!("http://{address}/login");
    browser.open(&login);
    browser.wait("state.textContent.startsWith('The page could not send the request: ')");
    let reason = browser.text("state.textContent");
    assert!(reason.ends_with(&format!("connect-src forbids {login}/v1/appinfo")), "{reason}");
    assert_eq!(browser.js(BLAME), "0,–,none,in the last minute");
    // In a frame, on another origin.
    browser.open(&format!("http://localhost:{}/frame", address.port()));
    browser.post("/frame", json!({"id": 0}));
    browser.wait(WORKS);
    assert_eq!(browser.js("window.parent === window"), false);
}

#[test]
fn a_fault_of_the_page_is_not_blamed_on_the_server() {
    let pod = pod(&STABLE, "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = Browser::new() else { return };
    // An exception while it draws, and one when a response has come.
    for (fault, message) in
        [("$('verdict').remove()", "of null"), ("results.push = null", "push is not a function")]
    {
        browser.open(&service.url());
        browser.wait(WORKS);
        browser.js(fault);
        browser.wait(&format!(
            "/^This page fails in this browser: .*{message}/.test(state.textContent)"
        ));
        assert_eq!(browser.js(BLAME), "0,0%,none,in the last minute");
    }
    // Offline, and online again.
    browser.open(&service.url());
    browser.wait(WORKS);
    browser.devtools("Network.enable", json!({}));
    let offline =
        json!({"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    browser.devtools("Network.emulateNetworkConditions", offline);
    browser.wait("/^The page could not send .*: the browser is offline$/.test(state.textContent)");
    assert_eq!(browser.js(BLAME), "0,0%,none,in the last minute");
    browser.devtools("Network.disable", json!({}));
    browser.wait(WORKS);
    // A feature that is missing; at last JavaScript itself.
    for feature in ["AbortController", "fetch"] {
        let script = json!({"source": format!("delete window.{feature}")});
        let added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", script);
        browser.open(&service.url());
        browser.wait(&format!("state.textContent.includes('{feature} is not defined')"));
        assert_eq!(browser.js(BLAME), "0,–,none,in the last minute");
        browser.devtools("Page.removeScriptToEvaluateOnNewDocument", added);
    }
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    browser.open(&service.url());
    let tree = browser.accessible().join("\n");
    assert!(tree.contains("curl -s $URL/v1/appinfo"), "{tree}");
    for control in ["table:", "slider:", "button:"] {
        assert!(!tree.contains(control), "what does not work is not shown: {tree}");
    }
}
