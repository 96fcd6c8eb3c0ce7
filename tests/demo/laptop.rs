//! A stand-in for a cluster: pods that are processes, behind a Service.

use crate::common::*;

/// How long the Service still sends requests to a pod that has received SIGTERM, as a cluster does until
/// all nodes know.
const LAG: Duration = Duration::from_millis(300);

pub struct Laptop {
    program: PathBuf,
    pub service: Service,
    /// The oldest first.
    pub pods: Vec<Pod>,
}

impl Laptop {
    /// Three stable pods behind this listener.
    pub fn new(program: PathBuf, listener: TcpListener) -> Laptop {
        let pods = ["2hx9k", "7qvbn", "xw4lt"].map(|suffix| pod(&program, &STABLE, suffix));
        let service = Service::at(listener, "", &pods);
        Laptop { program, service, pods: pods.into() }
    }

    /// Starts a pod and sends it requests.
    pub fn start(&mut self, release: &Release, suffix: &str) {
        self.pods.push(pod(&self.program, release, suffix));
        self.service.set_pods(&self.pods);
    }

    /// Ends a pod as a cluster does: it receives SIGTERM at once, and the Service knows a moment later.
    pub fn end(&mut self, index: usize) {
        let mut pod = self.pods.remove(index);
        pod.appinfo.signal(SIGTERM);
        thread::sleep(LAG);
        self.service.set_pods(&self.pods);
        pod.appinfo.wait();
    }
}

fn pod(program: &Path, release: &Release, suffix: &str) -> Pod {
    // The drain is longer than the Service's lag.
    release.pod(Start::of(&[program]).args("--drain 1"), suffix)
}
