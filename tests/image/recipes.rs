//! The justfile, with a stand-in for the programs that it calls, which logs their arguments. `images` and
//! `push` test it with real engines, `clusters.rs` with a real kubectl.

use std::env;

use crate::common::*;
use crate::variants::{IMAGES, VARIANTS};

/// A PATH with these programs first, where there is no cargo.
pub fn path_without_cargo(programs: &Path) -> String {
    let path = env::var("PATH").expect("there is a PATH");
    let has_no_cargo = |folder: &&str| !Path::new(folder).join("cargo").exists();
    let rest: Vec<_> = path.split(':').filter(has_no_cargo).collect();
    format!("{}:{}", programs.display(), rest.join(":"))
}

/// Copies what the recipes need to where they may write, and makes the stand-ins. What these log is not
/// in that folder, since a recipe packs it while they do.
const PREPARE: &str = r#"
mkdir copy programs
cp "$0"/justfile "$0"/Cargo.toml "$0"/rust-toolchain.toml copy
cd programs
ln -s "$(command -v just)" just
for name in cargo docker podman kubectl kind minikube k3d git; do
    ln -s "$0/tests/image/stand-in" $name
done"#;

/// A folder with a copy of the justfile, and with programs that come first on the PATH.
pub struct Workshop(Folder);

impl Workshop {
    /// None where there is no just.
    pub fn new() -> Option<Workshop> {
        needs!("just", "bash");
        let folder = Folder::new();
        run(command("sh -ec").args([PREPARE.as_ref(), repository()]).current_dir(folder.path()));
        Some(Workshop(folder))
    }

    /// A file or folder of the copy.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("copy").join(name)
    }

    /// Runs this line, on a machine where both engines respond unless the line says otherwise.
    fn run(&self, line: &str) -> Ran {
        let [log, programs] = ["log", "programs"].map(|name| self.0.path().join(name));
        let _ = fs::remove_file(&log);
        let mut bash = command("bash -c");
        bash.arg(format!("PATH='{}':$PATH; {line}", programs.display())).current_dir(self.path(""));
        bash.env("LOG", &log).env("ENGINES", "docker podman").env("CONTEXT", "kind-canary");
        let output = bash.env_remove("ENGINE").env_remove("APPINFO_REPOSITORY").output();
        let output = output.expect("bash runs");
        let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
        let calls = fs::read_to_string(log).unwrap_or_default();
        Ran {
            succeeds: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }

    /// Runs a line that must succeed.
    #[track_caller]
    pub fn just(&self, line: &str) -> Ran {
        let ran = self.run(line);
        assert!(ran.succeeds, "{line}: {ran:#?}");
        ran
    }

    /// Runs a line that must fail with this message.
    #[track_caller]
    pub fn refuses(&self, line: &str, sentence: &str) -> Ran {
        let ran = self.run(line);
        assert!(!ran.succeeds && ran.stderr.contains(sentence), "{line}: {ran:#?}");
        ran
    }
}

/// A line that was run, and the stand-ins' calls.
#[derive(Debug)]
pub struct Ran {
    succeeds: bool,
    pub stdout: String,
    stderr: String,
    calls: Vec<String>,
}

impl Ran {
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

/// The metadata in a call, each behind this prefix: the first word of each value, by its name.
fn metadata<'a>(call: &'a str, prefix: &str) -> BTreeMap<&'a str, &'a str> {
    let prefix = format!("{prefix}org.opencontainers.image.");
    let fields = call.split_whitespace().filter_map(|word| word.strip_prefix(&prefix));
    fields.map(|field| field.split_once('=').expect("it has a value")).collect()
}

#[test]
fn just_alone_is_the_manual_of_all_recipes() {
    let Some(workshop) = Workshop::new() else { return };
    let manual = workshop.just("just").stdout;
    let dump = workshop.just("just --dump --dump-format json").stdout;
    let dump: Value = serde_json::from_str(&dump).expect("it is JSON");
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
        ("just ARCH=arm64 image", "docker", "linux/arm64 TARGETARCH=arm64"),
        // Docker if it responds, else podman.
        ("ENGINES=podman just image", "podman", "localhost/appinfo:1"),
        ("ENGINE=podman just image", "podman", "localhost/appinfo:1"),
        // Some systems have podman under docker's name.
        ("DOCKER_VERSION='podman version 4.9' just image", "podman", "localhost/appinfo:1"),
    ] {
        let ran = workshop.just(line);
        let both = [ran.calls_of("docker build "), ran.calls_of("podman build ")].concat();
        let [build] = both[..] else { panic!("{line} builds one image: {ran:#?}") };
        has_words(build, &format!("{engine} {words}"));
        assert_eq!(metadata(build, "--label=")["revision"], "0123456789abcdef");
    }
}

