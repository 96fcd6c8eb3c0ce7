//! What the pages say, beside the story: that shells can read their commands, that all they name
//! exists, and that the commands which need no cluster print what is shown.

use super::{help, likeness, matches, readme};
use crate::common::*;
use crate::objects::{self, all, id};

/// Acts with bash, then with zsh.
fn in_both_shells(act: impl Fn(&str)) {
    needs!("bash", "zsh");
    ["bash", "zsh"].into_iter().for_each(act);
}

/// Runs the block that contains these words, and then a check, in a folder with a copy of the
/// manifests, and without a cluster.
fn run_without_cluster(words: &str, check: &str) {
    let commands = readme::block(words).commands.replace("/tmp/", "./") + check;
    in_both_shells(|shell| {
        let folder = Folder::new();
        run(command("cp -R manifests").arg(folder.path()).current_dir(repository()));
        let mut shell = Command::new(shell);
        shell.args(["-ec", &commands]).current_dir(folder.path()).env("KUBECONFIG", "/dev/null");
        run(&mut shell);
    });
}

#[test]
fn bash_and_zsh_can_read_every_block() {
    in_both_shells(|shell| {
        for step in readme::blocks() {
            run(Command::new(shell).args(["-n", "-c", &step.commands]));
        }
    });
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
    let manifests = objects::text();
    let labels = matches(r"(?m)^ +((?:app|release|canary): \w+)$", &manifests);
    let images = matches(r"image: (\S+)", &manifests);
    let rules = matches(r"(?:record|alert): ([\w:]+)", &manifests);
    let metrics = matches(r"(?m)^# TYPE (\w+)", appinfo.get("/metrics").text());
    for (what, pattern, known) in [
        ("object", r"\b((?:deployment|service)/[a-z-]+)\b", all().iter().map(id).collect()),
        ("label", r"`((?:app|release|canary): \w+)`", labels),
        ("image", r"\b(localhost/appinfo:\d+)", images),
        ("rule", r"\b((?:release|canary):\w+:\w+|Canary[A-Z]\w+)", rules),
        ("metric", r"`((?:http_requests?|appinfo|process)_\w+)(?:\{[a-z,]+\})?`", metrics),
        ("file", file, files),
        ("path", path, paths),
    ] {
        let names = matches(pattern, &pages);
        assert!(!names.is_empty(), "the pages name no {what}");
        let absent: Vec<_> = names.difference(&known).collect();
        assert_eq!(absent, [""; 0], "{what}: what the pages name does not exist");
    }
}

#[test]
fn every_excerpt_stands_in_a_manifest() {
    let manifest = text("manifests/appinfo.yaml");
    let excerpts = matches(r"(?s)\n```yaml\n(.*?)```", &text(readme::TUTORIAL));
    assert!(!excerpts.is_empty());
    for excerpt in excerpts {
        assert!(manifest.contains(&excerpt), "manifests/appinfo.yaml does not say\n{excerpt}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let slug = |heading: &str| {
        let heading = heading.to_lowercase().replace(' ', "-");
        heading.replace(|letter: char| !letter.is_alphanumeric() && letter != '-', "")
    };
    for name in readme::PAGES {
        let page = repository().join(name);
        let text = readme::prose(&text(name));
        for target in matches(r#"(?:\]\(|src="|srcset=")([^)"]+)[)"]"#, &text) {
            // On GitHub a page is at OWNER/REPOSITORY/blob/BRANCH/PATH.
            if let Some(up) = target.strip_suffix("releases/latest") {
                assert_eq!(up, "../".repeat(2 + name.matches('/').count()), "{name}: {target}");
            } else if !target.starts_with("https://") {
                let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
                let file = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
                assert!(file.exists(), "{name}: {target}");
                let headings = || matches("(?m)^#+ (.*)", &readme::prose(&self::text(&file)));
                let is_there = anchor.is_empty() || headings().iter().any(|it| slug(it) == anchor);
                assert!(is_there, "{name}: {target}");
            }
        }
    }
}

#[test]
fn the_manifests_can_be_pointed_to_a_registry() {
    run_without_cluster("sed -i", "! grep -r --include '*.yaml' 'image: localhost/' manifests");
}

#[test]
fn another_prometheus_gets_all_of_the_rules() {
    needs!("kubectl", "promtool");
    let check = "promtool check rules ./rules.yml | grep 'SUCCESS: 11 rules found'";
    run_without_cluster("kubectl patch --local", check);
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
    needs!("just");
    let summary = run(Command::new("just").arg("--summary").current_dir(repository()));
    let recipes: BTreeSet<_> = summary.split_whitespace().map(str::to_owned).collect();
    let cells = Vec::from_iter(matches(r"(?m)^(\| `just [^|]*)", &readme::text())).join("\n");
    assert_eq!(matches(r"`just (\w+)", &cells), recipes);
    let called = matches(r"(?m)(?:^|`)just ([a-z0-9]+)", &readme::text());
    assert!(called.is_subset(&recipes), "{called:?}");
}

/// README.md's chapter of that name.
#[test]
fn a_try_by_hand_prints_what_the_program_prints() {
    let [start, ask] = ["printf 'app", "curl localhost:8080/v1"].map(readme::block);
    let program = program().join(" ");
    in_both_shells(|shell| {
        // Port 8080 may be in use on this machine. Another one is shown as the page shows it.
        let folder = Folder::new();
        let folder = folder.path().to_str().expect("text");
        let commands = start.commands.replace("/tmp", folder);
        let cargo = format!("cargo() {{ shift 2; exec {program} \"$@\" --listen :0; }}");
        let appinfo = Start::of(&[shell, "-c", &format!("{cargo}; {commands}")]).spawn();
        let port = appinfo.address.port().to_string();
        let printed = appinfo.stderr.all().join("\n").replace(&port, "8080");
        let shown = start.output.as_deref().expect("the page shows the log");
        likeness::compare(shown, &printed.replace(folder, "/tmp")).unwrap();

        let command = ask.commands.replace("8080", &port);
        let printed = run(Command::new(shell).args(["-c", &command]));
        assert_eq!(Some(&printed), ask.output.as_ref());
    });
}
