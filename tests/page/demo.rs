//! `cargo run --example demo`, as somebody new to it uses it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::common::pod::{ACCEPTED, BROKEN_CANARY, FIXED_CANARY, Release, STABLE};
use crate::common::{Folder, Lines, eventually, get, repository, run, until};

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

    /// Waits until it has said this, and tells the line.
    fn said(&self, part: &str) -> String {
        eventually(part, || self.stdout.all().into_iter().find(|line| line.contains(part)))
    }

    /// Lets the next step happen.
    fn enter(&mut self) {
        self.child.stdin.as_mut().expect("stdin is piped").write_all(b"\n").expect("it reads");
    }

    /// Waits until so many steps have happened.
    fn happened(&self, number: usize) {
        let looks = || self.stdout.all().iter().filter(|line| line.contains("Look: ")).count();
        until("a step has happened", || looks() == number);
    }

    fn address(&self) -> SocketAddr {
        let line = self.said("The page: ");
        let url = line.rsplit_once(' ').expect("it tells a URL").1;
        url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a process number fits"))
    }

    /// The processes that it has started and that are alive.
    fn processes(&self) -> Vec<Pid> {
        let group = self.child.id().to_string();
        let all = run(Command::new("ps").args(["-A", "-o", "pid=,pgid=,stat="]));
        let ours = all.lines().filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let is_pod = words[1] == group && words[0] != group && !words[2].starts_with('Z');
            is_pod.then(|| Pid::from_raw(words[0].parse().expect("a number")))
        });
        ours.collect()
    }

    /// Waits for its end, after which nothing may be left of it.
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

/// What a step promises of 400 answers: these and no others, within four standard deviations.
fn assert_shares(address: SocketAddr, promised: &[(&Release, &str, RangeInclusive<u32>)]) {
    let mut got: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..400 {
        let answer = get(address, "/v1/appinfo");
        let header = |name| answer.header(name).expect("an answer names its pod and release");
        let pod = header("appinfo-pod").rsplit_once('-').expect("a name with a suffix").0;
        let told = match answer.status {
            500 => "error".to_owned(),
            _ => answer.json()["Namespace"].as_str().expect("a namespace").to_owned(),
        };
        *got.entry(format!("{pod} {} {told:?}", header("appinfo-release"))).or_default() += 1;
    }
    assert_eq!(got.len(), promised.len(), "{got:?}");
    for (release, rest, range) in promised {
        let kind = format!("{} {rest}", release.prefix());
        assert!(got.get(&kind).is_some_and(|n| range.contains(n)), "{kind}, {range:?}: {got:?}");
    }
}

#[test]
fn the_demo_tells_the_story_with_the_shares_that_it_promises_and_loses_no_request() {
    let mut demo = Demo::start("--listen 127.0.0.1:0", Stdio::piped());
    let address = demo.address();
    let told = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut asked = 0;
            while !told.load(SeqCst) {
                get(address, "/v1/appinfo"); // Panics where there is no answer.
                asked += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            asked
        });
        let all = 400..=400;
        let (quarter, rest) = (65..=135, 265..=335);
        let promises: [&[_]; 6] = [
            &[(&STABLE, "stable \"\"", all.clone())],
            &[(&STABLE, "stable \"\"", all.clone())],
            &[
                (&BROKEN_CANARY, "canary \"error\"", quarter.clone()),
                (&STABLE, "stable \"\"", rest.clone()),
            ],
            &[(&STABLE, "stable \"\"", all.clone())],
            &[(&FIXED_CANARY, "canary \"default\"", quarter), (&STABLE, "stable \"\"", rest)],
            &[(&ACCEPTED, "stable \"default\"", all)],
        ];
        for (number, promised) in (1..).zip(promises) {
            demo.happened(number);
            assert_shares(address, promised);
            if number == 2 {
                let label = || get(address, "/v1/appinfo").json()["Labels"]["newlabel"].take();
                until("the label shows", || label() == "realtime");
            }
            if number < 6 {
                demo.enter();
            }
        }
        told.store(true, SeqCst);
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

#[test]
fn the_demo_goes_on_by_itself_when_told_to_or_when_its_input_has_ended() {
    // Of --auto, an input that stays open makes no end; without it, that has ended before it began.
    for (arguments, stdin) in [("--auto 1", Stdio::piped()), ("", Stdio::null())] {
        let mut demo = Demo::start(&format!("--listen :0 {arguments}"), stdin);
        assert!(demo.address().ip().is_loopback());
        demo.said("0 requests came, 0 of them got no answer. Nothing is left running");
        let (status, stderr) = demo.ended();
        assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        demo.happened(6);
        let says_why = demo.stdout.all().iter().any(|line| line.contains("the input has ended"));
        assert_eq!(says_why, arguments.is_empty());
    }
}

#[test]
fn the_demo_says_what_it_expected_where_it_cannot_take_a_value() {
    for (arguments, expected) in [
        ("--listen 9000", "such as 127.0.0.1:9000 or :9000"),
        ("--auto 0", "a whole number of seconds, such as 20"),
        ("--pace 2", "Unrecognized argument: --pace"),
    ] {
        let (status, stderr) = Demo::start(arguments, Stdio::null()).ended();
        assert_eq!(status.code(), Some(1));
        assert!(stderr.starts_with("demo: ") && stderr.contains(expected), "{stderr}");
        assert!(stderr.contains("`cargo run --example demo -- --help`"), "{stderr}");
    }
}

#[test]
fn the_demo_ends_all_it_has_started_on_ctrl_c_even_what_is_gone_already() {
    for to_all in [true, false] {
        let mut demo = Demo::start("--listen 127.0.0.1:0", Stdio::piped());
        demo.happened(1);
        demo.enter();
        demo.happened(2);
        let pods = demo.processes();
        assert_eq!(pods.len(), 6, "three pods are running: a supervisor and a server each");
        kill(pods[0], Signal::SIGKILL).expect("a pod is there");
        // A terminal sends it to the pods, too; `kill` does not.
        let send = if to_all { killpg } else { kill };
        send(demo.pid(), Signal::SIGINT).expect("the demo is there");
        let (status, stderr) = demo.ended();
        assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
        demo.said("Nothing is left running");
    }
}

#[test]
fn the_demo_says_in_a_sentence_that_its_port_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("it is bound");
    let mut demo = Demo::start(&format!("--listen {address}"), Stdio::null());
    let (status, stderr) = demo.ended();
    assert_eq!(status.code(), Some(1));
    let sentence = format!("demo: cannot listen on {address}: ");
    assert!(stderr.starts_with(&sentence) && stderr.lines().count() == 1, "{stderr}");
    assert!(stderr.contains("in use") && stderr.contains("--listen"), "{stderr}");
}
