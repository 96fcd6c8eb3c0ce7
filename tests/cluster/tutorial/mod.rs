//! README.md and the pages in manifests are tests. The commands, and the output that they show, are read
//! from the pages themselves:
//!
//! - a block of `sh` contains commands, for bash and for zsh. A block of `text` right after it is their
//!   output: the same except for names that Kubernetes makes up, addresses, ages and figures; shares
//!   within what chance allows; three dots for any lines (see `likeness`). A block of `yaml` is an excerpt
//!   of a manifest;
//! - a note in an HTML comment, which the reader does not see, says how to run the next block:
//!   `not run: WHY` (only checked), `background: NAME` (keeps running until `stop: NAME`), `soon`
//!   (repeated until it prints what is shown), `aside` (its variables are forgotten), `outside image`
//!   (needs an image of another registry), `release` (only with a release's files, in a folder that
//!   contains nothing else). Between `load: on` and `load: off` clients count every request, and none may
//!   fail.
//!
//! These tests look up everything that the pages name, and play the tutorial with the real kubectl on a
//! simulated cluster, whose pods are real appinfo processes.
//!
//! With `APPINFO_KUBE_CONTEXT=<context>` they also play it on that cluster, where the three images must
//! be loaded, in a namespace of its own. `APPINFO_NODE_ADDRESS` names a node that can be reached from
//! here, if the first node's InternalIP cannot; `APPINFO_OUTSIDE_IMAGES=0` leaves out what needs images
//! of other registries.

pub mod api;
mod likeness;
mod load;
pub mod make_believe;
pub mod namespace;
mod player;
pub mod readme;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;

use self::readme::{Item, Step};
use crate::common::engines::just;
use crate::common::{self, Appinfo, Start, repository};
use crate::objects::{self, all, id, leaves, named, told};
use regex_lite::Regex;

/// The steps of all pages.
pub fn steps() -> Vec<Step> {
    let step = |item| match item {
        Item::Step(step) => Some(step),
        Item::Stop(_) | Item::Load(_) => None,
    };
    readme::PAGES.map(readme::script).into_iter().flatten().filter_map(step).collect()
}

