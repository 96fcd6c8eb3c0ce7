//! What must be true of a version before its release, and what the release's workflow relies on.

use crate::common::*;
use crate::recipes::Workshop;

/// What a pattern's group matches in a file.
fn versions(pattern: &str, file: &str) -> Vec<String> {
    let pattern = Regex::new(pattern).expect("the pattern is right");
    pattern.captures_iter(&text(file)).map(|found| found[1].to_owned()).collect()
}

#[test]
fn the_version_is_the_same_everywhere() {
    let released = versions(r"(?m)^## (\d+\.\d+\.\d+) – \d{4}-\d{2}-\d{2}$", "CHANGELOG.md");
    assert_eq!(released.first().map(String::as_str), Some(VERSION), "CHANGELOG.md");
    let headings = versions(r"(?m)^## (\d\S*)", "CHANGELOG.md");
    assert_eq!(headings, released, "each version in CHANGELOG.md has a date");
    let mut find = command("find README.md manifests benches -name *.md -o -name *.yaml");
    let files = run(find.current_dir(repository()));
    // `appinfo 1.2.3`, `appinfo-1.2.3`, `appinfo:1.2.3-baseline`, `version="1.2.3"`, a label.
    let pattern = r#"(?:\bappinfo[ :-]v?|appinfo_build_info\{.*version="|app.kubernetes.io/version: "?)(\d+\.\d+\.\d+)"#;
    let named: Vec<_> = files.lines().map(|file| (file, versions(pattern, file))).collect();
    for (file, versions) in &named {
        assert!(versions.iter().all(|version| version == VERSION), "{file}: {versions:?}");
    }
    assert!(named.iter().any(|(_, versions)| !versions.is_empty()), "the pages name the version");
}

/// `.gitattributes` says so, whatever git's settings are.
#[test]
fn a_clone_has_no_carriage_returns() {
    needs!("git");
    let folder = Folder::new();
    let mut clone = command("git clone --quiet --no-local --config core.autocrlf=true");
    run(clone.args([repository(), folder.path()]));
    let ends = run(command("git ls-files --eol").current_dir(folder.path()));
    let changed: Vec<_> = ends.lines().filter(|line| line.contains("w/crlf")).collect();
    assert!(ends.lines().count() > 100 && changed.is_empty(), "{changed:#?}");
}

#[test]
fn notes_are_the_changelogs_section() {
    let Some(workshop) = Workshop::new() else { return };
    let changelog = |text: &str| fs::write(workshop.path("CHANGELOG.md"), text).expect("writable");
    let notes = format!("just notes v{VERSION}");
    for sections in [
        "## Unreleased\n\n- This.\n",
        &format!("## {VERSION}0 – 2026-11-30\n\n- Another version's.\n"),
        &format!("## {VERSION} – 2026-11-30\n\n## 0.0.1 – 2026-01-01\n\n- An empty section.\n"),
    ] {
        changelog(sections);
        let error = format!("CHANGELOG.md needs a section \"## {VERSION} – DATE\"");
        workshop.refuses(&notes, &error);
    }
    changelog(&format!(
        "# Changelog\n\n## Unreleased\n\n- Later.\n\n## {VERSION} – 2026-11-30\n\nThis.\n\n\
         ### Added\n\n- That.\n\n## 0.0.1 – 2026-01-01\n\n- Long ago.\n"
    ));
    assert_eq!(workshop.just(&notes).stdout, "This.\n\n### Added\n\n- That.\n\n");
    for tag in [VERSION, "v99.0.0", &format!("v{VERSION}-rc1")] {
        let error =
            format!("the tag is \"{tag}\", but the version in Cargo.toml asks for \"v{VERSION}\"");
        workshop.refuses(&format!("just notes {tag}"), &error);
    }
}

/// The steps of the workflows call recipes, which the tests run.
#[test]
fn every_recipe_that_a_workflow_calls_exists() {
    needs!("just");
    let recipes = just("--summary");
    let recipes: Vec<_> = recipes.split_whitespace().collect();
    for workflow in ["ci", "release"] {
        let file = format!(".github/workflows/{workflow}.yml");
        let calls = versions(r"(?m)(?:run: |^ {10})just ([a-z0-9]+) ", &file);
        assert!(!calls.is_empty(), "{file} calls recipes");
        assert!(calls.iter().all(|it| recipes.contains(&it.as_str())), "{file}: {calls:?}");
    }
}

/// As crates.io would publish it. `.ci/run` compiles the package.
#[test]
fn the_package_has_what_a_user_of_the_crate_needs() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty"]).current_dir(repository());
    let list = run(&mut cargo);
    for file in ["LICENSE", "README.md", "CHANGELOG.md", "Cargo.lock", "src/main.rs"] {
        assert!(list.lines().any(|line| line == file), "{file}: {list}");
    }
    assert!(!list.contains("tests/"), "{list}");
}
