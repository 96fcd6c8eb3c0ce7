//! The justfile, with a stand-in for the programs that it calls, which logs their arguments. `images`,
//! `push` and `reproducible` test it with real engines, `clusters.rs` with a real kubectl.

use std::env;
use std::os::unix::fs::symlink;
use std::process::Output;

use crate::common::*;
use crate::variants::{IMAGES, VARIANTS};

/// A PATH with these programs, where there is no cargo.
pub fn path_without_cargo(programs: &Path) -> String {
    let path = env::var_os("PATH").expect("there is a PATH");
    let folders: Vec<_> = env::split_paths(&path).collect();
    let just = folders.iter().map(|folder| folder.join("just")).find(|just| just.is_file());
    symlink(just.expect("it is there"), programs.join("just")).expect("a symlink can be made");
    let rest = folders.into_iter().filter(|folder| !folder.join("cargo").exists());
    let path = env::join_paths(std::iter::once(programs.to_owned()).chain(rest));
    path.expect("they come from a PATH").into_string().expect("it is UTF-8")
}

/// A copy of what the recipes need, where they may write, with the stand-ins first on the PATH.
struct Workshop {
    folder: Folder,
    /// Where the stand-ins write: elsewhere, since a recipe packs the folder while they do.
    log: Folder,
    path: String,
}

impl Workshop {
    /// None where there is no just.
    fn new() -> Option<Workshop> {
        needs!("just", "bash");
        let folder = Folder::new();
        for file in ["justfile", "Cargo.toml", "rust-toolchain.toml"] {
            let copy = folder.path().join(file);
            std::fs::copy(repository().join(file), copy).expect("it is copied");
        }
        let programs = folder.path().join("programs");
        std::fs::create_dir(&programs).expect("a folder can be made");
        for name in ["cargo", "docker", "podman", "kubectl", "kind", "minikube", "k3d", "git"] {
            let stand_in = repository().join("tests/image/stand-in");
            symlink(stand_in, programs.join(name)).expect("a symlink can be made");
        }
        let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap_or_default());
        Some(Workshop { folder, log: Folder::new(), path })
    }

    /// Runs this line, on a machine where both engines respond unless the line says otherwise.
    fn run(&self, line: &str) -> Ran {
        let log = self.log.path().join("log");
        let _ = std::fs::remove_file(&log);
        let output = Command::new("bash")
            .args(["-c", line])
            .current_dir(self.folder.path())
            .env_remove("ENGINE")
            .env_remove("APPINFO_REPOSITORY")
            .env("ENGINES", "docker podman")
            .env("CONTEXT", "kind-canary")
            .env("PATH", &self.path)
            .env("LOG", &log)
            .output()
            .expect("bash runs");
        let calls = std::fs::read_to_string(log).unwrap_or_default();
        Ran { output, calls: calls.lines().map(str::to_owned).collect() }
    }

    /// Runs a line that must succeed.
    fn just(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert!(ran.output.status.success(), "{line}: {ran:#?}");
        ran
    }

    /// Runs a line that must fail with this message.
    fn refuses(&self, line: &str, sentence: &str) -> Ran {
        let ran = self.run(line);
        let messages = String::from_utf8_lossy(&ran.output.stderr);
        assert!(!ran.output.status.success() && messages.contains(sentence), "{line}: {ran:#?}");
        ran
    }
}

/// A line that was run, and the stand-ins' calls.
#[derive(Debug)]
struct Ran {
    output: Output,
    calls: Vec<String>,
}

impl Ran {
    /// Its output.
    fn stdout(&self) -> &str {
        str::from_utf8(&self.output.stdout).expect("it is UTF-8")
    }

    /// The calls that start like this.
    fn calls_of(&self, start: &str) -> Vec<&str> {
        self.calls.iter().map(String::as_str).filter(|call| call.starts_with(start)).collect()
    }

    /// Fails unless it builds the images of all variants with that command, in the order of their
    /// tags.
    #[track_caller]
    fn builds_all(&self, command: &str, name: &str) {
        let builds = self.calls_of(command);
        assert_eq!(builds.len(), VARIANTS.len(), "{self:#?}");
        for (call, (tag, variant)) in builds.iter().zip((1..).zip(VARIANTS)) {
            has_words(call, &format!("VARIANT={variant} {name}:{tag}"));
        }
    }
}

