//! A server in the table: how it is started, and what its processes cost.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::common::{self, Response};

/// A server that can be measured.
pub struct Server {
    pub name: String,
    path: String,
    kind: Kind,
    /// A file that is written before each start, with the port in place of `{port}`.
    pub configuration: Option<(PathBuf, String)>,
}

enum Kind {
    /// A program, its arguments with `{port}` in them, and its environment.
    Command(Vec<String>, Vec<(String, String)>),
    /// One that somebody else has started; its process, where that was told.
    Running(SocketAddr, Option<u32>),
}

/// A server that is up; ended when dropped, unless somebody else had started it.
pub struct Running {
    pub url: String,
    /// From the start of its process to the end of its first answer.
    pub started_in: Duration,
    address: SocketAddr,
    path: String,
    child: Option<Child>,
    /// Its first process.
    pid: Option<u32>,
}

impl Server {
    /// One that is started by a command, whose arguments name the port as `{port}`.
    pub fn command(
        name: &str,
        path: &str,
        command: Vec<String>,
        environment: &[(&str, &str)],
    ) -> Server {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Server {
            name: name.to_owned(),
            path: path.to_owned(),
            kind: Kind::Command(command, environment.iter().map(own).collect()),
            configuration: None,
        }
    }

    /// A peer as the user names it; see the top of main.rs.
    pub fn parse(peer: &str) -> Result<Server, String> {
        let wrong = || {
            format!(
                "the peer is {peer:?}, but must be NAME=URL, NAME='URL PID' or \
                 NAME[/PATH]='COMMAND with {{port}}'"
            )
        };
        let (name, what) = peer.split_once('=').ok_or_else(wrong)?;
        let words: Vec<String> = what.split_whitespace().map(str::to_owned).collect();
        if let Some(url) = words.first().and_then(|word| word.strip_prefix("http://")) {
            let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
            let address = host
                .to_socket_addrs()
                .or_else(|_| (host, 80).to_socket_addrs())
                .map_err(|error| format!("the peer {peer:?} has no address: {error}"))?
                .find(|address| address.ip().is_loopback())
                .ok_or(format!("the peer {peer:?} must be on loopback, where no load does harm"))?;
            let pid = words.get(1).map(|pid| pid.parse()).transpose().map_err(|_| wrong())?;
            return Ok(Server {
                name: name.to_owned(),
                path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
                kind: Kind::Running(address, pid),
                configuration: None,
            });
        }
        if !words.iter().any(|word| word.contains("{port}")) {
            return Err(wrong());
        }
        let (name, path) = name.split_at(name.find('/').unwrap_or(name.len()));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Server::command(name, path, words, &[]))
    }

    /// Whether it is started by us.
    pub fn can_start(&self) -> bool {
        matches!(self.kind, Kind::Command(..))
    }

    /// Starts it on a port that nothing used before, in a process group of its own, and waits for
    /// its first answer; one that is running already only answers.
    pub fn start(&self) -> Result<Running, String> {
        let (started, address, child, pid) = match &self.kind {
            Kind::Running(address, pid) => (Instant::now(), *address, None, *pid),
            Kind::Command(command, environment) => {
                let address = free_address();
                let port = address.port().to_string();
                if let Some((file, content)) = &self.configuration {
                    fs::write(file, content.replace("{port}", &port))
                        .map_err(|error| format!("{}: {error}", file.display()))?;
                }
                let words: Vec<_> = command.iter().map(|w| w.replace("{port}", &port)).collect();
                let mut command = Command::new(&words[0]);
                command
                    .args(&words[1..])
                    .envs(environment.iter().map(|(name, value)| (name, value)))
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .process_group(0);
                let started = Instant::now();
                let child = command
                    .spawn()
                    .map_err(|error| format!("{} does not start: {error}", self.name))?;
                let pid = child.id();
                (started, address, Some(child), Some(pid))
            }
        };
        let url = format!("http://{address}{}", self.path);
        let path = self.path.clone();
        let mut running = Running { url, started_in: Duration::ZERO, address, path, child, pid };
        loop {
            match running.answer() {
                Ok(_) => break,
                Err(error) if started.elapsed() > common::DEADLINE => {
                    return Err(format!("{} never answered: {error}", self.name));
                }
                Err(_) => std::thread::yield_now(),
            }
            if let Some(status) = running.ended() {
                return Err(format!("{} ended at its start, {status}", self.name));
            }
        }
        running.started_in = started.elapsed();
        Ok(running)
    }
}

