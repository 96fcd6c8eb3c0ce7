//! The page wherever it is served, and whose fault it is if it cannot work.

use serde_json::json;

use super::{PROXY, pod, three_stable, watch};
use crate::browser::Browser;
use crate::common::pod::STABLE;
use crate::common::service::{Mode, Service};
use crate::nginx::Nginx;

/// Pods respond, and none of them fails.
const WORKS: &str = "window.state?.textContent === 'Live' && responses.textContent >= 3
    && errors.textContent === '0%' && $('pods').rows.length > 0";

#[test]
fn the_page_works_behind_any_path_login_scheme_and_frame() {
    let pods = three_stable();
    let service = Service::new("", &pods);
    let Some(nginx) = Nginx::before(service.address) else { return };
    let Some(browser) = Browser::new() else { return };
    let (http, https) = (nginx.http, nginx.https);
    let proxied = Service::new(PROXY, &pods);
    for url in [
        format!("http://{http}/appinfo"),
        format!("http://{http}/appinfo/"),
        format!("http://{http}/appinfo?some=query#part"),
        format!("https://{https}/appinfo"),
        // Credentials that stand in the address, which it keeps, or that the browser knows by then.
        format!("http://user:pass@{http}/private"),
        format!("http://user:pass@{http}/private/"),
        format!("http://{http}/private"),
        format!("https://user:pass@{https}/private"),
        proxied.url(),
    ] {
        browser.open(&url);
        browser.wait(&format!("{WORKS} /* at {url} */"));
    }
    // In a frame, on another origin.
    browser.open(&format!("http://localhost:{}/frame", http.port()));
    browser.post("/frame", json!({"id": 0}));
    browser.wait(WORKS);
    assert_eq!(browser.text("window.parent === window"), "false");
}

/// What a request's fate leaves: the squares of each kind, and what is counted.
fn counted(browser: &Browser) -> String {
    browser.text(
        "[grid.children.length, grid.querySelectorAll('.failed, .lost').length,
        responses.textContent, errors.textContent, $('lost').textContent].join()",
    )
}

#[test]
fn a_blocked_request_is_told_and_is_neither_response_nor_error() {
    let pods = three_stable();
    let service = Service::new("", &pods);
    let Some(nginx) = Nginx::before(service.address) else { return };
    let Some(browser) = Browser::new() else { return };
    let told = "state.textContent.startsWith('The page could not send the request: ')";
    for url in [
        format!("http://{}/mute", nginx.http),
        format!("http://{}/login", nginx.http),
        // Mixed content: requests over https are sent to http.
        format!("https://{}/login", nginx.https),
    ] {
        browser.open(&url);
        browser.wait(told);
        let state = browser.text("state.textContent");
        let reason = format!("connect-src forbids {url}/v1/appinfo");
        assert!(state.ends_with(&reason), "{state}, not {reason}");
        assert_eq!(counted(&browser), "0,0,0,–,in the last minute");
    }
    // Offline, and online again.
    browser.open(&service.url());
    browser.wait(WORKS);
    let offline = |offline| {
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        browser.devtools("Network.enable", json!({}));
        browser.devtools("Network.emulateNetworkConditions", conditions);
    };
    offline(true);
    browser.wait(told);
    browser.wait("state.textContent.endsWith('the browser is offline')");
    assert!(counted(&browser).contains(",0%,in the last minute"), "{}", counted(&browser));
    assert_eq!(browser.number("grid.querySelectorAll('.failed, .lost').length"), 0.0);
    offline(false);
    browser.wait(WORKS);
}

#[test]
fn a_fault_of_the_page_is_not_blamed_on_the_server() {
    let pod = pod(&STABLE, "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = watch(&service) else { return };
    browser.wait(WORKS);
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
        assert_eq!(browser.number("grid.querySelectorAll('.failed, .lost').length"), 0.0);
        assert_eq!(browser.text("errors.textContent"), "0%");
    }
    // A feature that is missing.
    for feature in ["AbortController", "Request", "fetch"] {
        let script = json!({"source": format!("delete window.{feature}")});
        let added = browser.devtools("Page.addScriptToEvaluateOnNewDocument", script);
        browser.open(&service.url());
        browser.wait(&format!("state.textContent.includes('{feature} is not defined')"));
        assert_eq!(counted(&browser), "0,0,0,–,in the last minute");
        browser.devtools("Page.removeScriptToEvaluateOnNewDocument", added);
    }
}

#[test]
fn an_unreachable_server_is_told_apart_from_errors() {
    let mut pod = pod(&STABLE, "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = watch(&service) else { return };
    let unreachable =
        "state.textContent === 'Cannot reach the server' && grid.querySelector('.lost')
        && /requests got none/.test($('lost').textContent)";
    browser.wait(WORKS);
    service.set_mode(Mode::Hold);
    browser.wait(unreachable);
    let told = browser.text("grid.querySelector('.lost').ariaLabel");
    assert!(told.starts_with("no response within 5 s, 50"), "{told}");
    assert_eq!(browser.text("errors.textContent"), "0%");

    // A pod alone, without anything before it: its connections are refused once it is gone.
    browser.open(&format!("http://{}/", pod.appinfo.address));
    browser.wait(WORKS);
    pod.appinfo.child.kill().expect("it runs");
    browser.wait(unreachable);
    let told = browser.text("grid.querySelector('.lost').ariaLabel");
    assert!(told.starts_with("no response, "), "{told}");
    assert_eq!(browser.text("errors.textContent"), "0%");
    assert_eq!(browser.number("grid.querySelectorAll('.failed').length"), 0.0);
}