#[track_caller]
fn has_words(call: &str, words: &str) {
    let call_words: Vec<_> = call.split_whitespace().collect();
    for word in words.split_whitespace() {
        assert!(call_words.contains(&word), "{word} is missing in: {call}");
    }
}

/// The metadata in a call, without its prefix: the first word of each value, by its name.
fn metadata(call: &str, prefix: &str) -> BTreeMap<String, String> {
    let prefix = format!("{prefix}org.opencontainers.image.");
    let fields = call.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
    let fields = fields.map(|field| field.split_once('=').expect("it has a value"));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn just_alone_is_the_manual_of_all_recipes() {
    let Some(workshop) = Workshop::new() else { return };
    let (manual, dump) = (workshop.just("just"), workshop.just("just --dump --dump-format json"));
    let manual = manual.stdout();
    let dump: Value = serde_json::from_str(dump.stdout()).expect("it is JSON");
    let recipes = dump["recipes"].as_object().expect("there are recipes");
    for (name, recipe) in recipes.iter().filter(|(_, recipe)| recipe["private"] == false) {
        let doc = recipe["doc"].as_str().unwrap_or_else(|| panic!("{name} has a comment"));
        let start = format!("    {name} ");
        let mut lines = manual.lines();
        let is_listed = lines.any(|line| line.starts_with(&start) && line.ends_with(doc));
        assert!(is_listed, "{name} is in the manual:\n{manual}");
        assert!(recipe["attributes"].to_string().contains("group"), "{name} is in a group");
    }
}

#[test]
fn image_takes_variant_name_and_engine_as_people_type_them() {
    let Some(workshop) = Workshop::new() else { return };
    for (line, engine, words) in [
        ("just image", "docker", "VARIANT=baseline localhost/appinfo:1"),
        ("just image broken", "docker", "VARIANT=broken localhost/appinfo:2"),
        ("just image VARIANT=broken", "docker", "VARIANT=broken localhost/appinfo:2"),
        ("just VARIANT=namespace image", "docker", "VARIANT=namespace localhost/appinfo:3"),
        ("just REPOSITORY=here.example/appinfo image", "docker", "here.example/appinfo:1"),
        ("APPINFO_REPOSITORY=here.example/you just image", "docker", "here.example/you:1"),
        // Docker if it responds, else podman.
        ("ENGINES=podman just image", "podman", "localhost/appinfo:1"),
        ("ENGINE=podman just image", "podman", "localhost/appinfo:1"),
        // Some systems have podman under docker's name.
        ("DOCKER_VERSION='podman version 4.9' just image", "podman", "localhost/appinfo:1"),
    ] {
        let ran = workshop.just(line);
        let both = [ran.calls_of("docker build "), ran.calls_of("podman build ")].concat();
        let [build] = both[..] else { panic!("{line} builds one image: {ran:#?}") };
        let revision = "org.opencontainers.image.revision=0123456789abcdef";
        has_words(build, &format!("{engine} {words} {revision}"));
    }
}

#[test]
fn images_name_the_page_of_the_git_remote() {
    let Some(workshop) = Workshop::new() else { return };
    for (remote, page) in [
        ("https://github.com/you/appinfo", Some("https://github.com/you/appinfo")),
        (
            "https://you:secret@example.com:8443/appinfo.git",
            Some("https://example.com:8443/appinfo"),
        ),
        ("git@github.com:you/appinfo.git", Some("https://github.com/you/appinfo")),
        ("ssh://git@example.com:2222/a/b/appinfo.git/", Some("https://example.com/a/b/appinfo")),
        ("../appinfo.git", None),
        ("", None),
    ] {
        let ran = workshop.just(&format!("REMOTE='{remote}' just image"));
        let metadata = metadata(ran.calls_of("docker build ")[0], "");
        let page = |suffix| page.map(|page| format!("{page}{suffix}"));
        assert_eq!(metadata.get("source").cloned(), page(""), "{remote}");
        assert_eq!(metadata.get("url").cloned(), page(""), "{remote}");
        assert_eq!(metadata.get("documentation").cloned(), page("#readme"), "{remote}");
    }
}

#[test]
fn an_index_is_annotated_as_its_images_are_labeled() {
    let Some(workshop) = Workshop::new() else { return };
    for (engine, build, index, prefix) in [
        ("ENGINES=docker BUILDX=1", "docker buildx build ", "docker buildx build ", "index:"),
        ("PODMAN_5=1", "podman build ", "podman manifest create --annotation ", ""),
    ] {
        let ran = workshop.just(&format!(
            "{engine} REMOTE=git@example.com:you/appinfo.git just push registry.example/team"
        ));
        let labels = metadata(ran.calls_of(build)[0], "");
        assert!(labels.contains_key("title") && labels.contains_key("source"), "{ran:#?}");
        let indexes = ran.calls_of(index);
        assert_eq!(indexes.len(), VARIANTS.len(), "{ran:#?}");
        indexes.iter().for_each(|call| assert_eq!(metadata(call, prefix), labels));
    }
    // podman 4 would refuse the option.
    let ran = workshop.just("just push registry.example/team");
    assert!(!format!("{ran:?}").contains("--annotation"), "{ran:#?}");
}

#[test]
fn impossible_requests_are_refused_before_a_build() {
    let Some(workshop) = Workshop::new() else { return };
    for (line, sentence) in [
        ("just image borken", "no variant \"borken\": it can be one of baseline broken namespace."),
        ("just image VARIANT=", "no variant \"\""),
        ("ENGINES= just image", "needs docker with its daemon running, or podman, and neither"),
        ("ENGINE=nerdctl just image", "or podman, and nerdctl does not answer."),
        ("just ARCH=x86_64 build", "\"x86_64\", but it can be amd64 or arm64 only."),
        ("ENGINES=docker just push registry.example", "need podman, or docker with buildx"),
        ("ENGINES=podman just load docker-desktop", "docker does not answer"),
        ("just load gke_canary", "or push the images to a registry"),
        ("CONTEXT= just load", "name another context (just load CONTEXT)"),
    ] {
        let ran = workshop.refuses(line, sentence);
        let built = ran.calls.iter().any(|call| call.contains(" build "));
        assert!(!built, "{line}: {ran:#?}");
    }
}

#[test]
fn an_image_for_another_architecture_is_refused() {
    let Some(workshop) = Workshop::new() else { return };
    workshop.refuses("BUILDS=amd64 just ARCH=arm64 image broken", "for amd64 instead of arm64");
    workshop.just("just ARCH=arm64 image broken");
}

#[test]
fn without_cargo_the_engine_compiles() {
    let Some(mut workshop) = Workshop::new() else { return };
    let programs = workshop.folder.path().join("programs");
    std::fs::remove_file(programs.join("cargo")).expect("it is there");
    workshop.path = path_without_cargo(&programs);
    for engine in ["docker", "podman"] {
        let ran = workshop.just(&format!("ENGINES={engine} just ARCH=amd64 images"));
        for run in ran.calls_of(&format!("{engine} run --rm --interactive ")) {
            has_words(run, "appinfo-rust-1.95.0:/usr/local docker.io/library/rust:1.95.0-slim");
        }
        ran.builds_all(&format!("{engine} build "), "localhost/appinfo");
        let program = workshop.folder.path().join("target/image/amd64/appinfo");
        assert_eq!(std::fs::read_to_string(program).expect("it is there"), "program\n");
    }
}

#[test]
fn load_gives_the_images_to_the_cluster_of_the_context() {
    let Some(workshop) = Workshop::new() else { return };
    for (line, load) in [
        // The current context, or the one that is named.
        ("just load", "kind load image-archive target/images.tar --name canary"),
        ("just load minikube", "minikube --profile minikube image load target/images.tar"),
        ("CONTEXT=k3d-3 just load", "k3d image import target/images.tar --cluster 3"),
        // By what the nodes say, whatever the context is called.
        (
            "NODE='kind://docker/canary/canary-control-plane {}' just load work",
            "kind load image-archive target/images.tar --name canary",
        ),
    ] {
        for (engine, flags) in [("docker", ""), ("podman", "--multi-image-archive")] {
            let ran = workshop.just(&format!("export ENGINE={engine}; {line}"));
            ran.builds_all(&format!("{engine} build "), "localhost/appinfo");
            let saved = ran.calls_of(&format!("{engine} save "));
            has_words(saved[0], &format!("{} {flags}", IMAGES.join(" ")));
            assert_eq!(ran.calls.last().map(String::as_str), Some(load), "{line}: {ran:#?}");
        }
    }
    // A cluster that takes its images from docker, whatever engine is set.
    workshop
        .just("ENGINE=podman just load orbstack")
        .builds_all("docker build ", "localhost/appinfo");
}

#[test]
fn load_prints_the_command_where_only_nodes_can_load() {
    let Some(workshop) = Workshop::new() else { return };
    for (node, command) in [
        ("k3s://laptop {}", "sudo k3s ctr images import images.tar"),
        ("{\"microk8s.io/cluster\":\"true\"}", "microk8s ctr image import images.tar"),
    ] {
        let sentence = format!("on each node, with a copy of target/images.tar: {command}\n");
        workshop.refuses(&format!("NODE='{node}' just load default"), &sentence);
        assert!(workshop.folder.path().join("target/images.tar").is_file());
    }
}

#[test]
fn e2e_loads_what_it_can_and_runs_the_tutorial_on_the_context() {
    let Some(workshop) = Workshop::new() else { return };
    let test = "the_tutorial_runs_on_the_cluster_that_is_named";
    assert!(include_str!("../cluster/tutorial/mod.rs").contains(&format!("fn {test}()")));
    for (context, loads) in [("kind-other", 1), ("gke_canary", 0)] {
        let ran = workshop.just(&format!("just e2e {context}"));
        assert_eq!(ran.calls_of("kind load").len(), loads, "{ran:#?}");
        let tutorial = [
            format!("cargo test --locked --test cluster -- --nocapture {test}"),
            format!("on {context}"),
        ];
        assert!(ran.calls.ends_with(&tutorial), "{ran:#?}");
    }
}

#[test]
fn what_is_for_developers_is_cargo() {
    let Some(workshop) = Workshop::new() else { return };
    for (line, calls) in [
        ("just run --variant broken", &["cargo run --locked -- --variant broken"][..]),
        ("just test --test program", &["cargo test --locked --test program"]),
        ("just bench", &["cargo bench --locked"]),
        ("just lint", &["cargo fmt --check", "cargo clippy --all-targets --locked -- -D warnings"]),
    ] {
        assert_eq!(workshop.just(line).calls, calls, "{line}");
    }
}

#[test]
fn clean_removes_the_images_of_the_engine_too() {
    let Some(workshop) = Workshop::new() else { return };
    let ran = workshop.just("just clean");
    assert_eq!(ran.calls_of("docker image rm "), [format!("docker image rm {}", IMAGES.join(" "))]);
    assert_eq!(ran.calls_of("docker volume rm "), ["docker volume rm appinfo-rust-1.2.3"]);
    workshop.just("just build && ENGINES= just clean");
    assert!(!workshop.folder.path().join("target").exists());
}

#[test]
fn push_with_buildx_builds_both_architectures_at_once() {
    let Some(workshop) = Workshop::new() else { return };
    let ran = workshop.just("ENGINES=docker BUILDX=1 just push registry.example/team/");
    ran.builds_all("docker buildx build ", "registry.example/team/appinfo");
    for build in ran.calls_of("docker buildx build ") {
        has_words(build, "--push linux/amd64,linux/arm64");
    }
    for target in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"] {
        let build = format!("cargo build --release --locked --target {target} ");
        assert_eq!(ran.calls_of(&build).len(), 1, "{ran:#?}");
    }
    // It prints README's line for the manifests, which is tested there.
    let readme = text("README.md");
    let line = readme.lines().find(|line| line.starts_with("sed ")).expect("README has one");
    let expected = line.replace("registry.example.com/you", "registry.example/team");
    assert!(ran.stdout().lines().any(|line| line == expected), "{ran:#?}");
}
