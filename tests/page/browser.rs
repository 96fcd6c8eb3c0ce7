//! Headless Chromium, driven over WebDriver (W3C) by Debian's `chromedriver`, with the few
//! commands that these tests need.

use crate::common::*;

/// Keys as WebDriver names them.
pub const TAB: char = '\u{E004}';
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
        needs!("chromium", "chromedriver");
        let folder = Folder::new();
        let mut driver = Command::new("chromedriver");
        driver.arg("--port=0").env("TMPDIR", folder.path());
        let driver = Server::start(&mut driver, r"started successfully on port (\d+)");
        let mut browser = Browser { driver, session: String::new(), _folder: folder };
        // CI is root, for whom Chromium has no sandbox.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-component-update"];
        let capabilities = json!({
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        });
        let session = browser.post("", json!({"capabilities": {"alwaysMatch": capabilities}}));
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

    /// What this JavaScript expression yields.
    pub fn js(&self, expression: &str) -> Value {
        self.post("/execute/sync", json!({"script": format!("return {expression}"), "args": []}))
    }

    /// The text that this expression yields.
    pub fn text(&self, expression: &str) -> String {
        self.js(expression).as_str().expect("it yields text").to_owned()
    }

    /// Waits until this expression is true.
    pub fn wait(&self, expression: &str) {
        until(expression, || {
            let is_met = self.js(&format!("Boolean({expression})")) == true;
            if !is_met {
                thread::sleep(Duration::from_millis(90)); // Leave the page some time, too.
            }
            is_met
        });
    }

    /// Presses and releases a key, where the focus is.
    pub fn press(&self, key: char) {
        let down_and_up = ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key}));
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": down_and_up});
        self.post("/actions", json!({"actions": [keyboard]}));
    }

    /// Moves the pointer to a place in the window.
    pub fn point(&self, x: &Value, y: &Value) {
        let movement = json!({"type": "mouseMoved", "x": x, "y": y});
        self.devtools("Input.dispatchMouseEvent", movement);
    }

    /// Gives the page so many CSS pixels; narrow ones as a telephone does, without scroll bars.
    pub fn size(&self, width: u32, height: u32) {
        let mobile = width < 500;
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
        self.wait(&format!("innerWidth === {width}"));
    }

    /// Lets a media feature such as `prefers-color-scheme` have this value, and no other any.
    pub fn prefer(&self, feature: &str, value: &str) {
        let features = json!({"features": [{"name": feature, "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features);
        self.wait(&format!("matchMedia('({feature}: {value})').matches"));
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters}))
    }

    /// What a screen reader is given: a line `role: name` for each thing that is not ignored.
    pub fn accessible(&self) -> Vec<String> {
        let tree = self.devtools("Accessibility.getFullAXTree", json!({}));
        let nodes = tree["nodes"].as_array().expect("a tree has nodes").iter();
        let nodes = nodes.filter(|node| node["ignored"] != true);
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes.map(|node| text(&node["role"]) + ": " + &text(&node["name"])).collect()
    }

    /// A WebDriver command, for which there need not be a function here.
    pub fn post(&self, path: &str, body: Value) -> Value {
        let response = self.send("POST", path, &body.to_string()).expect("chromedriver responds");
        let value = response.json()["value"].take();
        assert_eq!(response.status, 200, "{path} {body}: {value}");
        value
    }

    fn send(&self, method: &str, path: &str, body: &str) -> io::Result<Response> {
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
        let _ = self.send("DELETE", "", "");
    }
}