impl Running {
    /// One answer, which must be a 200.
    pub fn answer(&self) -> Result<Response, String> {
        let path = &self.path;
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        match common::exchange(self.address, request.as_bytes()) {
            Ok(answer) if answer.status == 200 => Ok(answer),
            Ok(answer) => Err(format!("{} answers with status {}", self.url, answer.status)),
            Err(error) => Err(format!("{}: {error}", self.url)),
        }
    }

    /// Opens so many connections and sends half a request on each.
    pub fn hold(&self, connections: usize) -> Result<Vec<TcpStream>, String> {
        let open = || {
            let mut connection = common::connect(self.address)?;
            connection.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n")?;
            Ok(connection)
        };
        (0..connections)
            .map(|_| open().map_err(|error: std::io::Error| format!("{}: {error}", self.url)))
            .collect()
    }

    /// The user and system time of its processes so far.
    pub fn cpu_time(&self) -> Result<Option<Duration>, String> {
        // utime and stime are the fields 14 and 15 of /proc/PID/stat, in units of USER_HZ, which is
        // 100 a second wherever Rust runs on Linux (proc_pid_stat(5)).
        let of = |pid| Some(stat(pid, 14)? + stat(pid, 15)?);
        self.sum(of).map(|sum| sum.map(|ticks| Duration::from_millis(ticks * 10)))
    }

    /// The processor time of its threads, without those that have ended: to the nanosecond, as befits
    /// a server at rest (proc_pid_schedstat(5)).
    pub fn threads_time(&self) -> Result<Option<Duration>, String> {
        let of_thread = |task: std::io::Result<fs::DirEntry>| -> Option<u64> {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        let of = |pid| {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
            Some(tasks.filter_map(of_thread).sum())
        };
        self.sum(of).map(|sum| sum.map(Duration::from_nanos))
    }

    /// A figure of /proc/PID/status, summed over its processes, in kB.
    pub fn memory(&self, key: &str) -> Result<Option<f64>, String> {
        let of = |pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let value =
                status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            value.split_whitespace().next()?.parse().ok()
        };
        self.sum(of).map(|sum| sum.map(|kilobytes| kilobytes as f64))
    }

    /// How many bytes its program file has.
    pub fn program_size(&self) -> Result<u64, String> {
        let pid = self.pid.expect("a server that was started has a process");
        fs::metadata(format!("/proc/{pid}/exe"))
            .map(|file| file.len())
            .map_err(|error| format!("{}: its program file cannot be read: {error}", self.url))
    }

    /// The sum of a figure over its processes, if they are known: the whole process group of a
    /// server that was started here, the one that was named otherwise.
    fn sum(&self, of: impl Fn(u32) -> Option<u64>) -> Result<Option<u64>, String> {
        let Some(first) = self.pid else { return Ok(None) };
        let all = || -> Option<u64> {
            if self.child.is_none() {
                return of(first);
            }
            let processes = fs::read_dir("/proc").ok()?;
            Some(
                processes
                    .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                    // Its process group, and its children, which may have one of their own.
                    .filter(|pid| {
                        [4, 5].map(|field| stat(*pid, field)).contains(&Some(first.into()))
                    })
                    .filter_map(of)
                    .sum(),
            )
        };
        match all() {
            Some(sum) if sum > 0 || self.child.is_some() => Ok(Some(sum)),
            _ => Err(format!("{}: process {first} is gone", self.url)),
        }
    }

    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut()?.try_wait().ok()?
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let group = Pid::from_child(child);
            let _ = kill_process_group(group, Signal::KILL);
            let _ = child.wait();
        }
    }
}

/// A field of /proc/PID/stat by its number in proc_pid_stat(5), from the third on: the second, the
/// name in parentheses, may hold anything.
fn stat(pid: u32, field: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(field - 3)?.parse().ok()
}

/// A loopback address with a port that the kernel has just found free.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
}
