//! `just dist`: the files of a release.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::common::{Folder, Start, have, repository, run, skip};
use crate::programs::{EMULATORS, runnable};
use serde_json::Value;

/// The targets of the archives.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// Every file in a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().expect("there is a folder");
    let entries = entries.map(|entry| entry.expect("it can be read"));
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().expect("it is UTF-8");
        (name, std::fs::read(entry.path()).expect("a file can be read"))
    };
    entries.filter(|entry| entry.path().is_file()).map(file).collect()
}

/// The objects in a file of manifests.
fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).expect("it is YAML")
}

/// In fresh clones with folders, `umask`, time zone and language that differ.
#[test]
#[ignore = "compiles everything twice, for two architectures"]
fn two_clones_make_the_same_files_of_a_release() {
    if !have(&["just", "git", "python3"]) || !have(&EMULATORS) {
        return;
    }
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    let folder = Folder::new();
    let dist = |name: &str, environment: &str| {
        let clone = folder.path().join(name);
        run(Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(&clone));
        let script = format!("{environment}; just dist registry.example/team/");
        run(Command::new("sh").args(["-ec", &script]).current_dir(&clone));
        clone.join("target/dist")
    };
    let first = dist("one", "umask 022");
    let second =
        dist("another folder/of a longer name", "umask 077; export TZ=Asia/Tokyo LANG=de_DE.UTF-8");
    let made = files(&first);
    let others = files(&second);
    assert_eq!(Vec::from_iter(made.keys()), Vec::from_iter(others.keys()));
    for (name, bytes) in &made {
        assert!(*bytes == others[name], "{name} differs");
    }

    let version = env!("CARGO_PKG_VERSION");
    let sums = run(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&first));
    assert_eq!(sums.lines().count(), made.len() - 1, "each file but the sums themselves: {sums}");
    for target in TARGETS {
        archive_holds_the_program(&first, &format!("appinfo-{version}-{target}"));
    }
    manifests_name_the_registry(&first);
    sbom_lists_the_crates(&first.join("appinfo.cdx.json"));
}

fn archive_holds_the_program(dist: &Path, name: &str) {
    let archive = dist.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    let listed = run(tar.args(["--numeric-owner", "-tvzf"]).arg(&archive));
    let entries: Vec<_> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    let seen: Vec<_> =
        entries.iter().map(|entry: &Vec<_>| [entry[0], entry[1], entry[5]]).collect();
    let [top, readme, licence, program] =
        ["/", "/README.md", "/LICENSE", "/appinfo"].map(|file| format!("{name}{file}"));
    assert_eq!(
        seen,
        [
            ["drwxr-xr-x", "0/0", &top],
            ["-rw-r--r--", "0/0", &licence],
            ["-rw-r--r--", "0/0", &readme],
            ["-rwxr-xr-x", "0/0", &program],
        ]
    );
    let unpacked = Folder::new();
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(unpacked.path()));
    let program = unpacked.path().join(program);
    let said = Start::of(&runnable(name, &program)).args("--version").output().stdout;
    assert_eq!(String::from_utf8_lossy(&said), format!("appinfo {}\n", env!("CARGO_PKG_VERSION")));
}

/// What a ConfigMap has as JSON: Grafana's dashboard.
fn json_of(config_map: &Value) -> Vec<String> {
    let data = config_map["data"].as_object().expect("it has data").iter();
    let data = data.filter(|(key, _)| key.ends_with(".json"));
    data.map(|(_, text)| text.as_str().expect("it is text").to_owned()).collect()
}

