//! What the tests share: the real program as a child process, and a plain HTTP client that
//! shows every byte of an answer.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

pub mod engines;
pub mod pod;
pub mod server;
pub mod service;

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The upper bound for anything that is sure to happen: generous, because machines are slow.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The request that most tests send as it is.
pub const REQUEST: &[u8] = b"GET /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n";

pub const SIGINT: i32 = 2;
pub const SIGTERM: i32 = 15;
pub const SIGKILL: i32 = 9;

/// The musl target of this machine, as the image holds it.
pub const MUSL_TARGET: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-musl"
} else {
    "x86_64-unknown-linux-musl"
};

/// The program, which cargo builds with the tests; with an example it does not.
const BUILT: Option<&str> = option_env!("CARGO_BIN_EXE_appinfo");

/// The program under test: what `APPINFO_TEST_BINARY` names (a program, perhaps with an emulator
/// and its arguments before it), else the one that cargo has just built.
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
        let build = ["build", "--release", "--locked", "--quiet", "--target", MUSL_TARGET];
        run(Command::new(env!("CARGO")).args(build).current_dir(repository()));
        // What is built with the tests stands in `target/debug`.
        let target = Path::new(BUILT.expect("cargo builds the program with the tests"))
            .ancestors()
            .nth(2)
            .expect("a target folder");
        let path = target.join(MUSL_TARGET).join("release/appinfo");
        assert!(path.is_file(), "cargo has put the binary at {}", path.display());
        path
    })
}

/// The repository's top folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stands in a file of the repository.
pub fn text(file: &str) -> String {
    let text = std::fs::read_to_string(repository().join(file));
    text.unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether every one of `tools` is on the PATH. If one is not: says so and asks the test to skip,
/// but fails where `CI=true`, since nothing may be skipped there in silence.
pub fn have(tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = tools
        .iter()
        .filter(|tool| !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
        .collect();
    if missing.is_empty() {
        return true;
    }
    skip(&format!("needs {missing:?}, which this machine lacks"));
    false
}

/// Says loudly that a test is skipped, and why; fails where `CI=true`.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI may not skip this: it {why}");
    not_asked_for(why);
}

/// Says loudly that a test does nothing, since nobody has asked for what it does.
pub fn not_asked_for(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Past the test harness' capture: a skip must be seen although the test counts as passed.
    let _ = writeln!(io::stderr(), "\nSKIPPED {name}: it {why}\n");
}

/// Waits until `condition` yields something, and panics with `what` after [`DEADLINE`].
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until that is true, and panics with `what` after [`DEADLINE`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    eventually(what, || condition().then_some(()));
}

/// Does that with each of them, so many at a time: for what waits more than it works.
pub fn each<T: Send>(
    at_a_time: usize,
    cases: impl IntoIterator<Item = T, IntoIter: Send>,
    act: impl Fn(T) + Sync,
) {
    let cases = Mutex::new(cases.into_iter());
    let next = || cases.lock().expect("no case is made in a panic").next();
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| std::iter::from_fn(next).for_each(&act));
        }
    });
}

/// Runs a command to its end and returns what it printed on stdout; panics with all it printed
/// when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// Sends a process a signal by its number, as `kill` does.
pub fn signal(pid: i32, number: i32) {
    run(Command::new("kill").args([format!("-{number}"), pid.to_string()]));
}

/// Waits until the program that listens there is not ready any more, as after SIGTERM.
pub fn await_draining(address: SocketAddr) {
    // A connection may be lost with a server that is killed.
    let is_off = || try_get(address, "/readyz").is_ok_and(|answer| answer.status == 503);
    until("readiness is off", is_off);
}

/// How to start the program: [`Start::new`], then what differs from the default, then
/// [`Start::spawn`].
pub struct Start(Command);

impl Start {
    /// The program under test.
    pub fn new() -> Start {
        Start::of(&program())
    }

    /// Another build of the program, with an environment in which there is only a free port.
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

