//! What must be true of a version before its release, and what the release's workflow relies on.

use std::path::Path;
use std::process::Command;

use crate::common::engines::just;
use crate::common::{Folder, Start, have, repository, run, text};
use regex_lite::Regex;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a pattern's group matches in a file.
fn versions(pattern: &str, file: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).expect("the pattern is right");
    pattern.captures_iter(&text(file)).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_version_is_the_same_everywhere() {
    let locked = versions(r#"name = "appinfo"\nversion = "(.*)""#, "Cargo.lock");
    assert_eq!(locked, [VERSION], "Cargo.lock");
    let released = versions(r"(?m)^## (\d+\.\d+\.\d+) – \d{4}-\d{2}-\d{2}$", "CHANGELOG.md");
    assert_eq!(released.first().map(String::as_str), Some(VERSION), "CHANGELOG.md");
    let headings = versions(r"(?m)^## (\d\S*)", "CHANGELOG.md");
    assert_eq!(headings, released, "each version in CHANGELOG.md has a date");
    let said = Start::new().args("--version").output().stdout;
    assert_eq!(String::from_utf8_lossy(&said), format!("appinfo {VERSION}\n"));

    let mut find = Command::new("find");
    find.args(["README.md", "manifests", "benches", "-name", "*.md", "-o", "-name", "*.yaml"]);
    let files = run(find.current_dir(repository()));
    // `appinfo 1.2.3`, `appinfo-1.2.3`, `appinfo:1.2.3-baseline`, `version="1.2.3"`, a label.
    let pattern = r#"(?:\bappinfo[ :-]v?|appinfo_build_info\{.*version="|app.kubernetes.io/version: "?)(\d+\.\d+\.\d+)"#;
    let named: Vec<_> = files.lines().map(|file| (file, versions(pattern, file))).collect();
    for (file, versions) in &named {
        assert!(versions.iter().all(|version| version == VERSION), "{file}: {versions:?}");
    }
    assert!(named.iter().any(|(_, versions)| !versions.is_empty()), "the pages name the version");
}

/// A copy of the files that these recipes read.
fn copy() -> Folder {
    let folder = Folder::new();
    for file in ["justfile", "Cargo.toml", "CHANGELOG.md"] {
        std::fs::copy(repository().join(file), folder.path().join(file)).expect("it is copied");
    }
    folder
}

/// Whether a recipe succeeds in that folder, its output, and its messages.
fn recipe(folder: &Path, arguments: &str) -> (bool, String, String) {
    let output =
        Command::new("just").args(arguments.split_whitespace()).current_dir(folder).output();
    let output = output.expect("just runs");
    let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn notes_are_the_changelogs_section() {
    if !have(&["just"]) {
        return;
    }
    let folder = copy();
    let changelog = format!(
        "# Changelog\n\n## Unreleased\n\n- Later.\n\n## {VERSION} – 2026-11-30\n\nThis.\n\n\
         ### Added\n\n- That.\n\n## 0.0.1 – 2026-01-01\n\n- Long ago.\n"
    );
    std::fs::write(folder.path().join("CHANGELOG.md"), changelog).expect("it can be written");
    let tag = format!("notes v{VERSION}");
    let expected = "This.\n\n### Added\n\n- That.\n".to_owned();
    assert_eq!(recipe(folder.path(), &tag), (true, expected, String::new()));
}

#[test]
fn a_release_that_does_not_fit_its_tag_is_refused() {
    if !have(&["just"]) {
        return;
    }
    for tag in [VERSION, "v99.0.0", &format!("v{VERSION}-rc1")] {
        let (done, notes, said) = recipe(copy().path(), &format!("notes {tag}"));
        assert!(!done && notes.is_empty(), "{tag}: {notes}");
        let sentence =
            format!("the tag is \"{tag}\", but the version in Cargo.toml asks for \"v{VERSION}\"");
        assert!(said.contains(&sentence), "{tag}: {said}");
    }
    for changelog in [
        "# Changelog\n\n## Unreleased\n\n- This.\n".to_owned(),
        format!("## {VERSION}0 – 2026-11-30\n\n- Another version's.\n"),
        format!("## {VERSION} – 2026-11-30\n\n## 0.0.1 – 2026-01-01\n\n- An empty section.\n"),
    ] {
        let folder = copy();
        std::fs::write(folder.path().join("CHANGELOG.md"), &changelog).expect("it can be written");
        let (done, notes, said) = recipe(folder.path(), &format!("notes v{VERSION}"));
        assert!(!done && notes.is_empty(), "{changelog}: {notes}");
        assert!(said.contains(&format!("needs a section \"## {VERSION} – DATE\"")), "{said}");
    }
}

#[test]
fn images_name_the_page_of_the_git_remote() {
    if !have(&["just", "git"]) {
        return;
    }
    for (remote, page) in [
        ("https://github.com/you/appinfo", Some("https://github.com/you/appinfo")),
        ("https://you:secret@github.com/you/appinfo.git", Some("https://github.com/you/appinfo")),
        ("git@github.com:you/appinfo.git", Some("https://github.com/you/appinfo")),
        ("ssh://git@example.com:2222/a/b/appinfo.git/", Some("https://example.com/a/b/appinfo")),
        ("https://example.com:8443/appinfo.git", Some("https://example.com:8443/appinfo")),
        ("../appinfo", None),
        ("", None),
    ] {
        let folder = copy();
        let mut git = Command::new("git");
        run(git.args(["init", "--quiet"]).current_dir(folder.path()));
        if !remote.is_empty() {
            let mut git = Command::new("git");
            run(git.args(["remote", "add", "origin", remote]).current_dir(folder.path()));
        }
        let (done, told, said) = recipe(folder.path(), "metadata");
        assert!(done, "{said}");
        let value = |name: &str| {
            let name = format!("org.opencontainers.image.{name}=");
            told.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
        };
        assert_eq!(value("source").as_deref(), page, "{remote}");
        assert_eq!(value("url").as_deref(), page, "{remote}");
        assert_eq!(value("documentation"), page.map(|page| format!("{page}#readme")), "{remote}");
        assert_eq!(value("version").as_deref(), Some(VERSION));
        assert!(!told.contains("secret"), "{told}");
    }
}

/// The steps of the workflows call recipes, which the tests run.
#[test]
fn every_recipe_that_a_workflow_calls_exists() {
    if !have(&["just"]) {
        return;
    }
    let recipes = just("--summary");
    let recipes: Vec<_> = recipes.split_whitespace().collect();
    for (workflow, called) in [("ci", &["e2e"][..]), ("release", &["notes", "dist", "release"])] {
        let file = format!(".github/workflows/{workflow}.yml");
        let mut calls = versions(r"(?m)(?:run: |^ {10})just ([a-z0-9]+) ", &file);
        calls.dedup();
        assert!(called.iter().all(|it| calls.iter().any(|call| call == it)), "{calls:?}");
        assert!(calls.iter().all(|it| recipes.contains(&it.as_str())), "{file}: {calls:?}");
    }
}

/// As crates.io would publish it: without the tests, the manifests, the recipes and cargo's settings.
#[test]
#[ignore = "compiles everything once more"]
fn the_packaged_crate_builds_and_runs_from_its_own_folder() {
    let folder = Folder::new();
    let cargo = |arguments: &str, at: &Path| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(arguments.split_whitespace())
            .arg("--target-dir")
            .arg(folder.path().join("target"));
        run(cargo.current_dir(at));
    };
    cargo("package --locked --allow-dirty --no-verify --quiet", repository());
    let name = format!("appinfo-{VERSION}");
    let archive = folder.path().join("target/package").join(format!("{name}.crate"));
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()));
    let package = folder.path().join(name);
    for file in ["LICENSE", "README.md", "CHANGELOG.md", "Cargo.lock"] {
        assert!(package.join(file).is_file(), "{file} is in the package");
    }
    cargo("build --locked --quiet", &package);
    let program = folder.path().join("target/debug/appinfo");
    let appinfo = Start::of(&[program]).env("MY_POD_NAME", "packaged").spawn();
    assert_eq!(appinfo.get("/v1/appinfo").json()["PodName"], "packaged");
    assert!(appinfo.get("/").text().contains("<!doctype html>"));
}