/// All matches of the pattern's group in `text`.
pub fn matches(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the pattern is right");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn bash_and_zsh_can_read_every_block() {
    if !common::have(&["bash", "zsh"]) {
        return;
    }
    let steps = steps();
    assert!(steps.len() > 30, "the tutorial is there: {} blocks", steps.len());
    for Step { line, commands, .. } in steps {
        for shell in ["bash", "zsh"] {
            let output = Command::new(shell).args(["-n", "-c", &commands]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{shell}, line {line}: {said}");
        }
    }
}

/// Right after a change, `kubectl get pods` also lists the pods that are terminating.
#[test]
fn a_list_after_a_change_says_which_pods_have_to_be_gone() {
    let page = common::text(readme::TUTORIAL);
    let lines: Vec<_> = page.lines().collect();
    let steps = steps().into_iter().filter(|step| step.is("soon"));
    let lists: Vec<_> = steps.filter(|step| step.commands.contains("kubectl get pods")).collect();
    assert_eq!(lists.len(), 4, "{lists:#?}");
    for Step { line, .. } in lists {
        let before = &lines[..line - 1];
        let start = before.iter().rposition(|line| line.starts_with("```")).expect("a block");
        let said = before[start..].join(" ");
        assert!(said.contains("gone") || said.contains("Terminating"), "line {line}: {said}");
    }
}

/// In commands that are run, in commands that are not, and in the prose.
#[test]
fn everything_that_the_pages_name_exists() {
    let pages = readme::text();
    let appinfo = Start::new().spawn();
    let path = r"(?:\$URL|localhost:8080|\n\| `)(/[a-z0-9/]*)";
    let mut paths = matches(path, &pages);
    paths.retain(|path| appinfo.get(path).status == 200);
    let file = r"[ `(\x22]((?:manifests|src|tests|\.ci)/[\w./-]*)";
    let mut files = matches(file, &pages);
    files.retain(|file| repository().join(file).exists());
    let labels = told("/spec/template/metadata/labels/");
    let written = labels.iter().map(|label| label.replace('=', ": ")).collect();
    let settings = matches(r"\[(APPINFO_\w+)[;,]", &help());
    let setting = r"(?:kubectl set env .* | -e )(APPINFO_[A-Z_]+)(?:=\w|-)";
    let container = r"(?:--container=| )([\w-]+)(?:=\x22\$REGISTRY/| \\)";
    for (what, pattern, known) in [
        ("object", r"\b((?:deployment|service)/[a-z-]+)\b", all().iter().map(id).collect()),
        ("label", r"`((?:app|release|canary): \w+)`", written),
        ("label to ask for", r" -l (\w+=\w+)", labels),
        ("container", container, told("/spec/template/spec/containers/name=")),
        ("image", r"\b(localhost/appinfo:\d+)", told("/spec/template/spec/containers/image=")),
        ("rule", r"\b((?:release|canary):\w+:\w+|Canary[A-Z]\w+)", rules()),
        (
            "metric",
            r"`((?:http_requests?|appinfo|process)_\w+(?:\{[a-z,]+\})?)`",
            metrics(&appinfo),
        ),
        ("setting", setting, settings),
        ("file", file, files),
        ("path", path, paths),
    ] {
        let names = matches(pattern, &pages);
        assert!(!names.is_empty(), "the pages name no {what}");
        let absent: Vec<_> = names.difference(&known).collect();
        assert_eq!(absent, [""; 0], "{what}: what the pages name does not exist");
    }
    // Commands that are not run are at least known ones.
    for step in steps().iter().filter(|step| step.is("not run")) {
        let programs = matches(r"(?m)^([a-z]+) ", &step.commands);
        let known = "cargo curl docker gcloud gh just kind kubectl printf sed while";
        let known: Vec<_> = known.split(' ').collect();
        assert!(programs.iter().all(|it| known.contains(&it.as_str())), "{programs:?}");
    }
}

/// The names of the recording rules and the alerts.
fn rules() -> BTreeSet<String> {
    let rules = named("configmap/prometheus")["data"]["rules.yml"].take();
    let rules = serde_saphyr::from_str(rules.as_str().unwrap()).expect("it is YAML");
    matches(r"(?m)^/groups/rules/(?:record|alert)=(.*)", &leaves("", &rules).join("\n"))
}

/// Every metric of the program, alone and with the labels of its series: `name{label,label}`.
fn metrics(appinfo: &Appinfo) -> BTreeSet<String> {
    let metrics = appinfo.get("/metrics").text().to_owned();
    // A histogram's series have one label more: `le`.
    let values = Regex::new(r#"(,le)?="[^"]*""#).expect("the pattern is right");
    let described = matches(r"(?m)^# TYPE (\w+)", &metrics).into_iter().flat_map(|name| {
        let series = metrics.lines().find(|line| line.starts_with(&name)).expect("it has a series");
        let labels = matches(r"\{(.*)\}", &values.replace_all(series, "")).pop_first();
        [format!("{name}{{{}}}", labels.unwrap_or_default()), name]
    });
    described.collect()
}

#[test]
fn every_excerpt_stands_in_a_manifest() {
    let manifest = common::text("manifests/appinfo.yaml");
    let excerpts = matches(r"(?s)\n```yaml\n(.*?)```", &common::text(readme::TUTORIAL));
    assert!(!excerpts.is_empty());
    for excerpt in excerpts {
        assert!(manifest.contains(&excerpt), "manifests/appinfo.yaml does not say\n{excerpt}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let slug = |heading: String| {
        let heading = heading.to_lowercase().replace(' ', "-");
        heading.replace(|letter: char| !letter.is_alphanumeric() && letter != '-', "")
    };
    let headings = |page: &str| -> BTreeSet<_> {
        matches("(?m)^#+ (.*)", &readme::prose(page)).into_iter().map(slug).collect()
    };
    for name in readme::PAGES {
        let page = common::text(name);
        let folder = repository().join(name).parent().expect("it is in a folder").to_owned();
        for target in matches(r#"(?:\]\(|src="|srcset=")([^)"]+)[)"]"#, &readme::prose(&page)) {
            if target.starts_with("https://") {
                continue;
            }
            // On GitHub a page is at OWNER/REPOSITORY/blob/BRANCH/PATH.
            if let Some(up) = target.strip_suffix("releases/latest") {
                assert_eq!(up, "../".repeat(2 + name.matches('/').count()), "{name}: {target}");
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { repository().join(name) } else { folder.join(file) };
            assert!(file.exists(), "{name}: {target}");
            if !anchor.is_empty() {
                let there = headings(&std::fs::read_to_string(&file).expect("it is a page"));
                assert!(there.contains(anchor), "{name}: {target}");
            }
        }
    }
}

/// Runs the block that starts like this in that shell, with a copy of the manifests and without a
/// cluster; returns its output.
fn try_out(shell: &str, start: &str, folder: &common::Folder) -> String {
    let steps = steps();
    let step = steps.iter().find(|step| step.commands.starts_with(start)).expect("it is there");
    let folder = folder.path().display();
    let commands = step.commands.replace("/tmp/", &format!("{folder}/"));
    let copy = format!("cp -R manifests '{folder}' && cd '{folder}' && {commands}");
    let mut shell = Command::new(shell);
    shell.args(["-ec", &copy]).current_dir(repository()).env("KUBECONFIG", "/dev/null");
    common::run(&mut shell)
}

#[test]
fn the_command_that_points_the_manifests_to_a_registry_does_so() {
    if !common::have(&["bash", "zsh"]) {
        return;
    }
    for shell in ["bash", "zsh"] {
        let folder = common::Folder::new();
        try_out(shell, "sed -i", &folder);
        for file in objects::all_files() {
            let file = folder.path().join(file.strip_prefix(repository()).expect("it is ours"));
            let text = std::fs::read_to_string(&file).expect("it was copied");
            assert!(!text.contains("image: localhost/"), "{}: {text}", file.display());
        }
    }
}

#[test]
fn another_prometheus_gets_all_of_the_rules() {
    if common::have(&["bash", "zsh", "kubectl", "promtool"]) {
        for shell in ["bash", "zsh"] {
            let said = try_out(shell, "kubectl patch --local", &common::Folder::new());
            assert!(said.contains("SUCCESS: 11 rules found"), "{said}");
        }
    }
}

/// The program's help, in one line.
pub fn help() -> String {
    let help = String::from_utf8(Start::new().args("--help").output().stdout).expect("UTF-8");
    help.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_table_of_settings_is_what_the_help_says() {
    let rows = Vec::from_iter(matches(r"(?m)^(\| `--.*)", &readme::text())).join(" ");
    for names in ["(--[a-z][a-z-]+)", "(APPINFO_[A-Z_]+)"] {
        assert_eq!(matches(names, &rows), matches(names, &help()), "README.md against --help");
    }
}

#[test]
fn the_table_of_recipes_is_the_justfile() {
    if !common::have(&["just"]) {
        return;
    }
    let summary = common::run(Command::new("just").arg("--summary").current_dir(repository()));
    let recipes: BTreeSet<_> = summary.split_whitespace().map(str::to_owned).collect();
    let cells = Vec::from_iter(matches(r"(?m)^(\| `just [^|]*)", &readme::text())).join("\n");
    assert_eq!(matches(r"`just (\w+)", &cells), recipes);
    let called = matches(r"(?m)(?:^|`)just ([a-z0-9]+)", &readme::text());
    assert!(called.is_subset(&recipes), "{called:?}");
}

#[test]
fn a_try_by_hand_prints_what_the_program_prints() {
    if common::have(&["bash", "zsh", "curl"]) {
        ["bash", "zsh"].into_iter().for_each(try_by_hand);
    }
}

fn try_by_hand(shell: &str) {
    let steps = steps();
    let step = |words: &str| steps.iter().find(|step| step.commands.starts_with(words)).unwrap();
    let shown = |words: &str| step(words).output.as_deref().expect("an output is shown");

    // Port 8080 may be in use on this machine. Another one is shown as the page shows it.
    let folder = common::Folder::new();
    let program = common::program().join(" ");
    let commands = step("printf").commands.replace("/tmp", folder.path().to_str().expect("text"));
    let script = format!("cargo() {{ shift 2; exec {program} \"$@\" --listen :0; }}; {commands}");
    let appinfo = Start::of(&[shell, "-c", &script]).spawn();
    let port = appinfo.address.port().to_string();
    let printed = appinfo.stderr.all().join("\n").replace(&port, "8080");
    let printed = printed.replace(folder.path().to_str().expect("text"), "/tmp");
    likeness::compare(shown("printf"), &printed).unwrap();

    let command = step("curl localhost:8080/v1").commands.replace("8080", &port);
    let printed = common::run(Command::new(shell).args(["-c", &command]));
    assert_eq!(printed, shown("curl localhost:8080/v1"));
}

#[test]
fn the_tutorial_runs_on_a_make_believe_cluster() {
    if common::have(&["bash", "curl", "kubectl"]) {
        player::play(&make_believe::Cluster::start(make_believe::node(&["127.0.0.1"])).access());
    }
}

/// As at a company's desk: zsh, a locale with decimal commas, Debian's awk (which uses them), a proxy
/// that answers nothing, and a node whose first address is an IPv6 one, where this machine has such.
#[test]
fn the_tutorial_runs_in_zsh_with_commas_and_a_proxy() {
    if !common::have(&["zsh", "curl", "kubectl", "mawk", "localedef"]) {
        return;
    }
    let folder = common::Folder::new();
    let locale = folder.path().join("de_DE.UTF-8");
    let mut localedef = Command::new("localedef");
    localedef.args(["--no-archive", "--inputfile=de_DE", "--charmap=UTF-8"]).arg(locale);
    if !localedef.output().is_ok_and(|made| made.status.success()) {
        return common::skip("needs the sources of de_DE.UTF-8 (Debian: apt install locales)");
    }
    let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
    let addresses = if has_ipv6 { &["::1", "127.0.0.1"][..] } else { &["127.0.0.1"] };
    let mut access = make_believe::Cluster::start(make_believe::node(addresses)).access();
    let programs = access.programs.as_ref().expect("there is a folder").path();
    std::fs::write(programs.join("awk"), "#!/bin/sh\nexec mawk \"$@\"\n").expect("it is written");
    common::run(Command::new("chmod").arg("+x").arg(programs.join("awk")));
    access.shell = "zsh";
    access.variables = vec![
        ("LC_ALL", "de_DE.UTF-8".to_owned()),
        ("LOCPATH", folder.path().display().to_string()),
        // The port `discard`: nothing listens there.
        ("http_proxy", "http://127.0.0.1:9".to_owned()),
    ];
    player::play(&access);
}

/// Without a clone: in a folder with the files that the tutorial says to download, and nothing else.
#[test]
#[ignore = "builds a release"]
fn the_tutorial_runs_with_the_files_of_a_release() {
    if !common::have(&["bash", "curl", "kubectl", "just"]) {
        return;
    }
    just("dist localhost");
    let release = common::Folder::new();
    for file in ["manifests.tar.gz", "SHA256SUMS"] {
        let made = repository().join("target/dist").join(file);
        std::fs::copy(made, release.path().join(file)).expect("it is copied");
    }
    let mut access = make_believe::Cluster::start(make_believe::node(&["127.0.0.1"])).access();
    access.release = Some(release);
    player::play(&access);
}

#[test]
fn the_tutorial_runs_on_the_cluster_that_is_named() {
    match namespace::Access::from_environment() {
        Some(access) => player::play(&access),
        None => common::not_asked_for("is for a cluster that APPINFO_KUBE_CONTEXT names"),
    }
}
