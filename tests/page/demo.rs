//! `cargo run --example demo`, as somebody new to it uses it.

use std::os::unix::process::CommandExt;
use std::process::ExitStatus;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::common::*;

/// The demo, in a process group of its own as in a terminal, and a folder where it may leave files.
struct Demo {
    child: Child,
    stdout: Lines,
    folder: Folder,
}

impl Demo {
    fn start(arguments: &str, stdin: Stdio) -> Demo {
        let folder = Folder::new();
        let mut child = Command::new(env!("CARGO"))
            .args(["run", "--locked", "--example", "demo", "--"])
            .args(arguments.split_whitespace())
            .current_dir(repository())
            .env("TMPDIR", folder.path())
            .env("CARGO_TERM_QUIET", "true")
            .process_group(0)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cargo runs");
        let stdout = Lines::of(child.stdout.take().expect("stdout is piped"));
        Demo { child, stdout, folder }
    }

    /// Waits until it has printed this, and returns the line.
    fn said(&self, part: &str) -> String {
        eventually(part, || self.stdout.all().into_iter().find(|line| line.contains(part)))
    }

    /// Lets the next step happen.
    fn enter(&mut self) {
        self.child.stdin.as_mut().expect("stdin is piped").write_all(b"\n").expect("it reads");
    }

    /// Waits until this step of six has happened.
    fn happened(&self, number: usize) {
        let steps = || self.stdout.all().iter().filter(|line| line.contains("Look: ")).count();
        until("a step has happened", || steps() == number);
    }

    fn address(&self) -> SocketAddr {
        let line = self.said("The page: ");
        let url = line.rsplit_once(' ').expect("it prints a URL").1;
        url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process ID fits"))
    }

    /// The processes that it has started and that are alive.
    fn processes(&self) -> Vec<Pid> {
        let group = self.pid().to_string();
        let all = run(Command::new("ps").args(["-A", "-o", "pid=,pgid=,stat="]));
        let ours = all.lines().filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let is_pod = words[1] == group && words[0] != group && !words[2].starts_with('Z');
            is_pod.then(|| Pid::from_raw(words[0].parse().expect("a number")))
        });
        ours.collect()
    }

    /// Waits for its end, after which nothing may be left of it; returns what it printed on stderr.
    fn ended(&mut self) -> (ExitStatus, String) {
        let child = &mut self.child;
        let status =
            eventually("the demo ends", || child.try_wait().expect("it can be waited for"));
        // A pod's server dies with its supervisor, a moment later.
        until("no process is left running", || self.processes().is_empty());
        let left: Vec<_> = self.folder.path().read_dir().expect("a folder").collect();
        assert!(left.is_empty(), "files are left: {left:?}");
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().expect("stderr is piped");
        pipe.read_to_string(&mut stderr).expect("it is text");
        (status, stderr)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the demo said {:#?}", self.stdout.all());
            let _ = killpg(self.pid(), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// A release, and the namespace in its responses or the status of its errors.
type Kind<'a> = (&'a Release, &'a str);

/// Of 400 responses about a quarter comes from the canary, if there is one, and the rest from stable.
fn assert_shares(address: SocketAddr, canary: Option<Kind>, stable: Kind) {
    let mut canaries = 0;
    for _ in 0..400 {
        let response = get(address, "/v1/appinfo");
        let pod = response.header("appinfo-pod").expect("a response names its pod");
        let body = response.json();
        let said = body["Namespace"].as_str().unwrap_or("an error");
        let is = |(release, expected): Kind| pod.starts_with(&release.prefix()) && said == expected;
        if canary.is_some_and(is) {
            canaries += 1;
        } else {
            assert!(is(stable), "{response:?}");
        }
    }
    // Within four standard deviations.
    let expected = if canary.is_some() { 65..=135 } else { 0..=0 };
    assert!(expected.contains(&canaries), "{canaries} of 400 come from the canary");
}

#[test]
fn the_demo_tells_the_story_and_loses_no_request() {
    let mut demo = Demo::start("--listen 127.0.0.1:0", Stdio::piped());
    let address = demo.address();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut asked = 0;
            while !is_over.load(SeqCst) {
                get(address, "/v1/appinfo"); // Panics where there is no response.
                asked += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            asked
        });
        let (baseline, accepted) = ((&STABLE, ""), (&ACCEPTED, "default"));
        for (number, canary, stable) in [
            (1, None, baseline),
            (2, None, baseline),
            (3, Some((&BROKEN_CANARY, "an error")), baseline),
            (4, None, baseline),
            (5, Some((&FIXED_CANARY, "default")), baseline),
            (6, None, accepted),
        ] {
            demo.happened(number);
            assert_shares(address, canary, stable);
            if number == 2 {
                let label = || get(address, "/v1/appinfo").json()["Labels"]["newlabel"].take();
                until("the label shows", || label() == "realtime");
            }
            if number < 6 {
                demo.enter();
            }
        }
        is_over.store(true, SeqCst);
        let asked = client.join().expect("no request is lost") + 6 * 400;
        demo.enter();
        let (status, stderr) = demo.ended();
        assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        let summary = demo.said("Nothing is left running");
        assert!(summary.contains(" requests came, 0 of them got no answer."), "{summary}");
        let counted: usize = summary.split(' ').next().unwrap().parse().expect("a number");
        assert!(counted > asked, "{counted} of {asked}");
    });
}

/// With `--auto`, though its input stays open; without, once that has ended.
#[test]
fn the_demo_goes_on_by_itself() {
    for (arguments, stdin) in [("--auto 1", Stdio::piped()), ("", Stdio::null())] {
        let mut demo = Demo::start(&format!("--listen :0 {arguments}"), stdin);
        assert!(demo.address().ip().is_loopback());
        let (status, stderr) = demo.ended();
        assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        demo.happened(6);
        demo.said("0 requests came, 0 of them got no answer. Nothing is left running");
        let says_why = demo.stdout.all().iter().any(|line| line.contains("the input has ended"));
        assert_eq!(says_why, arguments.is_empty());
    }
}

#[test]
fn the_demo_explains_what_it_cannot_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let taken = taken.local_addr().expect("it is bound");
    for (arguments, expected) in [
        ("--listen 9000", ["'--listen' with value '9000'", "such as 127.0.0.1:9000 or :9000"]),
        ("--auto 0", ["'--auto' with value '0'", "a whole number of seconds, such as 20"]),
        ("--pace 2", ["Unrecognized argument: --pace", "demo --help"]),
        (&format!("--listen {taken}"), [&format!("cannot listen on {taken}: "), "--listen :9000"]),
    ] {
        let (status, stderr) = Demo::start(arguments, Stdio::null()).ended();
        assert_eq!(status.code(), Some(1));
        assert!(expected.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
}

#[test]
fn ctrl_c_ends_all_that_the_demo_has_started() {
    for to_all in [true, false] {
        let mut demo = Demo::start("--listen 127.0.0.1:0", Stdio::piped());
        demo.happened(1);
        let pods = demo.processes();
        assert_eq!(pods.len(), 6, "three pods are running: a supervisor and a server each");
        // One is gone already.
        kill(pods[0], Signal::SIGKILL).expect("a pod is there");
        // A terminal sends it to the pods, too; `kill` does not.
        let send = if to_all { killpg } else { kill };
        send(demo.pid(), Signal::SIGINT).expect("the demo is there");
        let (status, stderr) = demo.ended();
        assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
        demo.said("Nothing is left running");
    }
}
