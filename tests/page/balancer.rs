//! A Service in small: a balancer that picks a pod for each new connection, as kube-proxy does,
//! and that can stand under a path prefix, as behind `kubectl proxy`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::common::read_answer;

/// What happens to a request.
#[derive(Clone, Copy)]
pub enum Mode {
    /// A pod answers it.
    Serve,
    /// Nobody does, for as long as the client waits.
    Hold,
    /// The connection ends without an answer.
    HangUp,
}

pub struct Balancer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    prefix: &'static str,
    pods: Mutex<Vec<SocketAddr>>,
    mode: Mutex<Mode>,
    asked: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    random: Mutex<u64>,
}

impl Balancer {
    /// Balances between these pods; all paths begin with `prefix`, which no pod gets to see.
    pub fn new(prefix: &'static str, pods: &[SocketAddr]) -> Balancer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            prefix,
            pods: Mutex::new(pods.to_vec()),
            mode: Mutex::new(Mode::Serve),
            asked: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
            random: Mutex::new(0x9E37_79B9_7F4A_7C15),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = accepting.clone();
                // Chosen at the connection's start, whatever will be asked on it.
                let pod = shared.pick();
                std::thread::spawn(move || shared.connection(client, pod));
            }
        });
        Balancer { address, shared }
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://{}{}/", self.address, self.shared.prefix)
    }

    /// From now on balances between these pods.
    pub fn set_pods(&self, pods: &[SocketAddr]) {
        *self.shared.pods.lock().unwrap() = pods.to_vec();
    }

    pub fn set_mode(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// How many requests for AppInfo have come so far.
    pub fn count(&self) -> usize {
        self.shared.asked.load(SeqCst)
    }

    /// How many requests wait for their answer now.
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// The most requests that ever waited at once.
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(SeqCst)
    }
}

impl Shared {
    /// A pod by chance, the same row of chances in every run (xorshift, Marsaglia 2003).
    fn pick(&self) -> SocketAddr {
        let mut random = self.random.lock().unwrap();
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let pods = self.pods.lock().unwrap();
        pods[usize::try_from(*random >> 33).expect("31 bits fit") % pods.len()]
    }

    /// One connection: whatever is asked on it is for the same pod.
    fn connection(&self, mut client: TcpStream, pod: SocketAddr) {
        let Ok(mut pod) = TcpStream::connect(pod) else { return };
        while let Some(head) = read_head(&mut client) {
            if head.contains("/v1/appinfo ") {
                self.asked.fetch_add(1, SeqCst);
            }
            self.most_open.fetch_max(self.open.fetch_add(1, SeqCst) + 1, SeqCst);
            let mode = *self.mode.lock().unwrap();
            let answered = match mode {
                Mode::Serve => self.pass_on(&head, &mut client, &mut pod),
                Mode::HangUp => None,
                Mode::Hold => {
                    while client.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
                    None
                }
            };
            self.open.fetch_sub(1, SeqCst);
            if answered.is_none() {
                break;
            }
        }
    }

    /// One request and its answer; nothing where the path lacks the prefix or the pod is gone.
    fn pass_on(&self, head: &str, client: &mut TcpStream, pod: &mut TcpStream) -> Option<()> {
        let (method, rest) = head.split_once(' ')?;
        write!(pod, "{method} {}", rest.strip_prefix(self.prefix)?).ok()?;
        let answer = read_answer(pod, false).ok()?;
        client.write_all(&answer.raw).ok()
    }
}

/// A request's head, if one comes: browsers open connections in advance, too.
fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}
