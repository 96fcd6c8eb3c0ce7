//! The same commit gives the same bytes on every machine.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::engines::{Engine, Images};
use crate::common::{Folder, have, repository, run, skip};
use crate::recipes::path_without_cargo;
use serde_json::Value;

/// Builds in fresh clones whose folders, `umask`, home and cargo home differ; in the second one without
/// cargo, in a stand-in for a container.
#[test]
#[ignore = "compiles everything twice"]
fn another_folder_and_home_give_the_same_binary_and_image() {
    if !have(&["just", "git"]) {
        return;
    }
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    let path = env::var("PATH").expect("there is a PATH");
    let programs = folder.path().join("programs");
    // Without docker's cache, from which the layers would be the same, whatever was built.
    let docker = r#"case $1 in
    build) shift; set -- build --no-cache "$@" ;;
    run)
        while [ "$1" != bash ]; do shift; done
        mkdir -p "$CONTAINER"
        cd "$CONTAINER"
        RUSTUP_HOME=${RUSTUP_HOME-$HOME/.rustup} HOME=$CONTAINER PATH=$REAL_PATH exec "$@" ;;
esac
PATH=$REAL_PATH exec docker "$@""#;
    // A child writes it: a file that this process has open for writing is for a moment also open in a
    // child that another thread starts, and cannot be executed (ETXTBSY).
    let write = r#"mkdir "$0"; printf '#!/bin/sh\n%s\n' "$1" >"$0/docker"; chmod 755 "$0/docker""#;
    run(Command::new("sh").args(["-ec", write]).arg(&programs).arg(docker));
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cargo_home = cargo_home.expect("there is a home");
    let other_cargo_home = folder.path().join("other cargo home");
    std::fs::create_dir(&other_cargo_home).expect("a folder can be made");
    // What a build needs from there.
    for name in ["config.toml", "registry"] {
        let link = symlink(cargo_home.join(name), other_cargo_home.join(name));
        link.expect("a symlink can be made");
    }

    let build = |name: &str, umask: &str, cargo_home: &Path, recipes_path: &str| {
        let clone = folder.path().join(name);
        run(Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(&clone));
        let just = |arguments: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("umask {umask} && just {arguments}")]).current_dir(&clone);
            shell.env("CARGO_HOME", cargo_home).env("CONTAINER", folder.path().join("container"));
            run(shell.env("PATH", recipes_path).env("REAL_PATH", &path))
        };
        just("ENGINE=docker build");
        let arch = just("--evaluate ARCH");
        let binary = std::fs::read(clone.join("target/image").join(arch).join("appinfo"));
        let engines = ["docker", "podman"].into_iter().filter_map(Engine::of);
        let images = engines.map(|engine| -> (Engine, Value, Value) {
            let images = Images::none(engine);
            just(&format!("{} image broken", images.variables()));
            let mut image = engine.inspect(&images.name(2));
            // Docker's legacy builder writes the time into the image, podman has it fixed.
            let digest =
                if engine.name() == "podman" { image["Digest"].take() } else { Value::Null };
            (engine, image["RootFS"].take(), digest)
        });
        (images.collect::<Vec<_>>(), binary.expect("it is there"))
    };
    let with_docker = format!("{}:{path}", programs.display());
    let (images, binary) = build("here", "022", &cargo_home, &with_docker);
    let without_cargo = path_without_cargo(&programs);
    let name = "in a folder/with a much longer name";
    let (other_images, other_binary) = build(name, "077", &other_cargo_home, &without_cargo);
    assert!(binary == other_binary, "the binaries differ");
    assert_eq!(images, other_images);
}
