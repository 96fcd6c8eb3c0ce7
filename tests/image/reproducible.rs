//! The same sources give the same bytes on every machine.

use std::os::unix::fs::symlink;

use crate::common::*;
use crate::recipes::path_without_cargo;

/// Stands in for docker and podman. It runs what a container would run, in a folder of its own that is
/// also its home. It builds without a cache, from which a layer would be the same, whatever is built.
const ENGINE: &str = r#"#!/bin/sh
case $1 in
    ps | --version) exec echo "${0##*/}" ;;
    build) shift; set -- build --no-cache "$@" ;;
    run)
        while [ "$1" != bash ]; do shift; done
        mkdir -p "$CONTAINER"
        cd "$CONTAINER"
        RUSTUP_HOME=${RUSTUP_HOME-$HOME/.rustup} HOME=$CONTAINER PATH=$REAL_PATH exec "$@" ;;
esac
PATH=$REAL_PATH exec "${0##*/}" "$@"
"#;

/// Builds here, and in a copy without cargo, with another folder, `umask`, home and cargo home.
#[test]
#[ignore = "compiles everything"]
fn another_folder_and_home_give_the_same_binary_and_layer() {
    needs!("just", "git");
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    let copy = folder.path().join("in a folder/with a much longer name");
    let (programs, cargo_home) = (folder.path().join("programs"), folder.path().join("cargo home"));
    // A child writes the program: a file that this process has open for writing is for a moment also open
    // in a child that another thread starts, and cannot be executed (ETXTBSY).
    let prepare = r#"umask 077
mkdir -p "$0" "$1" "$2"
printf %s "$3" >"$1/docker"
chmod 755 "$1/docker"
ln -s docker "$1/podman"
git ls-files -z | tar -c --null -T - | tar -x --no-same-permissions -C "$0""#;
    let mut shell = Command::new("sh");
    shell.args(["-ec", prepare]).arg(&copy).args([&programs, &cargo_home]).arg(ENGINE);
    run(shell.current_dir(repository()));
    // What a build needs from the real one.
    let real = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let real =
        real.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).expect("there is a home");
    for name in ["config.toml", "registry"] {
        symlink(real.join(name), cargo_home.join(name)).expect("a symlink can be made");
    }
    let path = path_without_cargo(&programs);
    let just_there = |arguments: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask 077 && just {arguments}")]).current_dir(&copy);
        shell.env("PATH", &path).env("REAL_PATH", std::env::var_os("PATH").unwrap_or_default());
        run(shell.env("CARGO_HOME", &cargo_home).env("CONTAINER", folder.path().join("container")))
    };

    just("build");
    just_there("ENGINE=docker build");
    let binary = Path::new("target/image").join(just("--evaluate ARCH")).join("appinfo");
    let [here, there] = [repository(), &copy].map(|folder| std::fs::read(folder.join(&binary)));
    assert!(here.expect("it is there") == there.expect("it is there"), "the binaries differ");
    for engine in ["docker", "podman"].into_iter().filter_map(Engine::of) {
        let (here, there) = (Images::of(engine, "image broken"), Images::none(engine));
        just_there(&format!("{} image broken", there.variables()));
        let [here, there] =
            [here, there].map(|images| engine.inspect(&images.name(2))["RootFS"].take());
        assert_eq!(here, there, "{engine:?}");
    }
}
