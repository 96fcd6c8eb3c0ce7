//! Clients that count every request while a release comes or goes: none may be lost.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use crate::common;

/// How many responses make a rollout's count, at least.
const ENOUGH: usize = 1000;

/// What a client leaves between two requests, so that this machine keeps some of its ports: each is
/// out of use for a minute, and there are 28,000.
const PAUSE: Duration = Duration::from_millis(12);

/// Four clients. Two of them ask the server to close their connections, two would keep them.
pub struct Load {
    clients: Vec<JoinHandle<()>>,
    count: Arc<Count>,
}

/// Where the service is, and what the clients have counted so far.
struct Count {
    address: SocketAddr,
    is_over: AtomicBool,
    served: AtomicUsize,
    lost: AtomicUsize,
}

impl Load {
    /// Starts it on the service at this URL.
    pub fn start(url: &str) -> Load {
        let rest = url.strip_prefix("http://").expect("a URL");
        let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut addresses = host.to_socket_addrs().expect("the URL has an address");
        let count = Arc::new(Count {
            address: addresses.next().expect("the address is known"),
            is_over: AtomicBool::default(),
            served: AtomicUsize::default(),
            lost: AtomicUsize::default(),
        });
        let request = format!("GET {prefix}/v1/appinfo HTTP/1.1\r\nHost: {host}\r\nConnection: ");
        let clients = ["keep-alive", "keep-alive", "close", "close"].map(|connection| {
            let (count, request) = (count.clone(), format!("{request}{connection}\r\n\r\n"));
            thread::spawn(move || count.send_all(&request))
        });
        Load { clients: clients.into(), count }
    }

    /// Stops it as soon as enough is counted. Panics if a request was lost.
    pub fn stop(self) {
        let Load { clients, count } = self;
        common::until("enough responses are counted, or one is lost", || {
            count.served.load(Relaxed) >= ENOUGH || count.lost.load(Relaxed) > 0
        });
        count.is_over.store(true, Relaxed);
        for client in clients {
            client.join().expect("a client does not panic");
        }
        let (served, lost) = (count.served.load(Relaxed), count.lost.load(Relaxed));
        assert_eq!(lost, 0, "requests were lost, and {served} were not: see LOST above");
        eprintln!("\n{served} requests counted, none lost");
    }
}

impl Count {
    /// Sends one request after the other. Prints the first that are lost, so that each stands after the
    /// step in which it was.
    fn send_all(&self, request: &str) {
        while !self.is_over.load(Relaxed) {
            if let Err(why) = self.send(request) {
                if self.lost.fetch_add(1, Relaxed) < 20 {
                    eprintln!("LOST, {}: {why}", httpdate::fmt_http_date(SystemTime::now()));
                }
            } else {
                self.served.fetch_add(1, Relaxed);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Sends a request on a new connection. An error says why it was lost.
    fn send(&self, request: &str) -> Result<(), String> {
        match common::exchange(self.address, request.as_bytes()) {
            // The broken canary's error is a response, which the tutorial expects.
            Ok(it) if it.status == 200 || it.text().contains("something went wrong") => Ok(()),
            Ok(response) => Err(format!("{} {}", response.status, response.text())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Sends a request to a URL that may not be ready for its first client, in a way that leaves nothing
/// behind.
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
