//! Plays the tutorial: types what README.md says to type on a cluster, in a namespace of its own,
//! and compares what comes with what README.md shows.

use std::collections::HashMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::likeness;
use super::readme::{self, Item, Step};
use crate::common::{self, Folder};

/// How long something that README.md promises for `soon` may take: an alert that waits for a
/// minute has to fit in.
const SOON: Duration = Duration::from_secs(240);

/// The ports of this machine that README.md uses. Others may be taken; so other ones are used.
const PORTS: [&str; 2] = ["8080", "8001"];

/// How to get at a cluster.
pub struct Access {
    /// The only context that is ever used.
    pub context: String,
    /// Where that is described, unless where kubectl looks by itself.
    pub kubeconfig: Option<PathBuf>,
    /// A node that can be reached from here, unless the first one's InternalIP is.
    pub node: Option<String>,
    /// Whether the cluster can have images of other registries.
    pub outside_images: bool,
    /// A folder whose programs go before those of the same name.
    pub programs: Option<Folder>,
}

impl Access {
    /// The cluster that the environment names.
    pub fn from_environment() -> Option<Access> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Some(Access {
            context: variable("APPINFO_KUBE_CONTEXT")?,
            kubeconfig: None,
            node: variable("APPINFO_NODE_ADDRESS"),
            outside_images: variable("APPINFO_OUTSIDE_IMAGES").as_deref() != Some("0"),
            programs: None,
        })
    }
}

/// Plays the part of README.md from "The tutorial" to the next one.
pub fn play(access: &Access) {
    let namespace = Namespace::create(access);
    let mut player = Player::new(access, &namespace);
    let mut in_tutorial = false;
    for item in readme::script() {
        match item {
            Item::Step(step) => {
                in_tutorial = step.part == "The tutorial";
                let left_out = step.not_run || step.outside_image && !access.outside_images;
                if in_tutorial && !left_out {
                    player.step(&step);
                }
            }
            _ if !in_tutorial => {}
            Item::Stop(name) => {
                player.background.remove(&name).expect("what is stopped was started");
            }
            Item::Load(true) => player.load = Some(Load::on(&player.url())),
            Item::Load(false) => player.load.take().expect("the load is on").off(),
        }
    }
    assert!(player.load.is_none() && player.background.is_empty(), "README.md ends what it starts");
}

/// A namespace of the tutorial's own under the strictest pod policy, and a kubeconfig that knows
/// nothing else. Deleted at the end.
struct Namespace {
    folder: Folder,
    name: String,
    path: String,
}

impl Namespace {
    fn create(access: &Access) -> Namespace {
        let folder = Folder::new();
        let copy = folder.path().join("kubeconfig");
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = access.programs.iter().map(|folder| format!("{}:", folder.path().display()));
        let path = programs.collect::<String>() + &path;

        let mut view = Command::new("kubectl");
        view.args([
            "config",
            "view",
            "--raw",
            "--flatten",
            "--minify",
            "--context",
            &access.context,
        ]);
        view.envs(access.kubeconfig.iter().map(|file| ("KUBECONFIG", file)));
        std::fs::write(&copy, common::run(&mut view)).expect("the folder can be written");

        let name = format!("appinfo-tutorial-{}", std::process::id());
        let namespace = Namespace { folder, name, path };
        let name = namespace.name.as_str();
        namespace.kubectl(&["config", "use-context", &access.context]);
        let policy = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"name": name, "labels": policy});
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let file = namespace.folder.path().join("namespace.json");
        std::fs::write(&file, manifest.to_string()).expect("the folder can be written");
        namespace.kubectl(&["create", "-f", file.to_str().expect("a plain path")]);
        namespace.kubectl(&["config", "set-context", "--current", "--namespace", name]);
        namespace
    }

    fn kubectl(&self, arguments: &[&str]) {
        common::run(self.command("kubectl").args(arguments));
    }

    /// A program that knows this namespace of this cluster and no other.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(common::repository()).stdin(Stdio::null());
        command.env("PATH", &self.path).env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.command("kubectl").args(["delete", "namespace", &self.name]).output();
    }
}

