//! Another server as a child process: Prometheus, a registry of images, chromedriver.

use super::*;

/// How Prometheus and the registry print where they listen; the group is the port.
pub const LISTENING: &str = r"istening on.*?127\.0\.0\.1:(\d+)";

/// A server on a port of this machine; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it on a port of its choice, which it prints in these words.
    pub fn start(command: &mut Command, words: &str) -> Server {
        let words = Regex::new(words).expect("the pattern is right");
        let (reader, stdout) = io::pipe().expect("a pipe");
        let stderr = stdout.try_clone().expect("a duplicate");
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        let child = child.expect("the server starts");
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let output = Lines::of(reader);
        let port = eventually("the server prints its port", || {
            let end = server.child.try_wait().expect("it can be waited for");
            let port = |line: &String| words.captures(line)?[1].parse().ok();
            let port = output.all().iter().find_map(port);
            assert!(port.is_some() || end.is_none(), "{command:?}: {end:?}: {:#?}", output.all());
            port
        });
        server.address.set_port(port);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
