//! A small load balancer that picks a random pod for each new connection, as kube-proxy does, and may
//! serve below a path prefix, as `kubectl proxy` does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use super::pod::Pod;
use super::read_response;

/// What happens to a request.
#[derive(Clone, Copy)]
pub enum Mode {
    /// A pod responds to it.
    Serve,
    /// It is held for as long as the client waits.
    Hold,
    /// The connection ends without a response.
    HangUp,
}

pub struct Service {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    prefix: &'static str,
    pods: Mutex<Vec<SocketAddr>>,
    mode: Mutex<Mode>,
    asked: AtomicUsize,
    lost: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    random: Mutex<fastrand::Rng>,
}

impl Service {
    /// Balances between these pods, on a port of its own. All paths start with `prefix`, which is
    /// removed.
    pub fn new<'a>(prefix: &'static str, pods: impl IntoIterator<Item = &'a Pod>) -> Service {
        Service::at(
            TcpListener::bind("127.0.0.1:0").expect("loopback has a free port"),
            prefix,
            pods,
        )
    }

    /// The same, listening there for as long as the process lives.
    pub fn at<'a>(
        listener: TcpListener,
        prefix: &'static str,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Service {
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            prefix,
            pods: Mutex::new(addresses(pods)),
            mode: Mutex::new(Mode::Serve),
            asked: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            // The same sequence in every run.
            random: Mutex::new(fastrand::Rng::with_seed(4)),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let shared = accepting.clone();
                std::thread::spawn(move || shared.connection(client));
            }
        });
        Service { address, shared }
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://{}{}/", self.address, self.shared.prefix)
    }

    /// Balances between these pods from now on. The others still respond to what they have received.
    pub fn set_pods<'a>(&self, pods: impl IntoIterator<Item = &'a Pod>) {
        *self.shared.pods.lock().unwrap() = addresses(pods);
    }

    pub fn set_mode(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// How many requests for AppInfo have come so far.
    pub fn count(&self) -> usize {
        self.shared.asked.load(SeqCst)
    }

    /// How many requests got no response.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(SeqCst)
    }

    /// How many requests wait for their response now.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// The most requests that ever waited at once.
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(SeqCst)
    }
}

impl Shared {
    /// Connects to a random pod.
    fn pick(&self) -> Option<TcpStream> {
        let pod = self.random.lock().unwrap().choice(&*self.pods.lock().unwrap()).copied()?;
        TcpStream::connect(pod).ok()
    }

    /// Serves a connection: all of its requests go to the same pod, which is picked with the first of
    /// them, since browsers open connections in advance.
    fn connection(&self, mut client: TcpStream) {
        let mut pod = None;
        while let Some(head) = read_head(&mut client) {
            if head.contains("/v1/appinfo ") {
                self.asked.fetch_add(1, SeqCst);
            }
            self.most_open.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
            let mode = *self.mode.lock().unwrap();
            let response = match mode {
                Mode::Serve => self.pass_on(&head, &mut pod),
                Mode::HangUp => None,
                Mode::Hold => {
                    while client.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
                    None
                }
            };
            let answered = response.as_ref().map(|response| client.write_all(response));
            self.open.fetch_sub(1, SeqCst);
            if response.is_none() {
                self.lost.fetch_add(1, SeqCst);
            }
            if !matches!(answered, Some(Ok(()))) {
                break;
            }
        }
    }

    /// The response to a request; `None` if the path lacks the prefix or the pod is gone.
    fn pass_on(&self, head: &str, pod: &mut Option<TcpStream>) -> Option<Vec<u8>> {
        let (method, rest) = head.split_once(' ')?;
        let request = format!("{method} {}", rest.strip_prefix(self.prefix)?);
        if pod.is_none() {
            *pod = self.pick();
        }
        let pod = pod.as_mut()?;
        pod.write_all(request.as_bytes()).ok()?;
        Some(read_response(pod, method == "HEAD").ok()?.raw)
    }
}

fn addresses<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Vec<SocketAddr> {
    pods.into_iter().map(|pod| pod.appinfo.address).collect()
}

/// A request's head, if one comes.
fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
