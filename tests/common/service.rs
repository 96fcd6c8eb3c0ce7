//! A small load balancer that picks a random pod for each connection, as kube-proxy does, and may
//! serve below a path prefix, as `kubectl proxy` does.

use fastrand::Rng;

use super::*;

/// What happens to a request.
#[derive(Clone, Copy, Default)]
pub enum Mode {
    /// A pod responds to it.
    #[default]
    Serve,
    /// It is held for as long as the client waits.
    Hold,
    /// The connection ends without a response.
    HangUp,
}

#[derive(Clone)]
pub struct Service {
    pub address: SocketAddr,
    prefix: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub struct State {
    pods: Vec<SocketAddr>,
    random: Rng,
    pub mode: Mode,
    /// How many requests for AppInfo have come.
    pub requested: usize,
    /// How many requests got no response.
    pub lost: usize,
    /// How many requests wait for their response now.
    pub open: usize,
    /// The most requests that ever waited at once.
    pub most_open: usize,
}

impl Service {
    /// Balances between these pods, on a port of its own. All paths start with `prefix`, which is
    /// removed.
    pub fn new<'a>(prefix: &'static str, pods: impl IntoIterator<Item = &'a Pod>) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        Service::at(listener, prefix, pods)
    }

    /// The same, listening there for as long as the process lives.
    pub fn at<'a>(
        listener: TcpListener,
        prefix: &'static str,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Service {
        let address = listener.local_addr().expect("a listener has an address");
        // The same sequence in every run.
        let state = State { random: Rng::with_seed(4), ..State::default() };
        let service = Service { address, prefix, state: Arc::new(Mutex::new(state)) };
        service.set_pods(pods);
        let accepting = service.clone();
        thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                let service = accepting.clone();
                thread::spawn(move || service.serve(client));
            }
        });
        service
    }

    /// What it has seen, and what it does.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread has panicked")
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://{}{}/", self.address, self.prefix)
    }

    /// Balances between these pods from now on. The others still respond to what they have
    /// received.
    pub fn set_pods<'a>(&self, pods: impl IntoIterator<Item = &'a Pod>) {
        self.state().pods = pods.into_iter().map(|pod| pod.appinfo.address).collect();
    }

    /// Serves a connection: one request, since every response carries `Connection: close`.
    fn serve(&self, mut client: TcpStream) {
        // Browsers open connections in advance, on which nothing may come.
        let Ok(head) = read_head(&mut BufReader::new(&client)) else { return };
        let mode = {
            let mut state = self.state();
            state.requested += usize::from(head.contains("/v1/appinfo "));
            state.open += 1;
            state.most_open = state.most_open.max(state.open);
            state.mode
        };
        let response = match mode {
            Mode::Serve => self.pass_on(&head),
            Mode::HangUp => None,
            Mode::Hold => {
                let _ = io::copy(&mut client, &mut io::sink());
                None
            }
        };
        if let Some(response) = &response {
            let _ = client.write_all(response);
        }
        let mut state = self.state();
        state.open -= 1;
        state.lost += usize::from(response.is_none());
    }

    /// The response of a random pod; `None` if the path lacks the prefix or the pod is gone.
    fn pass_on(&self, head: &str) -> Option<Vec<u8>> {
        let (method, rest) = head.split_once(' ')?;
        let (target, fields) = rest.strip_prefix(self.prefix)?.split_once("\r\n")?;
        let pod = {
            let State { pods, random, .. } = &mut *self.state();
            *random.choice(pods.iter())?
        };
        let mut pod = TcpStream::connect(pod).ok()?;
        // Of several `Connection` headers the program follows the first: it closes the connection.
        let request = format!("{method} {target}\r\nConnection: close\r\n{fields}");
        pod.write_all(request.as_bytes()).ok()?;
        let mut response = Vec::new();
        pod.read_to_end(&mut response).ok()?;
        (!response.is_empty()).then_some(response)
    }
}