#[test]
fn the_page_is_that_of_the_git_remote() {
    let Some(workshop) = Workshop::new() else { return };
    for (remote, page) in [
        ("https://github.com/you/appinfo", "https://github.com/you/appinfo"),
        ("https://you:secret@example.com:8443/appinfo.git", "https://example.com:8443/appinfo"),
        ("git@github.com:you/appinfo.git", "https://github.com/you/appinfo"),
        ("ssh://git@example.com:2222/a/b/appinfo.git/", "https://example.com/a/b/appinfo"),
        ("../appinfo.git", ""),
        ("", ""),
    ] {
        let ran = workshop.just(&format!("REMOTE='{remote}' just --evaluate page"));
        assert_eq!(ran.stdout, page, "{remote}");
    }
    assert!(!workshop.just("just metadata").stdout.contains("source"), "no remote, no page");
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
        assert!(!ran.calls.iter().any(|call| call.contains(" build ")), "{line}: {ran:#?}");
    }
}

#[test]
fn without_cargo_the_engine_compiles() {
    let Some(workshop) = Workshop::new() else { return };
    let programs = workshop.0.path().join("programs");
    fs::remove_file(programs.join("cargo")).expect("it is there");
    let path = path_without_cargo(&programs);
    for engine in ["docker", "podman"] {
        let ran = workshop.just(&format!("PATH='{path}' ENGINES={engine} just ARCH=amd64 images"));
        for run in ran.calls_of(&format!("{engine} run --rm --interactive ")) {
            has_words(run, "appinfo-rust-1.95.0:/usr/local docker.io/library/rust:1.95.0-slim");
        }
        ran.builds_all(&format!("{engine} build "), "localhost/appinfo");
        assert_eq!(text(workshop.path("target/image/amd64/appinfo")), "program\n");
    }
}

#[test]
fn load_gives_the_images_to_the_cluster_of_the_context() {
    let Some(workshop) = Workshop::new() else { return };
    let kind = "kind load image-archive target/images.tar --name canary";
    for (line, load) in [
        // The current context, or the one that is named.
        ("just load", kind),
        ("just load minikube", "minikube --profile minikube image load target/images.tar"),
        ("CONTEXT=k3d-3 just load", "k3d image import target/images.tar --cluster 3"),
        // By what the nodes say, whatever the context is called.
        ("NODE='kind://docker/canary/canary-control-plane {}' just load work", kind),
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
    let ran = workshop.just("ENGINE=podman just load orbstack");
    ran.builds_all("docker build ", "localhost/appinfo");
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
        assert!(workshop.path("target/images.tar").is_file());
    }
}

#[test]
fn e2e_loads_what_it_can_and_runs_the_tutorial_on_the_context() {
    let Some(workshop) = Workshop::new() else { return };
    let test = "the_tutorial_runs_on_the_cluster_that_is_named";
    assert!(text("tests/cluster/tutorial/mod.rs").contains(&format!("fn {test}()")));
    for (context, loads) in [("kind-other", 1), ("gke_canary", 0)] {
        let ran = workshop.just(&format!("just e2e {context}"));
        assert_eq!(ran.calls_of("kind load").len(), loads, "{ran:#?}");
        let tutorial = format!("cargo test --locked --test cluster -- --nocapture {test}");
        assert!(ran.calls.ends_with(&[tutorial, format!("on {context}")]), "{ran:#?}");
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
    assert!(!workshop.path("target").exists());
}

/// With docker's buildx, and with the podman that can annotate an index; `push` tests an older one.
#[test]
fn push_annotates_an_index_as_its_images_are_labeled() {
    let Some(workshop) = Workshop::new() else { return };
    let (buildx, page) = ("docker buildx build ", "https://example.com/you/appinfo");
    let push = "REMOTE=git@example.com:you/appinfo.git just push registry.example/team/";
    let podman = workshop.just(&format!("PODMAN_5=1 {push}"));
    let docker = workshop.just(&format!("ENGINES=docker BUILDX=1 {push}"));
    for (ran, build, index, prefix) in [
        (&podman, "podman build ", "podman manifest create localhost", "--annotation="),
        (&docker, buildx, buildx, "--annotation=index:"),
    ] {
        let labels = metadata(ran.calls_of(build)[0], "--label=");
        let documentation = &*format!("{page}#readme");
        let pages = [("source", page), ("url", page), ("documentation", documentation)];
        assert!(pages.iter().all(|(name, page)| labels[name] == *page), "{labels:?}");
        let indexes = ran.calls_of(index);
        assert_eq!(indexes.len(), VARIANTS.len(), "{ran:#?}");
        indexes.iter().for_each(|call| assert_eq!(metadata(call, prefix), labels));
    }

    docker.builds_all(buildx, "registry.example/team/appinfo");
    docker.calls_of(buildx).iter().for_each(|it| has_words(it, "--push linux/amd64,linux/arm64"));
    // It prints README's line for the manifests, which is tested there.
    let readme = text("README.md");
    let line = readme.lines().find(|line| line.starts_with("sed ")).expect("README has one");
    let expected = line.replace("registry.example.com/you", "registry.example/team");
    assert!(docker.stdout.lines().any(|line| line == expected), "{docker:#?}");
}
