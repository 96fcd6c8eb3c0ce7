//! The live page in real Chromium, before real processes and a small load balancer between them.
//!
//! `cargo test --test page -- --ignored` renews the pictures in `tests/screenshots` (with the
//! fonts of the machine: Debian's `fonts-inter` gives those that are there), and
//! `pngquant --force --ext .png tests/screenshots/*.png` makes them small.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod anywhere;
mod browser;
mod demo;
mod nginx;
mod oldest;
mod pace;
mod responses;
mod screens;
mod verdict;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use browser::*;
use nginx::Nginx;
use sha2::{Digest, Sha256};

use crate::common::*;

const PROXY: &str = "/api/v1/namespaces/default/services/appinfo:http/proxy";

/// Pods respond, and none of them fails.
const WORKS: &str = "window.state?.textContent === 'Live' && responses.textContent >= 3
    && errors.textContent === '0%' && $('pods').rows.length > 0";

fn pod(release: &Release, suffix: &str) -> Pod {
    release.pod(Start::new(), suffix)
}

/// The three stable pods of the tutorial, and its broken canary.
fn tutorial_pods() -> [Pod; 4] {
    [(&STABLE, "2hx9k"), (&STABLE, "7qvbn"), (&STABLE, "xw4lt"), (&BROKEN_CANARY, "m8zrp")]
        .map(|(release, suffix)| pod(release, suffix))
}

/// A browser at the page of this service, which sends requests as fast as it can.
fn watch(service: &Service) -> Option<Browser> {
    let browser = Browser::at(&service.url())?;
    browser.js("rate.focus()");
    browser.press(END);
    Some(browser)
}

/// Lets the page's clock go on by so many seconds.
fn skip_time(browser: &Browser, seconds: u32) {
    browser.js(&format!(
        "performance.now = (now => () => now() + {seconds}e3)(performance.now.bind(performance))"
    ));
}

/// Nothing is in the console, as exceptions and policy reports are, but the deliberate errors.
fn assert_clean(browser: &Browser) {
    let log = browser.post("/se/log", json!({"type": "browser"}));
    for entry in log.as_array().expect("a log is a list") {
        let message = entry["message"].as_str().expect("an entry has a message");
        assert!(message.contains("v1/appinfo") && message.contains("500"), "{message}");
    }
}

#[test]
fn the_page_is_one_document_and_its_policy_names_its_parts() {
    let response = Start::new().spawn().get("/");
    let page = response.text();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    // Without an icon of its own, browsers ask for one elsewhere on the server.
    assert!(page.contains("<link rel=icon href=\"data:image/svg+xml,"));
    // A pod sends it in one write. The least that Linux takes of a write to a client that reads nothing is
    // 28 kB (the default tcp_wmem, segments of 536 bytes), but each byte is one of the image's, too.
    assert!(page.len() <= 16_000, "the page has {} bytes", page.len());

    let hash = |tag: &str| {
        let (_, rest) = page.split_once(&format!("<{tag}>")).expect("there is one");
        let (content, rest) = rest.split_once(&format!("</{tag}>")).expect("it ends");
        assert!(!rest.contains(&format!("<{tag}")), "there is one {tag} only");
        BASE64.encode(Sha256::digest(content))
    };
    let (script, style) = (hash("script"), hash("style"));
    let expected = format!("script-src 'sha256-{script}'; style-src 'sha256-{style}'; ");
    let policy = response.header("content-security-policy").expect("a policy");
    assert!(policy.contains(&expected), "POLICY in src/web/page.rs needs {expected}");
}
