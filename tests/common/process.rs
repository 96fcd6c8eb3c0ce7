//! The program as a child process.

use std::ffi::OsStr;
use std::process::{ExitStatus, Output};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
#[cfg(target_os = "linux")]
use procfs::process::Process;

use super::*;

pub const SIGINT: i32 = 2;
pub const SIGTERM: i32 = 15;
pub const SIGKILL: i32 = 9;

/// The musl target of this machine, as the image holds it.
pub fn musl_target() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// The program, which cargo builds with the tests, and does not build with an example.
const BUILT: Option<&str> = option_env!("CARGO_BIN_EXE_appinfo");

/// The program under test: the command in `APPINFO_TEST_BINARY` (a program, perhaps behind an
/// emulator), else the one that cargo has just built.
pub fn program() -> Vec<String> {
    match std::env::var("APPINFO_TEST_BINARY") {
        Ok(command) => command.split_whitespace().map(str::to_owned).collect(),
        Err(_) => vec![BUILT.expect("cargo builds the program with the tests").to_owned()],
    }
}

/// The static release binary, as the image holds it; built once per test run.
pub fn release_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // With the flags of `just build`, so that cargo builds it once for both.
        let home = std::env::var("CARGO_HOME");
        let home = home.unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
        let (target, remap) = (musl_target(), format!("--remap-path-prefix={home}/registry/src="));
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--locked", "--quiet", "--target", &target]);
        cargo.args(["--config", &format!("target.{target}.rustflags=['{remap}']")]);
        run(cargo.current_dir(repository()));
        // The tests' program is in `target/debug`.
        let built = Path::new(BUILT.expect("cargo builds the program with the tests"));
        let folder = built.ancestors().nth(2).expect("a target folder");
        folder.join(target).join("release/appinfo")
    })
}

/// Sends a process a signal by its number.
pub fn signal(pid: i32, number: i32) {
    let number = Signal::try_from(number).expect("it is a signal");
    kill(Pid::from_raw(pid), number).expect("there is such a process");
}

/// The child processes of a process that lives.
#[cfg(target_os = "linux")]
pub fn children(pid: i32) -> Vec<i32> {
    let main = Process::new(pid).and_then(|process| process.task_main_thread());
    let children = main.and_then(|thread| thread.children()).expect("/proc can be read");
    children.into_iter().map(|pid| pid as i32).collect()
}

/// Waits until the program is not ready any more, as after SIGTERM.
pub fn await_draining(address: SocketAddr) {
    // A request may be lost with a server that is killed.
    let is_off = || try_get(address, "/readyz").is_ok_and(|response| response.status == 503);
    until("readiness is off", is_off);
}

/// How to start the program.
pub struct Start(Command);

impl Start {
    /// The program under test.
    pub fn new() -> Start {
        Start::of(&program())
    }

    /// Another command; its only environment variable makes it listen on a free port.
    pub fn of<S: AsRef<OsStr>>(program: &[S]) -> Start {
        let mut command = Command::new(&program[0]);
        command.args(&program[1..]).env_clear().stdin(Stdio::null());
        command.env("APPINFO_LISTEN", "127.0.0.1:0");
        Start(command)
    }

    /// Adds arguments, separated by white space.
    pub fn args(mut self, args: &str) -> Start {
        self.0.args(args.split_whitespace());
        self
    }

    /// Adds one argument as it is.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Start {
        self.0.arg(arg);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Start {
        self.0.env(name, value);
        self
    }

    /// Sets its standard input, which is otherwise empty.
    pub fn stdin(mut self, stdin: Stdio) -> Start {
        self.0.stdin(stdin);
        self
    }

    /// Sets where its standard output and error go; the caller starts it.
    pub fn to(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Command {
        self.0.stdout(stdout).stderr(stderr);
        self.0
    }

    /// Starts it and waits for its start line, which names the port.
    pub fn spawn(self) -> Appinfo {
        let started = self.to(Stdio::piped(), Stdio::piped()).spawn();
        let mut child = started.expect("the program starts");
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        let mut appinfo = Appinfo { child, address: SocketAddr::from(([0; 4], 0)), stdout, stderr };
        appinfo.address = eventually("the program prints its start line", || {
            let is_alive = appinfo.is_alive();
            let log = appinfo.stderr.all();
            let address = log.iter().find_map(|line| listening_address(line));
            assert!(is_alive || address.is_some(), "the program ended at its start: {log:?}");
            address
        });
        appinfo
    }

    /// Runs it to its end; kills it after [`DEADLINE`].
    pub fn output(self) -> Output {
        let started = self.to(Stdio::piped(), Stdio::piped()).spawn();
        let (mut child, start) = (started.expect("the program starts"), Instant::now());
        while child.try_wait().is_ok_and(|end| end.is_none()) && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill(); // Without effect after its end.
        child.wait_with_output().expect("the program runs")
    }
}

/// The address in a start line; loopback if that is the unspecified one.
pub fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let mut address: SocketAddr =
        rest.split([' ', ',']).next()?.parse().expect("the start line names an address");
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    Some(address)
}

/// The running program, killed when dropped.
pub struct Appinfo {
    pub child: Child,
    pub address: SocketAddr,
    pub stdout: Lines,
    pub stderr: Lines,
}

impl Appinfo {
    /// One request on a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        get(self.address, target)
    }

    /// Sends these bytes on a connection of their own and reads until the server closes.
    pub fn raw(&self, request: impl AsRef<[u8]>) -> Response {
        exchange(self.address, request.as_ref()).expect("there is a response")
    }

    /// The process ID.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process ID fits")
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        signal(self.pid(), number);
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the program ends", || child.try_wait().expect("the child can be waited for"))
    }

    /// Whether it is still running.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    /// How often the server was restarted.
    pub fn restarts(&self) -> u64 {
        let restarts = eventually("it serves its metrics", || {
            try_get(self.address, "/metrics").ok()?.metric("appinfo_server_restarts_total")
        });
        restarts as u64
    }
}

/// What `/proc` has about the server.
#[cfg(target_os = "linux")]
impl Appinfo {
    /// The server's process ID.
    pub fn server(&self) -> i32 {
        eventually("it has a server process", || children(self.pid()).first().copied())
    }

    /// The server in `/proc`: its threads, its open files, its memory.
    pub fn process(&self) -> Process {
        Process::new(self.server()).expect("the process is alive")
    }

    /// How many files the server has open; `None` if this user may not see that.
    pub fn open_files(&self) -> Option<u64> {
        self.process().fd_count().ok().map(|files| files as u64)
    }

    /// How many threads the server has.
    pub fn threads(&self) -> u64 {
        self.process().status().expect("/proc can be read").threads
    }
}

impl Drop for Appinfo {
    fn drop(&mut self) {
        if thread::panicking() {
            let ended = self.child.try_wait();
            eprintln!("the program ended: {ended:?}; its log: {:#?}", self.stderr.all());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that a child has printed so far, read by a thread so that its pipe never fills.
#[derive(Clone)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn of(pipe: impl Read + Send + 'static) -> Lines {
        let lines = Lines(Arc::default());
        let collected = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                collected.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