    /// Tells it the path of the labels file.
    pub fn labels(self, path: impl AsRef<OsStr>) -> Start {
        self.arg("--labels").arg(path)
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

    /// Where its standard output and error go, to be started by the caller.
    pub fn to(mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Command {
        self.0.stdout(stdout).stderr(stderr);
        self.0
    }

    /// Starts it and waits for its start line, which tells the port.
    pub fn spawn(self) -> Appinfo {
        let started = self.to(Stdio::piped(), Stdio::piped()).spawn();
        let mut child = started.expect("the program starts");
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        let stderr = Lines::of(child.stderr.take().expect("stderr is piped"));
        let mut appinfo = Appinfo { child, address: SocketAddr::from(([0; 4], 0)), stdout, stderr };
        appinfo.address = eventually("the program prints its start line", || {
            if let Some(status) = appinfo.child.try_wait().expect("the child can be waited for") {
                panic!("the program ended at its start, {status}: {:?}", appinfo.stderr.all());
            }
            appinfo.stderr.all().iter().find_map(|line| listening_address(line))
        });
        appinfo
    }

    /// Runs it to its end, as for a bad command line; a killed one has not come to it by itself.
    pub fn output(self) -> std::process::Output {
        let started = self.to(Stdio::piped(), Stdio::piped()).spawn();
        let (mut child, start) = (started.expect("the program starts"), Instant::now());
        while child.try_wait().is_ok_and(|end| end.is_none()) && start.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill(); // Of no effect after its end.
        child.wait_with_output().expect("the program runs")
    }
}

/// The address in a start line, with the unspecified one turned into loopback.
pub fn listening_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    let mut address: SocketAddr =
        rest.split([' ', ',']).next()?.parse().expect("the start line tells an address");
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    Some(address)
}

/// The running program; killed when dropped.
pub struct Appinfo {
    pub child: Child,
    pub address: SocketAddr,
    pub stdout: Lines,
    pub stderr: Lines,
}

impl Appinfo {
    /// One request on a connection of its own.
    pub fn get(&self, target: &str) -> Answer {
        get(self.address, target)
    }

    /// Sends these bytes on a connection of their own and reads until the server closes.
    pub fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        exchange(self.address, request.as_ref()).expect("the server answers")
    }

    /// The process's number.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process number fits")
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

    /// The server's process number; the program's own where it serves in one process.
    #[cfg(target_os = "linux")]
    pub fn server(&self) -> i32 {
        let pid = self.pid();
        let children = format!("/proc/{pid}/task/{pid}/children");
        eventually("it has a server process", || {
            let children = std::fs::read_to_string(&children).expect("/proc tells");
            let is_alone = || self.stderr.all().iter().any(|line| line.contains("in this one"));
            let child = children.split(' ').next().and_then(|child| child.parse().ok());
            child.or_else(|| is_alone().then_some(pid))
        })
    }

    /// What `/proc` tells of the server: its threads, its open files, its memory.
    #[cfg(target_os = "linux")]
    pub fn process(&self) -> procfs::process::Process {
        procfs::process::Process::new(self.server()).expect("the process is alive")
    }

    /// How many files the server holds open; `None` where this user may not see that.
    #[cfg(target_os = "linux")]
    pub fn open_files(&self) -> Option<u64> {
        self.process().fd_count().ok().map(|files| files as u64)
    }

    /// How many threads the server has.
    #[cfg(target_os = "linux")]
    pub fn threads(&self) -> u64 {
        self.process().status().expect("/proc tells").threads
    }

    /// How often the server was restarted.
    pub fn restarts(&self) -> u64 {
        let restarts = eventually("it tells its metrics", || {
            try_get(self.address, "/metrics").ok()?.metric("appinfo_server_restarts_total")
        });
        restarts as u64
    }
}

impl Drop for Appinfo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ended = self.child.try_wait();
            eprintln!("the program ended: {ended:?}; it said: {:#?}", self.stderr.all());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines a child has printed so far, read by a thread so that its pipe never fills.
