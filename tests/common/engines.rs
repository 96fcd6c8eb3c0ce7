//! The container engines as the tests need them: what an image is, to its last byte.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{self as common, Folder, have, run, skip};
use serde_json::Value;
use sha2::{Digest, Sha256};

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
        let told: Value =
            serde_json::from_str(&self.run(&format!("inspect {name}"))).expect("it tells JSON");
        told[0].clone()
    }

    /// The layers of an image, read from the archive that `save` makes of it.
    pub fn layers(self, image: &str) -> Vec<Layer> {
        let folder = Folder::new();
        let archive = folder.path().join("image.tar");
        run(self.command("save --output").arg(&archive).arg(image));
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()));
        let manifest = std::fs::read(folder.path().join("manifest.json")).expect("it has one");
        let manifest: Value = serde_json::from_slice(&manifest).expect("the manifest is JSON");
        let names = manifest[0]["Layers"].as_array().expect("an image has layers");
        names
            .iter()
            .map(|name| {
                let path = folder.path().join(name.as_str().expect("a layer has a name"));
                let bytes = std::fs::read(&path).expect("the layer is there");
                let files = run(Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(&path));
                Layer {
                    digest: format!("sha256:{:x}", Sha256::digest(bytes)),
                    files: files.lines().map(File::of).collect(),
                }
            })
            .collect()
    }
}

/// Runs just in the repository with arguments separated by white space, and returns what it prints;
/// one run at a time, since the recipes lay images out in one folder.
pub fn just(arguments: &str) -> String {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run(Command::new("just").args(arguments.split_whitespace()).current_dir(common::repository()))
}

/// Images under a name of their own, which are removed when this is dropped.
#[derive(Debug, PartialEq)]
pub struct Images {
    pub engine: Engine,
    repository: String,
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

/// A layer, uncompressed.
#[derive(Debug, PartialEq)]
pub struct Layer {
    pub digest: String,
    pub files: Vec<File>,
}

/// An entry of a layer.
#[derive(Debug, PartialEq)]
pub struct File {
    /// As `ls -l` writes it.
    pub mode: String,
    pub owner: String,
    pub bytes: u64,
    /// The path, for a symlink with ` -> ` and its target.
    pub name: String,
}

impl File {
    /// Reads a line of `tar -tv`: mode, owner, bytes, date, time, name.
    fn of(line: &str) -> File {
        let fields: Vec<_> = line.split_whitespace().collect();
        File {
            mode: fields[0].to_owned(),
            owner: fields[1].to_owned(),
            bytes: fields[2].parse().expect("tar tells a size"),
            name: fields[5..].join(" "),
        }
    }
}
