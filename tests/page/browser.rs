//! Headless Chromium, driven over WebDriver (W3C) by Debian's `chromedriver`, with the few
//! commands that these tests need.

use std::io;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::server::Server;
use crate::common::{Answer, Folder, exchange, have, until};

/// Keys as WebDriver names them.
pub const TAB: char = '\u{E004}';
pub const SPACE: char = '\u{E00D}';
pub const END: char = '\u{E010}';
pub const LEFT: char = '\u{E012}';
pub const RIGHT: char = '\u{E014}';

/// A browser with one window and, as chromedriver sees to, a profile of its own; ends when dropped.
pub struct Browser {
    driver: Server,
    session: String,
    /// What both leave behind, the profile among it; removed last.
    _folder: Folder,
}

impl Browser {
    /// Nothing, where this machine has no Chromium.
    pub fn new() -> Option<Browser> {
        if !have(&["chromium", "chromedriver"]) {
            return None;
        }
        let folder = Folder::new();
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").env("TMPDIR", folder.path());
        let driver = Server::start(&mut driver, r"started successfully on port (\d+)");
        let mut browser = Browser { driver, session: String::new(), _folder: folder };
        // CI is root, for whom Chromium has no sandbox.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-component-update"];
        let session = browser.post(
            "",
            json!({"capabilities": {"alwaysMatch": {
                "acceptInsecureCerts": true,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "goog:chromeOptions": {"args": arguments},
            }}}),
        );
        let id = session["sessionId"].as_str().expect("a session has an ID");
        browser.session = format!("/{id}");
        browser.size(1280, 800);
        Some(browser)
    }

    /// The same, at a page.
    pub fn at(url: &str) -> Option<Browser> {
        let browser = Browser::new()?;
        browser.open(url);
        Some(browser)
    }

    /// Goes to a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.post("/url", json!({"url": url}));
    }

    /// What this piece of JavaScript returns.
    pub fn js(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []}))
    }

    /// What this expression yields, as text.
    pub fn text(&self, expression: &str) -> String {
        let value = self.js(&format!("return String({expression})"));
        value.as_str().expect("String() makes text").to_owned()
    }

    /// What this expression yields, as a number.
    pub fn number(&self, expression: &str) -> f64 {
        let value = self.js(&format!("return {expression}"));
        value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Waits until this expression is true.
    pub fn wait(&self, expression: &str) {
        until(expression, || {
            let met = self.js(&format!("return Boolean({expression})")) == true;
            if !met {
                std::thread::sleep(Duration::from_millis(90)); // Leave the page some time, too.
            }
            met
        });
    }

    /// Presses and releases a key, where the focus is.
    pub fn press(&self, key: char) {
        self.post(
            "/actions",
            json!({"actions": [{"type": "key", "id": "keyboard", "actions": [
                {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key},
            ]}]}),
        );
    }

    /// Moves the pointer to a place in the window.
    pub fn point(&self, x: u32, y: u32) {
        self.post(
            "/actions",
            json!({"actions": [{"type": "pointer", "id": "mouse", "actions": [
                {"type": "pointerMove", "x": x, "y": y, "duration": 0},
            ]}]}),
        );
    }

    /// Clicks on the first element that this CSS selector finds.
    pub fn click(&self, selector: &str) {
        let element = self.post("/element", json!({"using": "css selector", "value": selector}));
        let id = element.as_object().and_then(|element| element.values().next()?.as_str());
        self.post(&format!("/element/{}/click", id.expect("an element has an ID")), json!({}));
    }

    /// Gives the page so many CSS pixels; narrow ones as a telephone does, without scroll bars.
    pub fn size(&self, width: u32, height: u32) {
        let mobile = width < 500;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
    }

    /// Lets media features have these values, such as `prefers-color-scheme`, and no others any.
    pub fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<_> =
            features.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        self.devtools("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters}))
    }

    /// What the console has got since it was last asked: exceptions, policy reports and failed
    /// requests among it.
    pub fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"}));
        let entries = log.as_array().expect("a log is a list").iter();
        entries.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The address of every request that the page has made since this was last asked.
    pub fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "performance"}));
        let entries = log.as_array().expect("a log is a list").iter();
        entries
            .filter_map(|entry| {
                let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
                let (method, request) = (&event["message"]["method"], &event["message"]["params"]);
                // The new tab, before the page, is the browser's own.
                let own = request["documentURL"].as_str()?.starts_with("chrome");
                let address = request["request"]["url"].as_str()?.to_owned();
                (method == "Network.requestWillBeSent" && !own).then_some(address)
            })
            .collect()
    }

    /// What a screen reader is given: a line `role: name` for each thing that is not ignored.
    pub fn accessible(&self) -> Vec<String> {
        let tree = self.devtools("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("a tree has nodes").iter();
        nodes
            .filter(|node| node["ignored"] != true)
            .map(|node| {
                let value = |key: &str| node[key]["value"].as_str().unwrap_or_default().to_owned();
                format!("{}: {}", value("role"), value("name"))
            })
            .collect()
    }

    /// A WebDriver command, for which there need not be a function here.
    pub fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.ask("POST", path, &body.to_string()).expect("chromedriver answers");
        let value = answer.json()["value"].take();
        assert_eq!(answer.status, 200, "{path} {body}: {value}");
        value
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let (session, host, length) = (&self.session, self.driver.address, body.len());
        let request = format!(
            "{method} /session{session}{path} HTTP/1.1\r\nHost: {host}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        exchange(host, request.as_bytes())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // This ends the browser; the end of the driver alone would leave it running.
        let _ = self.ask("DELETE", "", "");
    }
}
