//! Plays the tutorial: runs its commands on a cluster, in a namespace of its own, and compares
//! their output with what the tutorial shows.

use std::os::unix::process::CommandExt;

use super::load::Load;
use super::namespace::{Access, Namespace};
use super::readme::{Step, TUTORIAL};
use super::{likeness, load, readme};
use crate::common::*;

/// How long a `soon` step may take, alerts that wait for a minute included.
const SOON: Duration = Duration::from_secs(240);

/// Plays the whole tutorial.
pub fn play(access: &Access) {
    let free_port = || TcpListener::bind("127.0.0.1:0")?.local_addr().map(|it| it.port());
    let mut player = Player {
        ports: ["8080", "8001"].map(|port| (port, free_port().unwrap().to_string())),
        background: BTreeMap::new(),
        load: None,
        namespace: Namespace::create(access),
    };
    for step in readme::script(TUTORIAL) {
        let is_left_out = step.is("not run")
            || step.is("release") && access.release.is_none()
            || step.is("outside image") && !access.outside_images;
        match (step.note.as_str(), step.note.strip_prefix("stop: ")) {
            ("load: on", _) => player.load = Some(Load::start(&player.url())),
            ("load: off", _) => player.load.take().expect("the load is on").stop(),
            (_, Some(name)) => player.stop(name),
            _ if is_left_out => {}
            _ => player.step(&step),
        }
    }
    let is_over = player.load.is_none() && player.background.is_empty();
    assert!(is_over, "the tutorial ends what it starts");
}

struct Player<'a> {
    /// The tutorial's ports, and those used instead, since they may be in use on this machine.
    ports: [(&'static str, String); 2],
    background: BTreeMap<String, Background>,
    load: Option<Load>,
    /// The last field, because it is deleted when dropped, and what runs in the background uses it.
    namespace: Namespace<'a>,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) {
        let start = Instant::now();
        let at = format!("{TUTORIAL}, line {}", step.line);
        eprintln!("\n{at}:\n{}", step.commands.trim_end());
        let shows = format!("{at}: it prints what is shown");
        if let Some(name) = step.note.strip_prefix("background: ") {
            let background = self.start(step, &shows);
            self.background.insert(name.to_owned(), background);
        } else if step.is("soon") {
            soon(&shows, || self.attempt(step));
        } else {
            self.attempt(step).unwrap_or_else(|why| panic!("{at}: {why}"));
        }
        if step.commands.contains("NODE_PORT=") {
            soon(&format!("{at}: the Service responds"), || load::request_first(&self.url()));
        }
        eprintln!("({:.1?})", start.elapsed());
    }

    /// Stops a background step, which must not have ended by itself.
    fn stop(&mut self, name: &str) {
        let mut background = self.background.remove(name).expect("what is stopped was started");
        let ended = background.0.try_wait().expect("it can be waited for");
        assert!(ended.is_none(), "{name} ended before it was stopped: {ended:?}");
    }

    /// Runs the commands once, and compares.
    fn attempt(&self, step: &Step) -> Result<(), String> {
        let output = self.shell(step).output().expect("the shell starts");
        let printed = self.as_shown(&String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {printed}{errors}", output.status));
        }
        step.output.as_ref().map_or(Ok(()), |shown| likeness::compare(shown, &printed))
    }

    /// Starts a background step, and waits for the first line of output, if the page shows one.
    fn start(&self, step: &Step, shows: &str) -> Background {
        let mut shell = self.shell(step);
        let started = shell.stdout(Stdio::piped()).process_group(0).spawn();
        let mut child = started.expect("the shell starts");
        let printed = Lines::of(child.stdout.take().expect("stdout is piped"));
        let background = Background(child);
        if let Some(first_line) = step.output.iter().flat_map(|output| output.lines()).next() {
            soon(shows, || {
                let printed = printed.all().into_iter().next().unwrap_or_default();
                likeness::compare(first_line, &self.as_shown(&printed))
            });
        }
        background
    }

    /// The shell for a step's commands. It has the variables that earlier steps have set.
    fn shell(&self, step: &Step) -> Command {
        let forget = step.is("background") || step.is("aside");
        let keep = if forget { "" } else { "export -p >\"$VARIABLES\"" };
        let commands = self.localized(&step.commands);
        let start = "set -euo pipefail; touch \"$VARIABLES\"; source \"$VARIABLES\"; set -a";
        let mut shell = self.namespace.shell(&format!("{start}\n{commands}{keep}"));
        shell.env("VARIABLES", self.namespace.folder.path().join("variables"));
        shell
    }

    /// The tutorial's commands, with the ports and the node address that work here.
    fn localized(&self, commands: &str) -> String {
        let [(_, forward), (_, proxy)] = &self.ports;
        let commands = commands
            .replace("8080:8080", &format!("{forward}:8080"))
            .replace("localhost:8080", &format!("localhost:{forward}"))
            .replace("localhost:8001", &format!("localhost:{proxy}"))
            .replace("kubectl proxy\n", &format!("kubectl proxy --port={proxy}\n"));
        let Some(node) = &self.namespace.access.node else { return commands };
        let line = Regex::new("(?m)^NODE=.*").expect("the pattern is right");
        line.replace_all(&commands, format!("NODE={node}")).into_owned()
    }

    /// The output, with the tutorial's names for what differs here.
    fn as_shown(&self, printed: &str) -> String {
        let printed = printed.replace(&self.namespace.name, "default");
        self.ports.iter().fold(printed, |text, (shown, used)| {
            text.replace(&format!(":{used}"), &format!(":{shown}"))
        })
    }

    /// The current value of the tutorial's `URL`.
    fn url(&self) -> String {
        let (commands, note) = ("printf %s \"$URL\"\n".to_owned(), "aside".to_owned());
        run(&mut self.shell(&Step { commands, note, ..Step::default() }))
    }
}

/// Repeats an attempt until it succeeds, for a limited time; else says what was expected and what
/// came.
fn soon(what: &str, mut attempt: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while let Err(why) = attempt() {
        assert!(start.elapsed() < SOON, "{what}: not in {SOON:?}: {why}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Commands in the background. When dropped, they and all that they have started are killed.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["--", &format!("-{}", self.0.id())]).output();
        let _ = self.0.wait();
    }
}
