//! The same commit gives the same bytes on every machine.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::engines::{Engine, Images};
use crate::common::{Folder, MUSL_TARGET, have, repository, run, skip};
use crate::recipes::path_without_cargo;
use sha2::{Digest, Sha256};

/// Builds in fresh clones with folders, `umask` and home folders that differ, and once without cargo.
#[test]
#[ignore = "compiles everything three times"]
fn another_folder_and_home_give_the_same_binary_layer_and_image() {
    if !have(&["just", "git"]) {
        return;
    }
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    // Docker uses no cache, from which the layers would be the same, whatever was built.
    let path = env::var("PATH").expect("there is a PATH");
    let docker = r#"[ "$1" != build ] || { shift; set -- build --no-cache "$@"; }
PATH=${PATH#*:} exec docker "$@""#;
    let programs = folder.path().join("programs");
    docker_is(docker, &programs);
    let path = format!("{}:{path}", programs.display());
    let home = || env::home_dir().expect("there is a home").join(".cargo");
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    let other_cargo_home = folder.path().join("other cargo home");
    std::fs::create_dir(&other_cargo_home).expect("a folder can be made");
    // What a build needs from there.
    for name in ["config.toml", "registry"] {
        let link = symlink(cargo_home.join(name), other_cargo_home.join(name));
        link.expect("a symlink can be made");
    }

    let clone = |name: &str| {
        let clone = folder.path().join(name);
        run(Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(&clone));
        clone
    };
    let digest = |clone: &Path| {
        let binary = clone.join("target").join(MUSL_TARGET).join("release/appinfo");
        format!("{:x}", Sha256::digest(std::fs::read(binary).expect("the binary is there")))
    };
    let build = |name: &str, umask: &str, cargo_home: &Path| {
        let clone = clone(name);
        let just = |arguments: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("umask {umask} && just {arguments}")]).current_dir(&clone);
            run(shell.env("CARGO_HOME", cargo_home).env("PATH", &path))
        };
        just("build");
        let engines = ["docker", "podman"].into_iter().filter_map(Engine::of);
        let images = engines.map(|engine| {
            let images = Images::none(engine);
            just(&format!("{} image broken", images.variables()));
            let image = images.name(2);
            // Docker's legacy builder writes the time into the image, podman has it fixed.
            let digest =
                (engine.name() == "podman").then(|| engine.inspect(&image)["Digest"].take());
            (engine, engine.inspect(&image)["RootFS"].take(), digest)
        });
        let images: Vec<_> = images.collect();
        (digest(&clone), images)
    };
    let here = build("here", "022", &cargo_home);
    assert_eq!(here, build("in a folder/with a much longer name", "077", &other_cargo_home));

    // Without cargo: in a stand-in for a container, which has another home.
    let container = r#"while [ "$1" != bash ]; do shift; done
RUSTUP_HOME=${RUSTUP_HOME-$HOME/.rustup} PATH=$REAL_PATH HOME=$CONTAINER exec "$@""#;
    let programs = folder.path().join("engine");
    docker_is(container, &programs);
    let clone = clone("without cargo");
    let home = folder.path().join("container");
    std::fs::create_dir(&home).expect("a folder can be made");
    let mut just = Command::new("just");
    just.args(["ENGINE=docker", "build"]).current_dir(&clone);
    just.env("PATH", path_without_cargo(&programs)).env("REAL_PATH", path);
    run(just.env("CONTAINER", &home).env("CARGO_HOME", other_cargo_home));
    assert_eq!(here.0, digest(&clone));
}

/// Writes a script of the name `docker`. A child does so: a file that this process has open for writing
/// is for a moment also open in a child that another thread starts, and cannot be executed (ETXTBSY).
fn docker_is(script: &str, folder: &Path) {
    let write = r#"mkdir "$0"; printf '#!/bin/sh\n%s\n' "$1" >"$0/docker"; chmod 755 "$0/docker""#;
    run(Command::new("sh").args(["-ec", write]).arg(folder).arg(script));
}
