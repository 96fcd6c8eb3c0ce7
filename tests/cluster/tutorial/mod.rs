//! README.md is a test. What it says to type, and what it shows to be printed, is taken from the
//! page itself:
//!
//! - a block of `sh` is typed; a block of `text` right after it is what that prints (the same but
//!   for names that Kubernetes makes up, addresses and ages; shares within what chance allows;
//!   three dots for any lines: see `likeness`); a block of `yaml` is an excerpt of a manifest;
//! - a note in an HTML comment, which the reader does not see, says how the next block is run:
//!   `not run: WHY` (only checked), `background: NAME` (left running, until `stop: NAME`), `soon`
//!   (repeated until it prints what is shown), `aside` (the variables that it sets are
//!   forgotten), `outside image` (needs an image of another registry). Between `load: on` and
//!   `load: off` two clients count every request, and none may fail.
//!
//! Always: everything that the page names is looked up, and the tutorial is run by the real
//! kubectl on a make-believe cluster, in which real appinfo processes are the pods.
//!
//! With `APPINFO_KUBE_CONTEXT=<context>`: it is run on that cluster, where the three images must
//! be loaded, in a namespace of its own. `APPINFO_NODE_ADDRESS` names a node that can be reached
//! from here, if the first node's InternalIP cannot; `APPINFO_OUTSIDE_IMAGES=0` leaves out what
//! needs images of other registries.

mod api;
mod likeness;
mod load;
mod make_believe;
mod manifests;
mod namespace;
mod player;
mod readme;
mod shell;

use std::collections::BTreeSet;
use std::process::Command;

use self::manifests::{images, label_values, names, pod_templates, rules};
use self::readme::{Item, Step};
use crate::common::{self, Start, repository};
use regex_lite::Regex;

/// The steps of the whole page.
fn steps() -> Vec<Step> {
    let step = |item| match item {
        Item::Step(step) => Some(step),
        Item::Stop(_) | Item::Load(_) => None,
    };
    readme::script().into_iter().filter_map(step).collect()
}

/// Every simple command on the page, with the line of its block.
fn commands() -> Vec<(usize, Vec<String>)> {
    let commands = |step: Step| {
        let of_step = shell::simple_commands(&step.commands);
        of_step.into_iter().map(move |words| (step.line, words))
    };
    let mut all: Vec<_> = steps().into_iter().flat_map(commands).collect();
    // What stands after `--` runs elsewhere.
    let inner = |(line, words): &(usize, Vec<String>)| {
        let dashes = words.iter().position(|word| word == "--")?;
        (words[0] == "kubectl").then(|| (*line, words[dashes + 1..].to_vec()))
    };
    all.extend(all.iter().filter_map(inner).collect::<Vec<_>>());
    all
}

