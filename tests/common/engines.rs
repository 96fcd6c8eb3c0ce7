//! The container engines as the tests need them: what an image is, to its last byte.
#![allow(dead_code, reason = "every test binary uses its own part of this")]

use std::process::Command;
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

    /// Builds the image of a variant under that name; removed when dropped.
    pub fn image(self, repository: &str, variant: &str) -> Image {
        // The recipes lay an image out in one folder, whichever engine it is for.
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let (engine, name) = (format!("ENGINE={}", self.0), format!("REPOSITORY={repository}"));
        let mut just = Command::new("just");
        let built =
            run(just.args([&engine, &name, "image", variant]).current_dir(common::repository()));
        let name = built.lines().last().and_then(|line| line.split(' ').next());
        Image(self, name.expect("just names the image").to_owned())
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

/// An image that is removed when dropped.
pub struct Image(Engine, String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = self.0.command("rmi --force").arg(&self.1).output();
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
