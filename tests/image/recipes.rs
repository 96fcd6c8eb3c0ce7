//! The justfile, with stand-ins for the programs it calls, which write down what they are told.
//! What the real engines make of it is tested in `image`, `push` and `reproducible`.

use std::env;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{self, Folder, have};
use crate::variants::{images, variants};
use serde_json::Value;

/// A stand-in appends what it is told to the log, then does what its own lines say.
const STAND_INS: [(&str, &str); 8] = [
    // Puts a program where `cargo build` would.
    (
        "cargo",
        r#"for argument; do
    [ "${previous-}" = --target ] && target=$argument
    previous=$argument
done
if [ "$1" = build ]; then
    mkdir -p "target/$target/release"
    echo program >"target/$target/release/appinfo"
fi
[ -z "${APPINFO_KUBE_CONTEXT-}" ] || echo "with APPINFO_KUBE_CONTEXT=$APPINFO_KUBE_CONTEXT" >>"$LOG""#,
    ),
    ("docker", ENGINE),
    ("podman", ENGINE),
    ("kubectl", r#"[ -n "${CONTEXT-}" ] && echo "$CONTEXT""#),
    ("kind", ARCHIVE),
    ("minikube", ARCHIVE),
    ("k3d", ARCHIVE),
    ("git", "echo 0123456789abcdef"),
];

/// An engine that answers if `ENGINES` names it, and has built what it was last told to build,
/// unless `BUILDS` says that it builds something else.
const ENGINE: &str = r#"case " ${ENGINES-} " in *" ${0##*/} "*) ;; *) exit 1 ;; esac
case "$1 $2" in
    "--version "*) echo "${DOCKER_VERSION-${0##*/} version 1}" ;;
    "build "*)
        for argument; do
            case $argument in
                VARIANT=*) variant=${argument#VARIANT=} ;;
                linux/*) arch=${argument#linux/} ;;
            esac
        done
        echo "$arch [PATH=/bin APPINFO_VARIANT=$variant]" >built ;;
    "buildx version") [ -n "${BUILDX-}" ] ;;
    "run --rm") cat >/dev/null; echo program ;;
    "volume ls") echo appinfo-rust-1.2.3 ;;
    "image inspect") if [ -n "${BUILDS-}" ]; then echo "$BUILDS"; else cat built; fi ;;
    "save "*)
        for argument; do
            [ "${previous-}" = --output ] && echo "$*" >"$argument"
            previous=$argument
        done ;;
esac"#;

/// A cluster's loader: the archive that it is told of has to be there.
const ARCHIVE: &str = r#"for argument; do
    case $argument in *.tar) cat "$argument" >/dev/null || exit 1 ;; esac
done"#;

/// Puts a shell script there. A child writes it: what this process has open for writing, a child that
/// another thread starts has open as well for a moment, and nobody can execute it then (ETXTBSY).
pub fn executable(path: &Path, lines: &str) {
    let folder = path.parent().expect("it is in a folder");
    std::fs::create_dir_all(folder).expect("a folder can be made");
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#;
    common::run(Command::new("sh").arg("-c").arg(write).arg(path).arg(lines));
}

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
    environment: Vec<(&'static str, String)>,
}

impl Workshop {
    /// None where there is no just.
    fn new() -> Option<Workshop> {
        if !have(&["just", "bash"]) {
            return None;
        }
        let workshop = Workshop { folder: Folder::new(), environment: Vec::new() };
        let root = workshop.folder.path();
        for file in ["justfile", "Containerfile", "Cargo.toml", "rust-toolchain.toml"] {
            std::fs::copy(common::repository().join(file), root.join(file)).expect("it is copied");
        }
        for (name, lines) in STAND_INS {
            let lines = format!("echo \"${{0##*/}} $*\" >>\"$LOG\"\n{lines}");
            executable(&root.join("programs").join(name), &lines);
        }
        Some(workshop.with("ENGINES", "docker podman").with("CONTEXT", "kind-canary"))
    }

    /// Sets a variable for what follows.
    fn with(mut self, name: &'static str, value: &str) -> Workshop {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Runs just with these arguments, separated by white space.
    fn just(&self, arguments: &str) -> Ran {
        let _ = std::fs::remove_file(self.log());
        let path = env::var("PATH").unwrap_or_default();
        let programs = self.folder.path().join("programs");
        let output = Command::new("just")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("ENGINE")
            .env_remove("APPINFO_REPOSITORY")
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("LOG", self.log())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("just runs");
        let calls = std::fs::read_to_string(self.log()).unwrap_or_default();
        Ran { output, calls: calls.lines().map(str::to_owned).collect() }
    }
}