struct Player<'a> {
    access: &'a Access,
    namespace: &'a Namespace,
    /// README.md's ports and those used in their place.
    ports: [(&'static str, String); 2],
    background: HashMap<String, Background>,
    load: Option<Load>,
}

impl<'a> Player<'a> {
    fn new(access: &'a Access, namespace: &'a Namespace) -> Player<'a> {
        std::fs::write(namespace.folder.path().join("variables"), "").expect("it can be written");
        let ports = PORTS.map(|port| (port, free_port().to_string()));
        Player { access, namespace, ports, background: HashMap::new(), load: None }
    }

    fn step(&mut self, step: &Step) {
        eprintln!("README.md, line {}:\n{}", step.line, step.commands.trim_end());
        let at = format!("README.md, line {}", step.line);
        if let Some(name) = &step.background {
            let background = self.start(step, &at);
            self.background.insert(name.clone(), background);
            return;
        }
        let start = Instant::now();
        loop {
            match self.attempt(step) {
                Ok(()) => return,
                Err(_) if step.soon && start.elapsed() < SOON => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                Err(why) => panic!("{at}: {why}"),
            }
        }
    }

    /// Types the commands once, and compares.
    fn attempt(&self, step: &Step) -> Result<(), String> {
        let output = self.bash(step).output().expect("bash starts");
        let printed = self.as_shown(&String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {printed}{errors}", output.status));
        }
        step.output.as_ref().map_or(Ok(()), |shown| likeness::compare(shown, &printed))
    }

    /// Starts what stays, and waits until it prints the first line shown, if one is.
    fn start(&self, step: &Step, at: &str) -> Background {
        let file = self.namespace.folder.path().join(format!("line-{}", step.line));
        let output = std::fs::File::create(&file).expect("the folder can be written");
        let mut bash = self.bash(step);
        let child = bash.stdout(output).process_group(0).spawn().expect("bash starts");
        let background = Background(child);
        if let Some(first_line) = step.output.iter().flat_map(|output| output.lines()).next() {
            common::eventually(&format!("{at} prints {first_line:?}"), || {
                let printed = std::fs::read_to_string(&file).unwrap_or_default();
                let mut lines = printed.lines().map(|line| self.as_shown(line));
                lines.any(|line| likeness::compare(first_line, &line).is_ok()).then_some(())
            });
        }
        background
    }

    /// The shell that types a step's commands. It knows the variables that earlier ones have set.
    fn bash(&self, step: &Step) -> Command {
        let keep = step.background.is_none() && !step.aside;
        let keep = if keep { "export -p >\"$VARIABLES\"" } else { "" };
        let commands = self.localised(&step.commands);
        let script = format!("set -euo pipefail; source \"$VARIABLES\"; set -a\n{commands}{keep}");
        let mut bash = self.namespace.command("bash");
        bash.args(["-c", &script]).env("VARIABLES", self.namespace.folder.path().join("variables"));
        bash
    }

    /// README.md's commands with the ports and the node address that serve here.
    fn localised(&self, commands: &str) -> String {
        let [(_, forward), (_, proxy)] = &self.ports;
        let mut commands = commands
            .replace("8080:8080", &format!("{forward}:8080"))
            .replace("localhost:8080", &format!("localhost:{forward}"))
            .replace("localhost:8001", &format!("localhost:{proxy}"))
            .replace("kubectl proxy\n", &format!("kubectl proxy --port={proxy}\n"));
        if let Some(node) = &self.access.node {
            let line = commands.lines().find(|line| line.starts_with("NODE=")).map(str::to_owned);
            commands = line
                .map_or(commands.clone(), |line| commands.replace(&line, &format!("NODE={node}")));
        }
        commands
    }

    /// What was printed, with README.md's names of what differs here.
    fn as_shown(&self, printed: &str) -> String {
        let printed = printed.replace(&self.namespace.name, "default");
        self.ports.iter().fold(printed, |text, (shown, used)| {
            text.replace(&format!(":{used}"), &format!(":{shown}"))
        })
    }

    /// The URL that the tutorial has arrived at.
    fn url(&self) -> String {
        let step =
            Step { commands: "printf %s \"$URL\"\n".to_owned(), aside: true, ..Step::default() };
        common::run(&mut self.bash(&step))
    }
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Commands in the background; they and all that they have started end when dropped.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["--", &format!("-{}", self.0.id())]).output();
        let _ = self.0.wait();
    }
}

/// Two clients that count each request.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Tally>>,
}

/// What became of a client's requests.
#[derive(Default)]
struct Tally {
    answered: usize,
    failed: Vec<String>,
}

impl Load {
    /// One client that keeps its connection until it is told to close, and one with a connection
    /// for each request.
    fn on(url: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = [true, false].map(|keeps| {
            let (stop, url) = (stop.clone(), url.to_owned());
            std::thread::spawn(move || count(&url, keeps, &stop))
        });
        Load { stop, clients: clients.into() }
    }

    fn off(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            let Tally { answered, failed } = client.join().expect("a client does not panic");
            eprintln!("{answered} requests answered, {} failed", failed.len());
            assert!(answered > 100, "a client that counts {answered} answers proves nothing");
            assert!(failed.is_empty(), "requests were lost: {failed:?}");
        }
    }
}

/// Sends one request after the other until told to stop.
fn count(url: &str, keeps: bool, stop: &AtomicBool) -> Tally {
    let rest = url.strip_prefix("http://").expect("a URL");
    let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address: SocketAddr = host
        .to_socket_addrs()
        .expect("the URL has an address")
        .next()
        .expect("the address is known");
    let connection = if keeps { "keep-alive" } else { "close" };
    let request = format!(
        "GET {prefix}/v1/appinfo HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n"
    );

    let mut tally = Tally::default();
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        let mut exchange = || {
            let mut stream = kept.take().map_or_else(|| common::connect(address), Ok)?;
            stream.write_all(request.as_bytes())?;
            let answer = common::read_answer(&mut stream, false)?;
            if keeps && answer.header("connection") != Some("close") {
                kept = Some(stream);
            }
            std::io::Result::Ok(answer)
        };
        match exchange() {
            // The broken canary's error is an answer: the tutorial expects it.
            Ok(answer)
                if answer.status == 200 || answer.text().contains("something went wrong") =>
            {
                tally.answered += 1;
            }
            Ok(answer) => tally.failed.push(format!("{} {}", answer.status, answer.text())),
            Err(error) => tally.failed.push(error.to_string()),
        }
        // A pace that leaves this machine some ports: each is out of use for a minute.
        std::thread::sleep(Duration::from_millis(3));
    }
    tally
}
