//! The same commit gives the same bytes, wherever and by whomever it is built.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::engines::Engine;
use crate::common::{self, Folder, have, repository, run, skip};
use sha2::{Digest, Sha256};

/// Builds in two fresh clones, in folders of names that differ in length, by people whose `umask`
/// and home folder differ.
#[test]
fn another_folder_and_home_give_the_same_binary_layer_and_image() {
    if !have(&["just", "git"]) {
        return;
    }
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    let programs = folder.path().join("programs");
    docker_without_its_cache(&programs);
    let cargo_home = cargo_home();
    let other_cargo_home = folder.path().join("other cargo home");
    std::fs::create_dir(&other_cargo_home).expect("a folder can be made");
    std::os::unix::fs::symlink(cargo_home.join("registry"), other_cargo_home.join("registry"))
        .expect("a symlink can be made");

    let mut built = Vec::new();
    for (name, umask, cargo_home) in [
        ("here", "022", cargo_home),
        ("in a folder/with a much longer name", "077", other_cargo_home),
    ] {
        let clone = folder.path().join(name);
        run(Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(&clone));
        let just = |arguments: &str| {
            let path = std::env::var("PATH").unwrap_or_default();
            run(Command::new("sh")
                .args(["-c", &format!("umask {umask} && just {arguments}")])
                .current_dir(&clone)
                .env("CARGO_HOME", &cargo_home)
                .env("PATH", format!("{}:{path}", programs.display())));
        };
        just("build");
        let binary = clone.join("target").join(common::MUSL_TARGET).join("release/appinfo");
        let binary = std::fs::read(binary).expect("the binary is there");
        let mut images = Vec::new();
        for engine in ["docker", "podman"] {
            let Some(engine) = Engine::of(engine) else { continue };
            let repository = format!("localhost/appinfo-reproducible-{}", engine.name());
            just(&format!("ENGINE={} REPOSITORY={repository} image broken", engine.name()));
            let image = format!("{repository}:2");
            // Docker's legacy builder writes the time into the image, podman has it fixed.
            let digest =
                (engine.name() == "podman").then(|| engine.inspect(&image)["Digest"].clone());
            images.push((engine, engine.layers(&image), digest));
            engine.run(&format!("rmi --force {image}"));
        }
        built.push((format!("{:x}", Sha256::digest(binary)), images));
    }
    assert_eq!(built[0], built[1]);
}

/// Where cargo keeps what it has fetched.
fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("there is a home")).join(".cargo"),
        PathBuf::from,
    )
}

/// Puts a `docker` there that builds anew each time: from its cache the layers would be the same
/// whatever had been built.
fn docker_without_its_cache(programs: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let docker = std::env::split_paths(&path)
        .map(|folder| folder.join("docker"))
        .find(|docker| docker.is_file())
        .unwrap_or_else(|| PathBuf::from("/nonexistent/docker"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != build ] || {{ shift; set -- build --no-cache \"$@\"; }}\nexec '{}' \"$@\"\n",
        docker.display()
    );
    std::fs::create_dir(programs).expect("a folder can be made");
    std::fs::write(programs.join("docker"), script).expect("a file can be written");
    std::fs::set_permissions(programs.join("docker"), PermissionsExt::from_mode(0o755))
        .expect("a file can be made executable");
}