/// The files have the manifests' objects, the archive the manifests themselves, all with the registry's
/// images.
fn manifests_name_the_registry(dist: &Path) {
    let archive = Folder::new();
    let mut tar = Command::new("tar");
    run(tar.arg("-xzf").arg(dist.join("manifests.tar.gz")).arg("-C").arg(archive.path()));
    let (mut moved, mut dashboards) = (0, Vec::new());
    for (file, folder) in [
        ("appinfo.yaml", "manifests"),
        ("canary-broken.yaml", "manifests/canary"),
        ("canary-fixed.yaml", "manifests/canary"),
        ("monitoring.yaml", "manifests/monitoring"),
    ] {
        let mut expected = Vec::new();
        for (name, bytes) in files(&repository().join(folder)) {
            let belongs = match file.strip_prefix("canary-") {
                Some(canary) => name == canary,
                None => name.ends_with(".yaml"),
            };
            if belongs {
                let manifest = String::from_utf8(bytes).expect("it is UTF-8");
                let here = manifest.replace("image: localhost/", "image: registry.example/team/");
                moved += usize::from(here != manifest);
                let packed = std::fs::read_to_string(archive.path().join(folder).join(&name));
                assert_eq!(packed.expect("it is in the archive"), here, "{folder}/{name}");
                expected.extend(objects(&here));
            }
        }
        let made = std::fs::read_to_string(dist.join(file)).expect("there is one");
        assert_eq!(objects(&made), expected, "{file}");
        dashboards.extend(expected.iter().filter(|it| it["kind"] == "ConfigMap").flat_map(json_of));
    }
    let dashboard = std::fs::read_to_string(dist.join("grafana-dashboard.json"));
    assert_eq!(Vec::from_iter(dashboard.ok()), dashboards);
    assert_eq!(moved, 3, "each image has a manifest");
}

/// Whether the published schema of CycloneDX accepts a file, and its messages.
fn is_valid(sbom: &Path) -> (bool, String) {
    let validate = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))";
    let output =
        Command::new("python3").args(["-c", validate]).arg(sbom).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// It is valid, and lists the crates of both binaries with checksums and licences.
fn sbom_lists_the_crates(sbom: &Path) {
    let text = std::fs::read_to_string(sbom).expect("it is UTF-8");
    assert!(!text.contains("file://"), "it names a folder of this machine: {text}");
    let library = Command::new("python3").args(["-c", "import cyclonedx.validation.json"]).output();
    if library.is_ok_and(|python| python.status.success()) {
        let (valid, said) = is_valid(sbom);
        assert!(valid, "{said}");
        let spoilt = sbom.with_extension("spoilt");
        std::fs::write(&spoilt, text.replace("SHA-256", "SHA-257")).expect("it can be written");
        assert!(!is_valid(&spoilt).0, "the schema finds a wrong word");
    } else {
        skip("needs the Python package cyclonedx-python-lib[json-validation]");
    }

    let told: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(
        told["metadata"]["component"]["purl"],
        format!("pkg:cargo/appinfo@{}", env!("CARGO_PKG_VERSION"))
    );
    let components = told["components"].as_array().expect("a list");
    let listed: BTreeSet<_> = components
        .iter()
        .map(|it| {
            assert!(
                it["hashes"][0]["content"].is_string() && it["licenses"][0].is_object(),
                "{it}"
            );
            it["purl"].as_str().expect("a text").to_owned()
        })
        .collect();
    for target in TARGETS {
        let mut tree = Command::new(env!("CARGO"));
        tree.args([
            "tree",
            "--locked",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        let tree = run(tree.args(["--target", target]).current_dir(repository()));
        let crates: BTreeSet<_> = tree
            .lines()
            .filter_map(|line| {
                let (name, rest) = line.split_once(" v").expect("a crate and its version");
                let version = rest.split(' ').next().expect("a version");
                (name != "appinfo").then(|| format!("pkg:cargo/{name}@{version}"))
            })
            .collect();
        let missing: Vec<_> = crates.difference(&listed).collect();
        assert_eq!(missing, [""; 0], "{target}");
        // The tool also counts features that only the tests use: one more crate.
        let more: Vec<_> = listed.difference(&crates).collect();
        assert!(more.iter().all(|it| it.starts_with("pkg:cargo/errno@")), "{target}: {more:?}");
    }
    assert!(listed.contains("pkg:cargo/tiny_http@0.12.0"), "{listed:?}");
}
