//! Clients that send requests while a release comes or goes: none may be lost.

use std::net::ToSocketAddrs;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::SystemTime;

use crate::common::*;

/// How many requests each client sends, at least.
const ENOUGH: usize = 250;

/// What a client leaves between two requests, so that this machine keeps some of its ports: each is
/// out of use for a minute, and there are 28,000.
const PAUSE: Duration = Duration::from_millis(12);

/// Four clients. Two of them ask the server to close their connections, two would keep them.
pub struct Load {
    clients: Vec<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    /// Starts it on the service at this URL. A client panics, and says when, at its first lost request.
    pub fn start(url: &str) -> Load {
        let host = url.strip_prefix("http://").expect("a URL");
        let address = host.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address.expect("the URL has an address and a port");
        let is_over = Arc::<AtomicBool>::default();
        let clients = ["keep-alive", "keep-alive", "close", "close"].map(|connection| {
            let head = format!("GET /v1/appinfo HTTP/1.1\r\nHost: {host}\r\n");
            let request = format!("{head}Connection: {connection}\r\n\r\n");
            let is_over = is_over.clone();
            thread::spawn(move || {
                let mut sent = 0;
                while sent < ENOUGH || !is_over.load(Relaxed) {
                    let response = exchange(address, request.as_bytes());
                    // The broken canary's error is a response, which the tutorial expects.
                    let is_lost = !response.as_ref().is_ok_and(|response| {
                        response.status == 200 || response.text().contains("something went wrong")
                    });
                    let now = httpdate::fmt_http_date(SystemTime::now());
                    assert!(!is_lost, "lost at {now}: {response:?}");
                    sent += 1;
                    thread::sleep(PAUSE);
                }
            })
        });
        Load { clients: clients.into(), is_over }
    }

    /// Stops it. Panics if a request was lost.
    pub fn stop(self) {
        self.is_over.store(true, Relaxed);
        for client in self.clients {
            let has_lost = client.join().is_err();
            assert!(!has_lost, "a request was lost: see above, after the step in which it was");
        }
    }
}

/// Sends the first request to a URL that may not be ready, in a way that leaves nothing behind.
///
/// A node refuses connections to a Service's port until kube-proxy has programmed it, and keeps
/// each in mind for minutes (conntrack: state CLOSE, no translation). A later client that happens
/// to get the same port at its own end is refused as well. So this one's come from ports that no
/// client is given: Linux gives those from 32768 on, macOS from 49152; NodePorts are from 30000 on.
pub fn request_first(url: &str) -> Result<(), String> {
    let port = fastrand::u16(20_000..30_000);
    let curl = format!("curl -sSf --max-time 5 --local-port {port} {url}/v1/appinfo");
    let output = command(&curl).output().expect("curl runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(error)
}
