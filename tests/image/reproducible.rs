//! The same sources give the same bytes on every machine.

use crate::common::*;
use crate::recipes::path_without_cargo;

/// Stands in for docker: runs what a container would run, in a folder of its own that is also its home.
const DOCKER: &str = r#"#!/bin/sh
case $1 in
    ps | --version) exec echo docker ;;
    run)
        while [ "$1" != bash ]; do shift; done
        mkdir "$CONTAINER"
        cd "$CONTAINER"
        RUSTUP_HOME=${RUSTUP_HOME-$HOME/.rustup} HOME=$CONTAINER PATH=$REAL_PATH exec "$@" ;;
esac
"#;

/// Copies the repository and builds there, with the crates that cargo has fetched. A child writes the
/// stand-in: a file that this process has open for writing is for a moment also open in a child that
/// another thread starts, and cannot be executed (ETXTBSY).
const BUILD: &str = r#"umask 077
mkdir -p "in a folder/with a much longer name" programs "cargo home"
printf %s "$DOCKER" >programs/docker
chmod 755 programs/docker
cargo=${CARGO_HOME:-$HOME/.cargo}
ln -s "$(command -v just)" programs
ln -s "$cargo/config.toml" "$cargo/registry" "cargo home"
export CONTAINER=$PWD/container CARGO_HOME="$PWD/cargo home" REAL_PATH=$PATH
cd in*/with*
git -C "$0" ls-files -z | tar -c -C "$0" --null -T - | tar -x --no-same-permissions
PATH=$WITHOUT_CARGO just ENGINE=docker build"#;

/// Builds here, and in a copy without cargo, with another folder, `umask`, home and cargo home. Compares
/// what becomes the layer: the binary and the link, with their modes and times.
#[test]
#[ignore = "compiles everything"]
fn another_folder_and_home_give_the_same_binary_and_layer() {
    needs!("just", "git");
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    let mut build = command("sh -ec");
    build.args([BUILD.as_ref(), repository()]).current_dir(folder.path()).env("DOCKER", DOCKER);
    run(build.env("WITHOUT_CARGO", path_without_cargo(&folder.path().join("programs"))));
    just("build");

    let copy = folder.path().join("in a folder/with a much longer name");
    let arch = just("--evaluate ARCH");
    let [here, there] = [repository(), &copy].map(|folder| {
        let tar = "tar -c --sort name --numeric-owner . | sha256sum";
        run(command("sh -c").arg(tar).current_dir(folder.join("target/image").join(&arch)))
    });
    assert_eq!(here, there);
}
