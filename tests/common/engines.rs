//! The container engines as the tests need them: their images and containers.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{have, repository, run, skip};
use serde_json::Value;

/// A container engine that answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Engine(&'static str);

impl Engine {
    /// Docker or podman by its name; none if it, or just, is absent.
    pub fn of(name: &'static str) -> Option<Engine> {
        if !have(&["just", name]) {
            return None;
        }
        if !Command::new(name).args(["ps", "-q"]).output().is_ok_and(|ps| ps.status.success()) {
            skip(&format!("needs {name}, which does not answer"));
            return None;
        }
        Some(Engine(name))
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    /// The engine's own command, with arguments separated by white space.
    pub fn command(self, arguments: &str) -> Command {
        let mut command = Command::new(self.0);
        command.args(arguments.split_whitespace());
        command
    }

    /// Runs that and returns what it prints.
    pub fn run(self, arguments: &str) -> String {
        run(&mut self.command(arguments)).trim().to_owned()
    }

    /// What `inspect` tells of an image or a container.
    pub fn inspect(self, name: &str) -> Value {
        let told = self.run(&format!("inspect {name}"));
        serde_json::from_str::<Value>(&told).expect("it tells JSON")[0].take()
    }
}

/// One run of just at a time, since the recipes lay images out in one folder.
static TURN: Mutex<()> = Mutex::new(());

/// Runs just in the repository with arguments separated by white space, and returns what it prints.
pub fn just(arguments: &str) -> String {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(Command::new("just").args(arguments.split_whitespace()).current_dir(repository()))
}

/// The same for what has to fail; returns what it says of that.
pub fn just_refuses(arguments: &str) -> String {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut just = Command::new("just");
    let just = just.args(arguments.split_whitespace()).current_dir(repository()).output();
    let just = just.expect("just runs");
    assert!(!just.status.success(), "just {arguments} does what it should refuse");
    String::from_utf8_lossy(&just.stderr).into_owned()
}

/// Images under a name of their own, which are removed when this is dropped.
#[derive(Debug, PartialEq)]
pub struct Images {
    pub engine: Engine,
    pub repository: String,
}

impl Images {
    /// None so far: just makes some where it is told [`Images::variables`].
    pub fn none(engine: Engine) -> Images {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let repository = format!("localhost/appinfo-test-{}-{number}", std::process::id());
        Images { engine, repository }
    }

    /// What this recipe makes.
    pub fn of(engine: Engine, recipe: &str) -> Images {
        let images = Images::none(engine);
        just(&format!("{} {recipe}", images.variables()));
        images
    }

    /// Tells just the engine and the name.
    pub fn variables(&self) -> String {
        format!("ENGINE={} REPOSITORY={}", self.engine.name(), self.repository)
    }

    /// The name of the image of a tag.
    pub fn name(&self, tag: usize) -> String {
        format!("{}:{tag}", self.repository)
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // By their names: podman gives an image of the same content the same number, whose ever it is.
        let list = format!("images --format {{{{.Repository}}}}:{{{{.Tag}}}} {}", self.repository);
        let Ok(list) = self.engine.command(&list).output() else { return };
        for name in String::from_utf8_lossy(&list.stdout).lines() {
            let _ = self.engine.command("rmi").arg(name).output();
        }
    }
}

/// A container, removed when dropped.
pub struct Container {
    pub engine: Engine,
    pub id: String,
}

impl Container {
    /// Starts one with these options and this image, separated by white space.
    pub fn start(engine: Engine, arguments: &str) -> Container {
        // In two steps: one that has been made and cannot be started is to be removed as well.
        let container = Container { engine, id: engine.run(&format!("create {arguments}")) };
        container.run("start");
        container
    }

    /// Runs a command of the engine on it and returns what it prints.
    pub fn run(&self, command: &str) -> String {
        self.engine.run(&format!("{command} {}", self.id))
    }

    /// What `inspect` tells of it.
    pub fn inspect(&self) -> Value {
        self.engine.inspect(&self.id)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // podman's `rm` alone would stop it first, which takes as long as its drain time.
        let _ = self.engine.command("kill --signal KILL").arg(&self.id).output();
        let _ = self.engine.command("rm --force").arg(&self.id).output();
    }
}
