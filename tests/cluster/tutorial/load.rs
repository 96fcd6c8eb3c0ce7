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
    clients: Vec<JoinHandle<usize>>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    /// Starts it on the service at this URL.
    pub fn start(url: &str) -> Load {
        let rest = url.strip_prefix("http://").expect("a URL");
        let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let address = host.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        let address = address.expect("the URL has an address");
        let request = format!("GET {prefix}/v1/appinfo HTTP/1.1\r\nHost: {host}\r\nConnection: ");
        let is_over = Arc::<AtomicBool>::default();
        let clients = ["keep-alive", "keep-alive", "close", "close"].map(|connection| {
            let (request, is_over) = (format!("{request}{connection}\r\n\r\n"), is_over.clone());
            thread::spawn(move || count_lost(address, &request, &is_over))
        });
        Load { clients: clients.into(), is_over }
    }

    /// Stops it. Panics if a request was lost.
    pub fn stop(self) {
        self.is_over.store(true, Relaxed);
        let count = |client: JoinHandle<_>| client.join().expect("a client does not panic");
        let lost: usize = self.clients.into_iter().map(count).sum();
        assert_eq!(lost, 0, "requests were lost: see above, after the step in which they were");
    }
}

/// Sends one request after the other, and returns how many were lost. Prints the first.
fn count_lost(address: SocketAddr, request: &str, is_over: &AtomicBool) -> usize {
    let (mut sent, mut lost) = (0, 0);
    while sent < ENOUGH || !is_over.load(Relaxed) {
        let why = match exchange(address, request.as_bytes()) {
            // The broken canary's error is a response, which the tutorial expects.
            Ok(it) if it.status == 200 || it.text().contains("something went wrong") => None,
            Ok(response) => Some(format!("{} {}", response.status, response.text())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = why {
            if lost < 5 {
                eprintln!("LOST at {}: {why}", httpdate::fmt_http_date(SystemTime::now()));
            }
            lost += 1;
        }
        sent += 1;
        thread::sleep(PAUSE);
    }
    lost
}

/// Sends the first request to a URL that may not be ready, in a way that leaves nothing behind.
///
/// A node refuses connections to a Service's port until kube-proxy has programmed it, and keeps
/// each in mind for minutes (conntrack: state CLOSE, no translation). A later client that happens
/// to get the same port at its own end is refused as well. So this one's come from ports that no
/// client is given: Linux gives those from 32768 on, macOS from 49152; NodePorts are from 30000 on.
pub fn request_first(url: &str) -> Result<(), String> {
    let port = fastrand::u16(20_000..30_000).to_string();
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--max-time", "5", "--local-port", &port]).arg(format!("{url}/v1/appinfo"));
    let output = curl.output().expect("curl runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or(error)
}

#[test]
#[should_panic(expected = "requests were lost")]
fn a_lost_request_fails_the_tutorial() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    Load::start(&url).stop();
}
