//! The tutorial's story on this machine alone, without a cluster: `cargo run --example demo`.
//!
//! Its pods are processes, and its Service is a small balancer; the page shows the rest.

#[path = "../common/mod.rs"]
mod common;
mod laptop;
mod story;

use std::process::ExitCode;

use argh::FromArgs;
use laptop::Laptop;
use nix::sys::signal::{SigSet, Signal};

use crate::common::*;

/// The story of a canary on this machine, without a cluster: three pods and those that come and go
/// are processes, and a small balancer stands before them as a Service does.
#[derive(FromArgs)]
struct Demo {
    /// address of the page, such as :9000 or 127.0.0.1:9000 [default: 127.0.0.1:8080]; port 0
    /// picks a free one
    #[argh(option, arg_name = "address:port", default = "([127, 0, 0, 1], 8080).into()")]
    #[argh(from_str_fn(listen))]
    listen: SocketAddr,

    /// seconds until each next step comes by itself, such as 20
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
    seconds.ok_or_else(|| "it must be a whole number of seconds from 1, such as 20".into())
}

fn main() -> ExitCode {
    start(&argh::from_env()).unwrap_or_else(|why| {
        eprintln!("demo: {why}");
        ExitCode::FAILURE
    })
}

/// Tells the story. Fails with a sentence if it cannot start.
fn start(demo: &Demo) -> Result<ExitCode, String> {
    let listener = TcpListener::bind(demo.listen).map_err(|error| {
        let address = demo.listen;
        format!("cannot listen on {address}: {error}. Try another port, such as --listen :9000")
    })?;
    let program = build()?;
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    // In all threads; one waits for them.
    signals.thread_block().expect("these signals exist");
    let laptop = Arc::new(Mutex::new(Laptop::new(program, listener)));
    // If the story panics, the pods end with it.
    let stopped = Arc::downgrade(&laptop);
    thread::spawn(move || {
        let signal = signals.wait().expect("these signals exist");
        if let Some(laptop) = stopped.upgrade() {
            end(&laptop);
        }
        std::process::exit(128 + signal as i32);
    });
    let told = story::tell(&laptop, demo.auto);
    end(&laptop);
    Ok(told.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS))
}

/// Ends all pods, and prints how it went.
fn end(laptop: &Mutex<Laptop>) {
    let mut laptop = laptop.lock().expect("no step has panicked");
    laptop.pods.clear();
    let State { requested, lost, .. } = *laptop.service.state();
    let _ = writeln!(
        io::stdout(),
        "\n{requested} requests came, {lost} were lost. Nothing is left running; \
         the page can be closed."
    );
}

/// Builds the program, which cargo does not do for an example; returns its path.
fn build() -> Result<PathBuf, String> {
    // With the example, so that the libraries that they share are built once.
    let arguments = "build --locked --bin appinfo --example demo";
    let output = Command::new(env!("CARGO"))
        .args(arguments.split(' '))
        .arg("--message-format=json-render-diagnostics")
        .current_dir(repository())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            format!("cannot run cargo, which builds the program: {}: {error}.", env!("CARGO"))
        })?;
    // https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages
    let messages = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let is_program = |message: &Value| message["target"]["name"] == "appinfo";
    let mut programs = messages.map_while(Result::ok).filter(is_program);
    let path = programs.find_map(|message| Some(message["executable"].as_str()?.into()));
    path.ok_or_else(|| {
        format!("cargo has not built the program. Try it in the clone: cargo {arguments}")
    })
}
