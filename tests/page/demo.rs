//! `cargo run --example demo`, as somebody new to it uses it.

use std::os::unix::process::CommandExt;

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

    /// Waits until it has printed this so many times, and returns the last of these lines.
    fn said(&self, part: &str, times: usize) -> String {
        eventually(part, || {
            let lines = self.stdout.all();
            lines.into_iter().filter(|line| line.contains(part)).nth(times - 1)
        })
    }

    fn address(&self) -> SocketAddr {
        let line = self.said("The page: ", 1);
        let address = line.trim_start_matches("The page: http://").trim_end_matches('/');
        address.parse().expect("it prints a URL")
    }

    fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process ID fits")
    }

    /// The processes that it has started and that are alive.
    fn processes(&self) -> Vec<i32> {
        let group = self.pid();
        let ours =
            Regex::new(&format!(r"(?m)^ *{group} +(\d+) +[^Z]")).expect("the pattern is right");
        let all = run(&mut command("ps -A -o pgid=,pid=,stat="));
        let pids = ours.captures_iter(&all).map(|found| found[1].parse().expect("a number"));
        pids.filter(|pid| *pid != group).collect()
    }

    /// Waits for its end, after which nothing may be left of it; returns its status and what it printed on
    /// stderr.
    fn ended(&mut self) -> (Option<i32>, String) {
        let status = eventually("the demo ends", || self.child.try_wait().expect("it is a child"));
        // A pod's server dies with its supervisor, a moment later.
        until("no process is left running", || self.processes().is_empty());
        let left: Vec<_> = self.folder.path().read_dir().expect("a folder").collect();
        assert!(left.is_empty(), "files are left: {left:?}");
        let stderr = self.child.stderr.take().expect("stderr is piped");
        (status.code(), io::read_to_string(stderr).expect("it is text"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("the demo said {:#?}", self.stdout.all());
            let _ = command(&format!("kill -9 -- -{}", self.pid())).status();
        }
        let _ = self.child.wait();
    }
}

/// Of 400 responses at each step about a quarter comes from the canary, if there is one, and the rest from
/// stable. No request is lost, also from one step to the next.
#[test]
fn the_demo_tells_the_story_and_loses_no_request() {
    let mut demo = Demo::start("--listen 127.0.0.1:0", Stdio::piped());
    let (address, mut requests) = (demo.address(), 0);
    let mut request = || {
        requests += 1;
        get(address, "/v1/appinfo") // Panics where there is no response.
    };
    let (before, after) = (r#"appinfo-5d8c7b9f4d """#, r#"appinfo-84f6d5c79b "default""#);
    for (step, expected) in [
        (1, vec![before]),
        (2, vec![before]),
        (3, vec![before, "appinfo-canary-broken-6f7d9c8b5c null"]),
        (4, vec![before]),
        (5, vec![before, r#"appinfo-canary-fixed-7b46cc95b8 "default""#]),
        (6, vec![after]),
    ] {
        until("the step has happened", || {
            request();
            demo.stdout.all().iter().filter(|line| line.contains("Look: ")).count() == step
        });
        if step == 2 {
            until("the label shows", || request().json()["Labels"]["newlabel"] == "realtime");
        }
        // By ReplicaSet and namespace.
        let mut counts = BTreeMap::<String, u32>::new();
        for _ in 0..400 {
            let response = request();
            let pod = response.header("appinfo-pod").and_then(|name| name.rsplit_once('-'));
            let (replica_set, _) = pod.expect("a response names its pod");
            let kind = format!("{replica_set} {}", response.json()["Namespace"]);
            *counts.entry(kind).or_default() += 1;
        }
        assert!(counts.keys().eq(&expected), "{counts:?}");
        // Within four standard deviations.
        let is_quarter = |canary: &&str| (65..=135).contains(&counts[*canary]);
        assert!(expected.get(1).is_none_or(is_quarter), "{counts:?}");
        demo.child.stdin.as_mut().expect("stdin is piped").write_all(b"\n").expect("it reads");
    }
    assert_eq!(demo.ended(), (Some(0), String::new()));
    let summary = format!("{requests} requests came, 0 were lost. Nothing is left running");
    demo.said(&summary, 1);
}

/// With `--auto`, though its input stays open; without, once that has ended.
#[test]
fn the_demo_goes_on_by_itself() {
    for (arguments, stdin) in [("--auto 1", Stdio::piped()), ("", Stdio::null())] {
        let mut demo = Demo::start(&format!("--listen :0 {arguments}"), stdin);
        assert!(demo.address().ip().is_loopback());
        assert_eq!(demo.ended(), (Some(0), String::new()));
        demo.said("Look: ", 6);
        demo.said("0 requests came, 0 were lost. Nothing is left running", 1);
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
        ("--auto 0", ["'--auto' with value '0'", "a whole number of seconds from 1, such as 20"]),
        ("--pace 2", ["Unrecognized argument: --pace", "demo --help"]),
        (&format!("--listen {taken}"), [&format!("cannot listen on {taken}: "), "--listen :9000"]),
    ] {
        let (status, stderr) = Demo::start(arguments, Stdio::null()).ended();
        assert_eq!(status, Some(1));
        assert!(expected.iter().all(|part| stderr.contains(part)), "{stderr}");
    }
}

/// A terminal sends the signal to the pods, too; `kill` does not.
#[test]
fn ctrl_c_ends_all_that_the_demo_has_started() {
    for group in ["-", ""] {
        let mut demo = Demo::start("--listen 127.0.0.1:0", Stdio::piped());
        demo.said("Look: ", 1);
        let pods = demo.processes();
        assert_eq!(pods.len(), 6, "three pods are running: a supervisor and a server each");
        signal(pods[0], SIGKILL); // One is gone already.
        run(&mut command(&format!("kill -{SIGINT} -- {group}{}", demo.pid())));
        assert_eq!(demo.ended(), (Some(130), String::new()));
        demo.said("Nothing is left running", 1);
    }
}