/// A run of just, and the calls of the stand-ins during it.
#[derive(Debug)]
struct Ran {
    output: Output,
    calls: Vec<String>,
}

impl Ran {
    /// Fails unless just has succeeded.
    fn well(self) -> Ran {
        assert!(self.output.status.success(), "{self:#?}");
        self
    }

    /// Fails unless just has ended with an error; returns what it said.
    fn refused(&self) -> String {
        assert!(!self.output.status.success(), "{self:#?}");
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The calls that start like this.
    fn calls_of(&self, start: &str) -> Vec<&str> {
        self.calls.iter().map(String::as_str).filter(|call| call.starts_with(start)).collect()
    }

    /// The one call that starts like this.
    fn call_of(&self, start: &str) -> &str {
        let calls = self.calls_of(start);
        assert_eq!(calls.len(), 1, "one call of {start}: {self:#?}");
        calls[0]
    }
}

/// Fails unless the call has all these words.
#[track_caller]
fn has_words(call: &str, words: &str) {
    let call_words: Vec<_> = call.split_whitespace().collect();
    for word in words.split_whitespace() {
        assert!(call_words.contains(&word), "{word} is missing in: {call}");
    }
}

/// Fails unless these calls build all variants under that name, in the order of their tags.
#[track_caller]
fn build_all(calls: &[&str], name: &str) {
    let variants = variants();
    assert_eq!(calls.len(), variants.len(), "{calls:#?}");
    for (call, (tag, variant)) in calls.iter().zip((1..).zip(variants)) {
        has_words(call, &format!("VARIANT={variant} {name}:{tag}"));
    }
}

#[test]
fn just_alone_is_the_manual_of_all_recipes() {
    let Some(workshop) = Workshop::new() else { return };
    let manual = String::from_utf8(workshop.just("").well().output.stdout).expect("it is UTF-8");
    let dump = workshop.just("--dump --dump-format json").well().output.stdout;
    let dump: Value = serde_json::from_slice(&dump).expect("just dumps JSON");
    let recipes = dump["recipes"].as_object().expect("there are recipes");
    for (name, recipe) in recipes.iter().filter(|(_, recipe)| recipe["private"] == false) {
        let doc = recipe["doc"].as_str().unwrap_or_else(|| panic!("{name} has a comment"));
        let start = format!("    {name} ");
        let told = manual.lines().any(|line| line.starts_with(&start) && line.ends_with(doc));
        assert!(told, "{name} is in the manual:\n{manual}");
        assert!(recipe["attributes"].to_string().contains("group"), "{name} is in a group");
    }
    assert!(manual.find("    run ") < manual.find("    bench "), "in the file's order:\n{manual}");
}

#[test]
fn image_takes_the_variant_as_people_type_it() {
    let Some(workshop) = Workshop::new() else { return };
    for (arguments, variant, tag) in [
        ("image", "baseline", 1),
        ("image broken", "broken", 2),
        ("image VARIANT=broken", "broken", 2),
        ("VARIANT=broken image", "broken", 2),
        ("image VARIANT=namespace", "namespace", 3),
        ("image baseline", "baseline", 1),
    ] {
        let ran = workshop.just(arguments).well();
        let build = ran.call_of("docker build ");
        has_words(build, &format!("VARIANT={variant} localhost/appinfo:{tag}"));
        has_words(build, "VERSION=0.1.0 REVISION=0123456789abcdef");
    }
}

#[test]
fn another_variant_is_refused_before_anything_is_built() {
    let Some(workshop) = Workshop::new() else { return };
    for arguments in ["image borken", "image VARIANT=Broken", "VARIANT=2 image", "image VARIANT="] {
        let ran = workshop.just(arguments);
        let said = ran.refused();
        let known = format!("it can be {}.", variants().join(", "));
        assert!(said.replace(" or ", ", ").contains(&known), "{arguments}: {said}");
        assert_eq!(ran.calls, [""; 0], "{arguments}");
    }
}

#[test]
fn images_are_all_variants_under_one_name() {
    let Some(workshop) = Workshop::new() else { return };
    let ran = workshop.just("REPOSITORY=registry.example/team/appinfo images").well();
    build_all(&ran.calls_of("docker build "), "registry.example/team/appinfo");
    let workshop = workshop.with("APPINFO_REPOSITORY", "other.example/appinfo");
    let ran = workshop.just("image").well();
    has_words(ran.call_of("docker build "), "other.example/appinfo:1");
}

#[test]
fn the_engine_is_docker_where_it_answers_else_podman() {
    for (variable, value, builds) in [
        ("ENGINES", "docker podman", [1, 0]),
        ("ENGINES", "podman", [0, 1]),
        ("ENGINE", "podman", [0, 1]),
        // Some systems have podman answer to docker's name.
        ("DOCKER_VERSION", "podman version 4.9", [0, 1]),
    ] {
        let Some(workshop) = Workshop::new() else { return };
        let ran = workshop.with(variable, value).just("image").well();
        let built = ["docker build ", "podman build "].map(|start| ran.calls_of(start).len());
        assert_eq!(built, builds, "{variable}={value}: {ran:#?}");
    }
    for (variable, value, sentence) in [
        ("ENGINES", "", "needs docker with its daemon running, or podman, and neither answers."),
        ("ENGINE", "nerdctl", "\"nerdctl\", but it can be docker or podman only."),
    ] {
        let ran = Workshop::new().expect("just is there").with(variable, value).just("image");
        assert!(ran.refused().contains(sentence), "{ran:#?}");
        assert_eq!(ran.calls_of("cargo"), [""; 0], "nothing is built without an engine: {ran:#?}");
    }
}

#[test]
fn an_image_that_is_not_what_was_asked_for_is_refused() {
    let Some(workshop) = Workshop::new() else { return };
    for (arguments, built) in [
        ("ARCH=amd64 image broken", "amd64 [PATH=/bin APPINFO_VARIANT=baseline]"),
        ("ARCH=arm64 image broken", "amd64 [PATH=/bin APPINFO_VARIANT=broken]"),
        ("ARCH=amd64 image broken", "amd64 [PATH=/bin APPINFO_VARIANT=broken-by-half]"),
    ] {
        let workshop = Workshop::new().expect("just is there").with("BUILDS", built);
        let said = workshop.just(arguments).refused();
        assert!(said.contains(built), "{arguments}: {said}");
    }
    workshop
        .with("BUILDS", "arm64 [APPINFO_VARIANT=broken PATH=/]")
        .just("ARCH=arm64 image broken")
        .well();
}

#[test]
fn the_binary_is_laid_out_as_the_image_holds_it() {
    let Some(workshop) = Workshop::new() else { return };
    for (arch, target) in
        [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")]
    {
        let ran = workshop.just(&format!("ARCH={arch} build")).well();
        has_words(ran.call_of("cargo build "), &format!("--release --locked {target}"));
        let root = workshop.folder.path().join("target/image").join(arch);
        let entries = |folder: &Path| std::fs::read_dir(folder).expect("it is there").count();
        assert_eq!((entries(&root), entries(&root.join("etc"))), (2, 1));
        for file in ["appinfo", "etc", "etc/labels"] {
            let metadata = root.join(file).symlink_metadata().expect("it is there");
            assert_eq!(metadata.modified().ok(), Some(std::time::UNIX_EPOCH), "{file}");
        }
        let link = std::fs::read_link(root.join("etc/labels")).expect("it is a link");
        assert_eq!(link.to_str(), Some("podinfo/labels"));
    }
    let said = workshop.just("ARCH=x86_64 build").refused();
    assert!(said.contains("\"x86_64\", but it can be amd64 or arm64"), "{said}");
}

#[test]
fn without_cargo_the_engine_compiles() {
    for engine in ["docker", "podman"] {
        let Some(workshop) = Workshop::new() else { return };
        let programs = workshop.folder.path().join("programs");
        std::fs::remove_file(programs.join("cargo")).expect("it is there");
        let workshop =
            workshop.with("PATH", &path_without_cargo(&programs)).with("ENGINES", engine);
        let ran = workshop.just("ARCH=amd64 images").well();
        let runs = ran.calls_of(&format!("{engine} run --rm --interactive "));
        let rust = "appinfo-rust-1.95.0:/usr/local docker.io/library/rust:1.95.0-slim";
        runs.iter().for_each(|run| has_words(run, rust));
        build_all(&ran.calls_of(&format!("{engine} build ")), "localhost/appinfo");
        let said = String::from_utf8_lossy(&ran.output.stderr);
        let line = format!("no cargo here, so {engine} compiles, in docker.io/library/rust:1.95.0");
        assert!(said.contains(&line), "{said}");
        let program = workshop.folder.path().join("target/image/amd64/appinfo");
        assert_eq!(std::fs::read_to_string(program).expect("it is there"), "program\n");

        assert!(workshop.just("e2e kind-canary").refused().contains("needs cargo"));
        let said = workshop.with("ENGINES", "").just("build").refused();
        assert!(
            said.contains("or podman, and neither answers.\njust build: there is no cargo"),
            "{said}"
        );
    }
}

#[test]
fn load_gives_the_images_to_the_cluster_of_the_context() {
    let Some(mut workshop) = Workshop::new() else { return };
    for (context, load) in [
        ("kind-canary", "kind load image-archive target/images.tar --name canary"),
        ("minikube", "minikube --profile minikube image load target/images.tar"),
        ("k3d-canary", "k3d image import target/images.tar --cluster canary"),
    ] {
        let names = images();
        // The context of kubectl's choice, or the one that is named.
        workshop = workshop.with("CONTEXT", context);
        for arguments in ["ENGINE=docker load".to_owned(), format!("ENGINE=podman load {context}")]
        {
            let ran = workshop.just(&arguments).well();
            assert_eq!(ran.calls.last().map(String::as_str), Some(load), "{arguments}: {ran:#?}");
            let engine = &arguments[7..13];
            has_words(ran.call_of(&format!("{engine} save ")), &names.join(" "));
            let builds = ran.calls_of(&format!("{engine} build "));
            build_all(&builds, "localhost/appinfo");
            if engine == "podman" {
                has_words(ran.call_of("podman save "), "--multi-image-archive");
                builds.iter().for_each(|build| has_words(build, "--layers=false"));
            }
        }
    }
}

#[test]
fn load_needs_nothing_for_a_cluster_that_takes_its_images_from_docker() {
    let Some(workshop) = Workshop::new() else { return };
    for context in ["docker-desktop", "orbstack", "rancher-desktop", "colima", "colima-class"] {
        let ran = workshop.just(&format!("load {context}")).well();
        build_all(&ran.calls_of("docker build "), "localhost/appinfo");
        assert_eq!(ran.calls_of("docker save "), [""; 0], "{ran:#?}");
        let said = workshop.just(&format!("ENGINE=podman load {context}")).refused();
        assert!(said.contains("takes its images from docker"), "{said}");
    }
}

#[test]
fn load_says_what_to_do_for_another_cluster() {
    let Some(workshop) = Workshop::new() else { return };
    let ran = workshop.just("load gke_canary");
    let said = ran.refused();
    assert!(said.contains("\"gke_canary\"") && said.contains("just push REGISTRY"), "{said}");
    assert_eq!(ran.calls_of("docker build "), [""; 0], "{ran:#?}");

    let said = workshop.with("CONTEXT", "").just("load").refused();
    assert!(said.contains("no current context"), "{said}");
}

#[test]
fn e2e_loads_what_it_can_and_runs_the_tutorial_on_the_context() {
    let Some(workshop) = Workshop::new() else { return };
    let test = "the_tutorial_runs_on_the_cluster_that_is_named";
    assert!(include_str!("../cluster/tutorial/mod.rs").contains(&format!("fn {test}()")));
    for (context, loads) in [("kind-other", 1), ("gke_canary", 0)] {
        let ran = workshop.just(&format!("e2e {context}")).well();
        assert_eq!(ran.calls_of("kind load").len(), loads, "{ran:#?}");
        ran.call_of(&format!("cargo test --locked --test cluster -- --nocapture {test}"));
        assert_eq!(
            ran.calls.last(),
            Some(&format!("with APPINFO_KUBE_CONTEXT={context}")),
            "{ran:#?}"
        );
    }
    workshop.just("e2e").refused();
}

#[test]
fn what_is_for_developers_is_cargo() {
    let Some(workshop) = Workshop::new() else { return };
    for (arguments, calls) in [
        ("run --variant broken", &["cargo run --locked -- --variant broken"][..]),
        ("test --test program", &["cargo test --locked --test program"]),
        ("bench", &["cargo bench --locked"]),
        ("lint", &["cargo fmt --check", "cargo clippy --all-targets --locked -- -D warnings"]),
    ] {
        assert_eq!(workshop.just(arguments).well().calls, calls, "{arguments}");
    }
}

#[test]
fn clean_removes_the_images_of_the_engine_too() {
    let Some(workshop) = Workshop::new() else { return };
    let ran = workshop.just("clean").well();
    assert_eq!(ran.calls_of("docker image rm"), [""; 0], "there are none yet");
    workshop.just("image").well();
    let ran = workshop.just("clean").well();
    let removed: Vec<_> = images().iter().map(|image| format!("docker image rm {image}")).collect();
    assert_eq!(ran.calls_of("docker image rm"), removed);
    ran.call_of("docker volume rm appinfo-rust-1.2.3");
    let workshop = workshop.with("ENGINES", "");
    workshop.just("build").well();
    workshop.just("clean").well();
    assert!(!workshop.folder.path().join("target").exists());
}

#[test]
fn push_with_buildx_builds_both_architectures_at_once() {
    let Some(workshop) = Workshop::new() else { return };
    let workshop = workshop.with("ENGINES", "docker").with("BUILDX", "1");
    let ran = workshop.just("push registry.example/team/").well();
    let builds = ran.calls_of("docker buildx build ");
    build_all(&builds, "registry.example/team/appinfo");
    builds.iter().for_each(|build| has_words(build, "--push linux/amd64,linux/arm64"));
    for arch in ["amd64", "arm64"] {
        let program = workshop.folder.path().join("target/image").join(arch).join("appinfo");
        assert!(program.is_file(), "{arch} has been built");
    }
    // What it says about the manifests is README's line, which is tested there.
    let readme =
        std::fs::read_to_string(common::repository().join("README.md")).expect("it is there");
    let line = readme.lines().find(|line| line.starts_with("sed ")).expect("README has one");
    let said = String::from_utf8_lossy(&ran.output.stdout);
    let told = line.replace("registry.example.com/you", "registry.example/team");
    assert!(said.lines().any(|line| line == told), "{said}");
}

#[test]
fn push_says_what_it_needs() {
    let Some(workshop) = Workshop::new() else { return };
    for engines in ["", "docker"] {
        let workshop = Workshop::new().expect("just is there").with("ENGINES", engines);
        let ran = workshop.just("push registry.example");
        let said = ran.refused();
        assert!(said.contains("podman, or docker with buildx"), "{said}");
        assert_eq!(ran.calls_of("cargo"), [""; 0], "{ran:#?}");
    }
    workshop.just("push").refused();
}