#[derive(Clone)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub fn of(pipe: impl Read + Send + 'static) -> Lines {
        let lines = Lines(Arc::default());
        let collected = lines.clone();
        std::thread::spawn(move || {
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

/// An HTTP answer, as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Every byte that came, from the status line to the close.
    pub raw: Vec<u8>,
}

impl Answer {
    /// A header by its lower-case name; panics if it stands there twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(field, _)| field == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a series, if it is among these metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let mut lines = self.text().lines();
        let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(value.parse().expect("a number"))
    }

    /// The first answer in these bytes, its body ending where they end.
    pub fn parse(raw: &[u8]) -> Option<Answer> {
        let head_end = raw.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&raw[..head_end]).ok()?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Answer { status, headers, body: raw[head_end..].to_vec(), raw: raw.to_vec() })
    }
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, target: &str) -> Answer {
    try_get(address, target).unwrap_or_else(|error| panic!("GET {target}: {error}"))
}

/// The same, where it may fail.
pub fn try_get(address: SocketAddr, target: &str) -> io::Result<Answer> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: appinfo\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes())
}

/// A connection whose reads and writes fail after [`DEADLINE`].
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// A connection on which that has been sent.
pub fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = connect(address).expect("it accepts");
    stream.write_all(bytes.as_ref()).expect("it can be sent");
    stream
}

/// Sends these bytes on a connection of their own and reads one answer to its end: until its
/// announced length is there, or until the server closes. An answer to HEAD ends with its head.
pub fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<Answer> {
    let mut stream = connect(address)?;
    stream.write_all(request)?;
    read_answer(&mut stream, request.starts_with(b"HEAD "))
}

/// Reads as [`Read::read`] does, but goes on when a signal interrupts it, as `read_exact` does.
pub fn read(stream: &TcpStream, piece: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::read(stream, &mut *piece))?)
}

/// Reads one answer from a connection.
pub fn read_answer(stream: &mut TcpStream, head_only: bool) -> io::Result<Answer> {
    let mut raw = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(answer) = Answer::parse(&raw) {
            let announced = answer.header("content-length").and_then(|n| n.parse().ok());
            if head_only || announced.is_some_and(|length: usize| answer.body.len() >= length) {
                return Ok(answer);
            }
        }
        match read(stream, &mut piece)? {
            0 => break,
            n => raw.extend_from_slice(&piece[..n]),
        }
    }
    Answer::parse(&raw).ok_or_else(|| {
        let got = String::from_utf8_lossy(&raw).into_owned();
        io::Error::new(io::ErrorKind::UnexpectedEof, format!("no whole answer, but {got:?}"))
    })
}

/// A folder of its own for a test, removed when dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        // The program may run as another user, in a container.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("appinfo-test-").permissions(open).tempdir();
        Folder(folder.expect("the temporary folder can be written"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A downward API volume as the kubelet keeps it: `labels` is a symlink to `..data/labels`, and
/// `..data` one to a folder named by the time, which is swapped as a whole. (AtomicWriter in
/// k8s.io/kubernetes/pkg/volume/util.)
pub struct DownwardApi {
    folder: Folder,
    version: u64,
}

impl DownwardApi {
    /// A volume whose labels file holds `content`.
    pub fn with(content: impl AsRef<[u8]>) -> DownwardApi {
        let mut volume = DownwardApi { folder: Folder::new(), version: 0 };
        volume.swap(content);
        std::os::unix::fs::symlink("..data/labels", volume.file()).expect("a symlink can be made");
        volume
    }

    /// The path that the program is told.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("labels")
    }

    /// Swaps the whole volume for one whose labels file holds `content`: a new folder, a new
    /// symlink to it renamed over `..data`, then the old folder is removed.
    pub fn swap(&mut self, content: impl AsRef<[u8]>) {
        let root = self.folder.path();
        let old = root.join(format!("..2026_11_22_00_00_00.{}", self.version));
        self.version += 1;
        let name = format!("..2026_11_22_00_00_00.{}", self.version);
        std::fs::create_dir(root.join(&name)).expect("a folder can be made");
        std::fs::write(root.join(&name).join("labels"), content).expect("a file can be written");
        let new_link = root.join("..data_tmp");
        std::os::unix::fs::symlink(&name, &new_link).expect("a symlink can be made");
        std::fs::rename(&new_link, root.join("..data")).expect("a symlink can be renamed");
        let _ = std::fs::remove_dir_all(old);
    }
}
