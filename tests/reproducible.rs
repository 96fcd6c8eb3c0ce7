//! The same commit gives the same bytes, wherever it is built.

mod common;
mod engines;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Folder, have, repository, run, skip};
use engines::Engine;
use sha2::{Digest, Sha256};

/// Builds in two fresh clones, in folders of names that differ in length, by people whose
/// `umask` differs.
#[test]
fn two_folders_give_the_same_binary_layer_and_image() {
    if !have(&["just", "git"]) {
        return;
    }
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    let clones =
        ["here", "in a folder/with a much longer name"].map(|name| folder.path().join(name));
    let programs = folder.path().join("programs");
    docker_without_its_cache(&programs);

    let mut built = Vec::new();
    for (clone, umask) in clones.iter().zip(["022", "077"]) {
        run(Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(clone));
        just(clone, umask, &programs, "build");
        let binary =
            std::fs::read(clone.join("target").join(common::MUSL_TARGET).join("release/appinfo"))
                .expect("the binary is there");
        let mut images = Vec::new();
        for engine in ["docker", "podman"] {
            let Some(engine) = Engine::of(engine) else { continue };
            let name = format!("localhost/appinfo-reproducible-{}", engine.name());
            let told = format!("ENGINE={} REPOSITORY={name} image broken", engine.name());
            just(clone, umask, &programs, &told);
            let image = format!("{name}:2");
            // Docker's legacy builder writes the time into the image, podman has it fixed.
            let id = (engine.name() == "podman").then(|| engine.inspect(&image)["Digest"].clone());
            images.push((engine, engine.layers(&image), id));
            engine.run(&format!("rmi --force {image}"));
        }
        built.push((format!("{:x}", Sha256::digest(binary)), images));
    }
    assert_eq!(built[0], built[1]);
}

/// Runs just in a clone.
fn just(clone: &Path, umask: &str, programs: &Path, arguments: &str) {
    let path = std::env::var("PATH").unwrap_or_default();
    run(Command::new("sh")
        .args(["-c", &format!("umask {umask} && just {arguments}")])
        .current_dir(clone)
        .env("PATH", format!("{}:{path}", programs.display())));
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
