//! Somebody else's server as a child process: Prometheus, a registry of images.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::common::{Lines, eventually};
use regex_lite::Regex;

/// A server on a port of the kernel's choice; ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it, and waits until its log (on its standard error) tells where it listens.
    pub fn start(command: &mut Command) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let log = Lines::of(child.stderr.take().expect("stderr is piped"));
        let mut server = Server { child, address: SocketAddr::from(([0; 4], 0)) };
        let address = Regex::new(r"istening on.*?(127\.0\.0\.1:\d+)").expect("it is right");
        server.address = eventually("the server tells its address", || {
            let log = log.all().join("\n");
            let ended = server.child.try_wait().expect("a child can be waited for");
            assert_eq!(ended, None, "the server ended: {log}");
            address.captures(&log)?[1].parse().ok()
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
