//! Another server as a child process: Prometheus, a registry of images, chromedriver.

use std::thread::sleep;

use super::*;

/// How Prometheus and the registry print where they listen; the group is the port.
pub const LISTENING: &str = r"istening on.*?127\.0\.0\.1:(\d+)";

/// A server on a port of this machine; ended when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Starts it on a port of its choice, which it prints in these words. If it does not come up,
    /// it is started again, twice at most.
    pub fn start(command: &mut Command, words: &str) -> Server {
        let words = Regex::new(words).expect("the pattern is right");
        (0..3).find_map(|_| Server::try_start(command, &words)).expect("the server comes up")
    }

    /// Prints its output and returns `None` if it does not come up.
    fn try_start(command: &mut Command, words: &Regex) -> Option<Server> {
        let (reader, stdout) = io::pipe().expect("a pipe");
        let stderr = stdout.try_clone().expect("a duplicate");
        let child = command.stdin(Stdio::null()).stdout(stdout).stderr(stderr).spawn();
        let child = child.expect("the server starts");
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let (output, start) = (Lines::of(reader), Instant::now());
        while start.elapsed() < DEADLINE && matches!(server.child.try_wait(), Ok(None)) {
            let port = |line: &String| words.captures(line)?[1].parse().ok();
            if let Some(port) = output.all().iter().find_map(port) {
                server.address.set_port(port);
                return Some(server);
            }
            sleep(Duration::from_millis(10));
        }
        eprintln!("{command:?}, {:?}: {:#?}", server.child.try_wait(), output.all());
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