/// Everything in `text` that matches.
fn matches(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the pattern is right");
    pattern.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn every_block_is_one_that_bash_can_read_and_every_output_follows_its_commands() {
    let steps = steps();
    assert!(steps.len() > 30, "the tutorial is there: {} blocks", steps.len());
    for Step { line, commands, .. } in steps {
        let bash = Command::new("bash").args(["-n", "-c", &commands]).output().unwrap();
        assert!(bash.status.success(), "line {line}: {}", String::from_utf8_lossy(&bash.stderr));
    }
}

#[test]
fn every_command_names_what_exists() {
    let all_words: BTreeSet<_> = commands().into_iter().flat_map(|(_, words)| words).collect();
    for (line, words) in commands() {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match words[0] {
            "kubectl" => check_kubectl(line, &words, &all_words),
            "cargo" => assert!(["run", "test", "bench"].contains(&words[1]), "line {line}"),
            "curl" => check_curl(line, &words),
            "promtool" => {
                let query = words.last().unwrap();
                assert!(*query == "ALERTS" || rules().contains(*query), "line {line}: {query}");
            }
            // Recipes have a test of their own.
            "just" => {}
            "sed" => {
                assert!(words[2].starts_with("s|image: .*/appinfo:|"), "line {line}: {words:?}");
                check_files(&words[3..]);
            }
            "docker" => check_images(words.last().unwrap()),
            "awk" | "clear" | "echo" | "env" | "gcloud" | "grep" | "kind" | "seq" | "sleep"
            | "sort" | "tr" | "true" | "uniq" => {}
            other => panic!("line {line}: nothing here checks what {other} names"),
        }
    }
}

/// Checks what a kubectl command names against the manifests.
fn check_kubectl(line: usize, words: &[&str], all_words: &BTreeSet<String>) {
    let verbs = [
        "create",
        "debug",
        "delete",
        "exec",
        "get",
        "label",
        "port-forward",
        "proxy",
        "rollout",
        "scale",
        "set",
        "wait",
    ];
    assert!(verbs.contains(&words[1]), "line {line}: no verb of this page: {words:?}");
    let words = words.split(|word| *word == "--").next().unwrap();
    for (index, word) in words.iter().enumerate() {
        let after = |flag: &str| index > 0 && words[index - 1] == flag;
        if after("-f") {
            check_files(&[word]);
        } else if after("-l") {
            let (key, value) = word.split_once('=').expect("a label is asked for by its value");
            let carries = |pod: &serde_json::Value| pod["metadata"]["labels"][key] == value;
            assert!(pod_templates().iter().any(carries), "line {line}: no pod has {word}");
        } else if let Some((kind @ ("deployment" | "service"), name)) =
            word.split_once('/').or_else(|| Some((*words.get(index.wrapping_sub(1))?, word)))
        {
            let name = format!("{kind}/{}", name.split('/').next().unwrap());
            assert!(names().contains(&name), "line {line}: there is no {name}");
        } else if let Some(name) = word.strip_prefix("pod/") {
            let made = format!("--copy-to={name}");
            assert!(all_words.contains(&made), "line {line}: nothing makes the pod {name}");
        } else if let Some(container) = word.strip_prefix("--container=") {
            assert!(images().contains_key(container), "line {line}: no container {container}");
        } else if words.starts_with(&["kubectl", "set", "env"]) && word.starts_with("APPINFO_") {
            let variable = word.trim_end_matches('-').split('=').next().unwrap();
            assert!(help().contains(&format!("[{variable};")), "line {line}: no {variable}");
        } else if let Some((container, image)) = word.split_once('=').filter(|_| words[1] == "set")
        {
            assert!(images().contains_key(container), "line {line}: no container {container}");
            check_images(image);
        }
    }
}

/// Every image of ours that the text names is one that a manifest or the table of images names.
fn check_images(text: &str) {
    let known: BTreeSet<_> =
        readme::table("image").iter().map(|row| row[0].replace('`', "")).collect();
    for image in matches(r"localhost/appinfo:\w+", text) {
        assert!(known.contains(&image), "{image} is none of {known:?}");
    }
}

/// Every file or folder exists; a star stands for something.
fn check_files(paths: &[&str]) {
    for path in paths {
        let folder = path.strip_suffix("/*.yaml").unwrap_or(path);
        assert!(repository().join(folder).exists(), "{path} does not exist");
    }
}

/// The program answers at the path that curl is told.
fn check_curl(line: usize, words: &[&str]) {
    let urls =
        words.iter().filter(|word| word.starts_with("localhost:") || word.starts_with("$URL"));
    let urls: Vec<_> = urls.collect();
    assert_eq!(urls.len(), 1, "line {line}: one URL: {words:?}");
    let path = &urls[0][urls[0].find('/').expect("the URL has a path")..];
    assert_ne!(Start::new().spawn().get(path).status, 404, "line {line}: {path}");
}

#[test]
fn every_name_in_the_prose_exists() {
    let metrics = metrics();
    let label_keys = ["app", "release", "canary"];
    let label_values = label_values();
    let folders = ["manifests/", "src/", "tests/", ".ci/"];
    for code in readme::inline_code() {
        check_images(&code);
        if folders.iter().any(|folder| code.starts_with(folder)) {
            check_files(&[&code]);
        }
        let label = code.split_once(": ").filter(|(key, _)| label_keys.contains(key));
        if let Some((_, value)) = label {
            assert!(label_values.contains(value), "no pod has the label {code}");
        }
        if code.starts_with("release:http") || code.starts_with("Canary") {
            assert!(rules().contains(&code), "there is no rule {code}");
        }
        if code.starts_with("http_") || code.starts_with("appinfo_") || code.starts_with("process_")
        {
            assert!(metrics.contains(&code), "there is no metric {code}, only {metrics:?}");
        }
    }
}

/// Every metric of the program, with the labels that all its series have: `name{label,label}`.
fn metrics() -> BTreeSet<String> {
    let appinfo = Start::new().spawn();
    appinfo.get("/v1/appinfo");
    let text = appinfo.get("/metrics").text().to_owned();
    let families = matches(r"(?m)^# TYPE \w+", &text);
    let label = Regex::new(r#"(\w+)=""#).unwrap();
    let described = families.iter().map(|family| {
        let name = family.strip_prefix("# TYPE ").unwrap();
        let series = text.lines().find(|line| line.starts_with(name)).expect("a family has series");
        let labels: Vec<_> = label.captures_iter(series).map(|label| label[1].to_owned()).collect();
        let labels: Vec<_> = labels.into_iter().filter(|label| label != "le").collect();
        if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
    });
    described.collect()
}

#[test]
fn every_excerpt_stands_in_a_manifest() {
    let manifest = std::fs::read_to_string(repository().join("manifests/appinfo.yaml")).unwrap();
    let excerpts = readme::blocks("yaml");
    assert!(!excerpts.is_empty());
    for excerpt in excerpts {
        assert!(manifest.contains(&excerpt), "manifests/appinfo.yaml does not say\n{excerpt}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let prose = readme::prose();
    let slug = |heading: &String| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.replace(|letter: char| !letter.is_alphanumeric() && letter != '-', "")
    };
    let headings: Vec<_> = prose.iter().filter(|line| line.starts_with('#')).map(slug).collect();
    let link = Regex::new(r#"(?:\]\(|src=\"|srcset=\")([^)"]+)[)"]"#).unwrap();
    for link in link.captures_iter(&prose.join("\n")) {
        let target = &link[1];
        match target.strip_prefix('#') {
            Some(anchor) => assert!(headings.iter().any(|slug| slug == anchor), "{target}"),
            None if target.starts_with("https://") => {}
            None => check_files(&[target]),
        }
    }
}

#[test]
fn the_table_of_images_is_what_the_manifests_deploy() {
    let rows = readme::table("image");
    let tags: BTreeSet<_> = rows.iter().map(|row| row[0].replace('`', "")).collect();
    assert_eq!(tags, images()["appinfo-containers"]);
}

fn help() -> String {
    let help = Start::new().without_listen().args("--help").output();
    String::from_utf8(help.stdout).unwrap()
}

#[test]
fn the_table_of_settings_is_what_the_help_says() {
    let help = help();
    let rows = readme::table("flag").concat().join(" ");
    for names in ["--[a-z][a-z-]+", "APPINFO_[A-Z_]+"] {
        // `--flag value` is how the text speaks of any flag.
        assert_eq!(matches(names, &rows), matches(names, &help), "README.md against\n{help}");
    }
}

#[test]
fn the_table_of_endpoints_is_what_the_program_answers() {
    let appinfo = Start::new().spawn();
    for row in readme::table("path") {
        let path = row[0].replace('`', "");
        assert_eq!(appinfo.get(&path).status, 200, "{path}");
    }
}

#[test]
fn the_table_of_recipes_is_the_justfile() {
    if !common::have(&["just"]) {
        return;
    }
    let summary = common::run(Command::new("just").arg("--summary").current_dir(repository()));
    let recipes: BTreeSet<_> = summary.split_whitespace().map(str::to_owned).collect();
    let recipe = |row: Vec<String>| row[0].replace('`', "").split(' ').nth(1).unwrap().to_owned();
    let told: BTreeSet<_> = readme::table("recipe").into_iter().map(recipe).collect();
    assert_eq!(told, recipes);
    for code in
        readme::inline_code().into_iter().chain(steps().into_iter().map(|step| step.commands))
    {
        for called in matches(r"(?m)^just [a-z0-9]+", &code) {
            assert!(recipes.contains(&called[5..]), "there is no recipe for {called}");
        }
    }
}

#[test]
fn the_first_screen_prints_what_the_program_prints() {
    let steps = steps();
    let step = |words: &str| steps.iter().find(|step| step.commands.starts_with(words)).unwrap();
    let shown = |words: &str| step(words).output.as_deref().expect("an output is shown");

    // Port 8080 may be taken on this machine, so it is another, named as the text does.
    let appinfo = Start::new().without_listen().args("--listen :0").spawn();
    let port = appinfo.address.port().to_string();
    let printed = appinfo.stderr.all().join("\n").replace(&port, "8080");
    likeness::compare(shown("cargo run"), &printed).unwrap();

    if common::have(&["curl"]) {
        let command = step("curl").commands.replace("8080", &port);
        let printed = common::run(Command::new("bash").args(["-c", &command]));
        assert_eq!(printed, shown("curl"));
    }
}

#[test]
fn the_tutorial_runs_on_a_make_believe_cluster() {
    if common::have(&["bash", "curl", "kubectl"]) {
        let cluster = make_believe::Cluster::start();
        player::play(&cluster.access());
        let (early, trapped) = cluster.refused();
        assert!(early > 0, "the first to ask the node is refused, as on a real cluster");
        assert_eq!(trapped, 0, "refused from a port that a later client may get");
    }
}

#[test]
fn the_tutorial_runs_on_the_cluster_that_is_named() {
    match namespace::Access::from_environment() {
        Some(access) => player::play(&access),
        // No skip that CI would mind: nobody has named a cluster.
        None => eprintln!("APPINFO_KUBE_CONTEXT names no cluster"),
    }
}
