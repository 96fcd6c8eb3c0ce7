//! Clients that count every request while a release comes or goes: none may be lost.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use socket2::{Domain, SockRef, Socket, Type};

use crate::common::{self, DEADLINE, Response};

/// So many answers at least make a rollout's count.
const ENOUGH: usize = 2000;

/// What a client leaves between two requests, so that this machine keeps some of its ports: each is
/// out of use for a minute, and there are 28,000.
const PAUSE: Duration = Duration::from_millis(6);

/// What to look at where requests are lost.
const HINTS: &str = "\
    Was a pod there to response? See the pods, their events and their logs, which follow.\n\
    A connection that is refused from one port again and again is conntrack's doing: on the node, \
    `conntrack -L -p tcp --sport PORT` shows an entry in state CLOSE whose reply has no pod's \
    address, left by an older connection that the node itself refused. The program never saw it.";

/// Four clients: two keep a connection until they are told to close it, two make one for each
/// request.
pub struct Load {
    clients: Vec<JoinHandle<()>>,
    count: Arc<Count>,
}

/// Where the service is, and what the clients have counted so far.
struct Count {
    address: SocketAddr,
    host: String,
    path: String,
    over: AtomicBool,
    answered: AtomicUsize,
    lost: Mutex<Vec<String>>,
    /// The line of the step that the tutorial has come to, and since when.
    step: Mutex<(usize, Instant)>,
}

impl Load {
    pub fn on(url: &str) -> Load {
        let rest = url.strip_prefix("http://").expect("a URL");
        let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut addresses = host.to_socket_addrs().expect("the URL has an address");
        let count = Arc::new(Count {
            address: addresses.next().expect("the address is known"),
            host: host.to_owned(),
            path: format!("{prefix}/v1/appinfo"),
            over: AtomicBool::default(),
            answered: AtomicUsize::default(),
            lost: Mutex::default(),
            step: Mutex::new((0, Instant::now())),
        });
        let clients = ["keep-alive", "keep-alive", "close", "close"].map(|connection| {
            let count = count.clone();
            thread::spawn(move || count.requests(connection))
        });
        Load { clients: clients.into(), count }
    }

    /// The tutorial has come to the step of this line.
    pub fn step(&self, line: usize) {
        *self.count.step.lock().unwrap() = (line, Instant::now());
    }

    /// Ends it as soon as enough is counted. How many were answered; an error tells of each that
    /// was not.
    pub fn off(self) -> Result<usize, String> {
        let answered = || self.count.answered.load(Ordering::Relaxed);
        common::eventually(&format!("{ENOUGH} answers are counted, or one is lost"), || {
            (answered() >= ENOUGH || !self.count.lost.lock().unwrap().is_empty()).then_some(())
        });
        self.count.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        let (lost, answered) = (self.count.lost.lock().unwrap(), answered());
        if lost.is_empty() {
            return Ok(answered);
        }
        let (count, first) = (lost.len(), lost[..lost.len().min(20)].join("\n"));
        Err(format!("{count} requests were lost beside {answered} answered:\n{first}\n{HINTS}"))
    }
}

impl Count {
    /// Sends one request after the other.
    fn requests(&self, connection: &str) {
        let mut kept = None;
        while !self.over.load(Ordering::Relaxed) {
            match self.ask(kept.take(), connection) {
                Ok(stream) => {
                    kept = stream;
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(why) => {
                    let (line, since) = *self.step.lock().unwrap();
                    let (now, later) =
                        (httpdate::fmt_http_date(SystemTime::now()), since.elapsed());
                    let lost = format!("{now}, {later:.3?} into the step of line {line}: {why}");
                    self.lost.lock().unwrap().push(lost);
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Sends a request, on the connection that was kept or a new one, and reads its response; the
    /// connection comes back if it may be kept. An error says in which stage the request was lost,
    /// and from which port of this machine.
    fn ask(&self, kept: Option<TcpStream>, how: &str) -> Result<Option<TcpStream>, String> {
        let Count { host, path, .. } = self;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {how}\r\n\r\n");
        let is_new = kept.is_none();
        let new = || Socket::new(Domain::for_address(self.address), Type::STREAM, None);
        let mut stream = kept.unwrap_or_else(|| new().expect("a descriptor is left").into());
        let mut stage = "connect";
        let mut attempt = || -> io::Result<Response> {
            if is_new {
                SockRef::from(&stream).connect_timeout(&self.address.into(), DEADLINE)?;
                stream.set_read_timeout(Some(DEADLINE))?;
                stream.set_write_timeout(Some(DEADLINE))?;
            }
            stage = "send";
            stream.write_all(request.as_bytes())?;
            stage = "receive";
            common::read_response(&mut stream, false)
        };
        let why = match attempt() {
            // The broken canary's error is a response: the tutorial expects it.
            Ok(response)
                if response.status == 200 || response.text().contains("something went wrong") =>
            {
                return Ok((response.header("connection") != Some("close")).then_some(stream));
            }
            Ok(response) => format!("{} {}", response.status, response.text()),
            Err(error) => error.to_string(),
        };
        let port = stream.local_addr().map_or(0, |address| address.port());
        Err(format!("{stage}, from local port {port}: {why}"))
    }
}

/// Asks a URL that may not be ready for its first client, in a way that leaves nothing behind.
///
/// A node refuses connections to a Service's port until kube-proxy has programmed it, and keeps
/// each in mind for minutes (conntrack: state CLOSE, no translation). A later client that happens
/// to get the same port at its own end is refused as well. So this one's come from ports that no
/// client is given: Linux gives those from 32768 on, macOS from 49152; NodePorts are from 30000 on.
pub fn ask_first(url: &str) -> Result<(), String> {
    let port = fastrand::u16(20_000..30_000).to_string();
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "--max-time", "5", "--local-port", &port]).arg(format!("{url}/v1/appinfo"));
    let asked = curl.output().expect("curl runs");
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    asked.status.success().then_some(()).ok_or(said)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::Load;
    use regex_lite::Regex;

    #[test]
    fn a_lost_request_tells_when_in_which_stage_and_from_which_port() {
        // It takes connections and answers none, then it is gone.
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let load = Load::on(&format!("http://{}", listener.local_addr().expect("it is bound")));
        load.step(1234);
        drop(listener);
        let said = load.off().expect_err("requests are lost");
        let lost = r" GMT, [0-9.]+.?s into the step of line 1234: (connect|send|receive), from local port \d+: Connection re";
        assert!(Regex::new(lost).unwrap().is_match(&said), "{said}");
    }
}
