//! The tutorial's story on this machine alone, without a cluster: `cargo run --example demo`.
//!
//! Its pods are processes, and its Service is a small balancer; the page shows the rest.

#[path = "../common/mod.rs"]
mod common;
mod laptop;
mod story;

use std::env;
use std::io::stdin;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use argh::{EarlyExit, FromArgs};
use nix::sys::signal::{SigSet, Signal};

use laptop::Laptop;

/// The story of a canary on this machine, without a cluster: three pods and those that come and go
/// are processes, and a small balancer stands before them as a Service does.
#[derive(FromArgs)]
struct Demo {
    /// where the page is to be, such as :9000 or 127.0.0.1:9000 [default: 127.0.0.1:8080]; port 0
    /// picks a free one
    #[argh(option, arg_name = "address:port", default = "([127, 0, 0, 1], 8080).into()")]
    #[argh(from_str_fn(listen))]
    listen: SocketAddr,

    /// go on to the next step by itself after so many seconds
    #[argh(option, arg_name = "seconds", from_str_fn(seconds))]
    auto: Option<u64>,
}

/// The address in that text; on this machine alone where only a port is given.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let whole = text.strip_prefix(':').map(|port| format!("127.0.0.1:{port}"));
    let wrong = |_| "it must be an IP address and a port, such as 127.0.0.1:9000 or :9000".into();
    whole.as_deref().unwrap_or(text).parse().map_err(wrong)
}

fn seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| "it must be a whole number of seconds, such as 20".into())
}

/// The command that starts it.
const NAME: &str = "cargo run --example demo --";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let demo = match Demo::from_args(&[NAME], &arguments) {
        Ok(demo) => demo,
        Err(EarlyExit { output, status: Ok(()) }) => {
            println!("{output}");
            return ExitCode::SUCCESS;
        }
        Err(EarlyExit { output, .. }) => {
            eprintln!("demo: {}\n`{NAME} --help` lists what it takes.", output.trim_end());
            return ExitCode::FAILURE;
        }
    };
    match start(&demo) {
        Ok(told) => told,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story.
///
/// # Errors
///
/// A sentence, if the story cannot start.
fn start(demo: &Demo) -> Result<ExitCode, String> {
    let listener = TcpListener::bind(demo.listen).map_err(|error| {
        let address = demo.listen;
        format!("cannot listen on {address}: {error}. Try another port: {NAME} --listen :9000")
    })?;
    let program = build()?;
    let pace = Pace::new(demo.auto);
    let (ended, told) = {
        let mut laptop = Laptop::new(program, listener, &pace);
        (story::tell(&mut laptop, &pace), laptop.summary())
    };
    // Printed once everything is gone.
    println!("\n{told} Nothing is left running; the page can be closed.");
    Ok(ended.err().map_or(ExitCode::SUCCESS, |Stop(status)| status.into()))
}

/// Builds the program, which cargo does not do for an example; returns its path.
fn build() -> Result<PathBuf, String> {
    // With the example, so that the libraries that they share are built once.
    let arguments = ["build", "--locked", "--bin", "appinfo", "--example", "demo"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(common::repository())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            format!("cannot run cargo, which builds the program: {}: {error}.", env!("CARGO"))
        })?;
    // https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut messages = messages.lines().map(serde_json::from_str::<serde_json::Value>);
    messages
        .find_map(|message| {
            let message = message.ok()?;
            let program = message["executable"].as_str()?;
            (message["target"]["name"] == "appinfo").then(|| program.into())
        })
        .ok_or_else(|| {
            let command = arguments.join(" ");
            format!("cargo has not built the program. Try it in the clone: cargo {command}")
        })
}

/// The story is stopped, with this exit status.
struct Stop(u8);

/// When the next thing happens, or that the story is stopped.
struct Pace {
    stopped: Receiver<u8>,
    lines: Receiver<()>,
    auto: Option<Duration>,
}

impl Pace {
    /// Handles signals from now on, and standard input unless the steps come by themselves.
    fn new(auto: Option<u64>) -> Pace {
        let signals: SigSet =
            [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        // In all threads; one waits for them.
        signals.thread_block().expect("these signals exist");
        let (stop, stopped) = channel();
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                let _ = stop.send(128 + signal as u8);
            }
        });
        let (line, lines) = channel();
        if auto.is_none() {
            thread::spawn(move || {
                for _ in stdin().lines().map_while(Result::ok) {
                    let _ = line.send(());
                }
            });
        }
        Pace { stopped, lines, auto: auto.map(Duration::from_secs) }
    }

    /// Lets some time pass.
    fn wait(&self, time: Duration) -> Result<(), Stop> {
        match self.stopped.recv_timeout(time) {
            Ok(status) => Err(Stop(status)),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => unreachable!("the thread never ends"),
        }
    }

    /// Waits until a condition is met.
    fn until(&self, mut condition: impl FnMut() -> bool) -> Result<(), Stop> {
        while !condition() {
            self.wait(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Waits until the next step: for its time, or for a line or the end of the input. Returns whether
    /// the input has ended.
    fn step(&self) -> Result<bool, Stop> {
        let mut line = Err(TryRecvError::Empty);
        match self.auto {
            Some(time) => self.wait(time)?,
            None => self.until(|| {
                line = self.lines.try_recv();
                line != Err(TryRecvError::Empty)
            })?,
        }
        Ok(line == Err(TryRecvError::Disconnected))
    }
}
