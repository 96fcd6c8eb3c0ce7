//! README.md and the pages in manifests are tests. The commands, and the output that they show, are
//! read from the pages themselves:
//!
//! - a block of `sh` contains commands, for bash and for zsh. A block of `text` right after it is
//!   their output: the same except for names that Kubernetes makes up, addresses, ages and figures;
//!   shares within what chance allows; three dots for any lines (see `likeness`). A block of `yaml`
//!   is an excerpt of a manifest;
//! - a note in an HTML comment, which the reader does not see, says how to run the next block:
//!   `not run: WHY` (only checked), `background: NAME` (keeps running until `stop: NAME`), `soon`
//!   (repeated until it prints what is shown), `aside` (its variables are forgotten), `outside image`
//!   (needs an image of another registry), `release` (only with a release's files, in a folder that
//!   contains nothing else). Between `load: on` and `load: off` clients send requests, and none may
//!   be lost.
//!
//! These tests look up everything that the pages name, and play the tutorial with the real kubectl
//! on a simulated cluster, whose pods are real appinfo processes.
//!
//! With `APPINFO_KUBE_CONTEXT=<context>` they also play it on that cluster, where the three images
//! must be loaded, in a namespace of its own. `APPINFO_NODE_ADDRESS` names a node that can be
//! reached from here, if the first node's InternalIP cannot; `APPINFO_OUTSIDE_IMAGES=0` leaves out
//! what needs images of other registries.

pub mod api;
mod likeness;
mod load;
pub mod namespace;
mod pages;
mod player;
pub mod readme;
pub mod simulated;

use self::namespace::Access;
use self::simulated::Cluster;
use crate::common::*;

/// All matches of the pattern's group in `text`.
pub fn matches(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the pattern is right");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The program's help, in one line.
pub fn help() -> String {
    let help = String::from_utf8(Start::new().args("--help").output().stdout).expect("UTF-8");
    help.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tutorial_runs_on_a_simulated_cluster() {
    needs!("bash", "curl", "kubectl");
    player::play(&Cluster::with_addresses(&["127.0.0.1"]).access());
}

/// Everything else than above: without a clone, in a folder with only the files that the tutorial
/// says to download; in zsh; with a company's proxy, to which nothing may go; and in a locale with
/// decimal commas, which Debian's awk prints.
#[test]
#[ignore = "builds a release"]
fn the_tutorial_runs_with_a_releases_files_in_zsh() {
    needs!("zsh", "curl", "kubectl", "just", "cargo-cyclonedx", "mawk", "localedef");
    // Debian: apt install locales.
    needs!("/usr/share/i18n/locales/de_DE");
    let locales = Folder::new();
    let mut localedef = command("localedef --no-archive --inputfile=de_DE --charmap=UTF-8");
    run(localedef.arg(locales.path().join("de_DE.UTF-8")));
    just("dist localhost");
    let release = Folder::new();
    let mut copy = command("cp target/dist/manifests.tar.gz target/dist/SHA256SUMS");
    run(copy.arg(release.path()).current_dir(repository()));
    let mut access = Cluster::with_addresses(&["127.0.0.1"]).access();
    let programs = Folder::new();
    let link = "ln -s \"$(command -v mawk)\" awk";
    run(Command::new("sh").args(["-c", link]).current_dir(programs.path()));
    access.programs.push(programs.path().to_owned());
    access.release = Some(release);
    access.zsh = true;
    access.variables = vec![
        ("LC_ALL", "de_DE.UTF-8".to_owned()),
        ("LOCPATH", locales.path().display().to_string()),
        // The port `discard`: nothing listens there.
        ("http_proxy", "http://127.0.0.1:9".to_owned()),
    ];
    player::play(&access);
}

#[test]
fn the_tutorial_runs_on_the_cluster_that_is_named() {
    match Access::from_environment() {
        Some(access) => player::play(&access),
        None => not_asked_for("is for a cluster that APPINFO_KUBE_CONTEXT names"),
    }
}
