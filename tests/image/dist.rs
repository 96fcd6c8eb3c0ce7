//! `just dist`: the files of a release.

use crate::common::*;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The targets of the archives.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// Copies the repository's binary instead of building one: `reproducible` compares builds.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = build ] || PATH=${PATH#*:} exec cargo "$@"
while [ "$1" != --target ]; do shift; done
mkdir -p "target/$2/release"
cp "$BUILT/$2/release/appinfo" "target/$2/release"
"#;

/// Runs `just dist` in a fresh clone with this git remote, after these commands of the shell.
/// Returns the folder with the files.
fn dist(clone: &Path, remote: &str, commands: &str) -> PathBuf {
    run(Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(clone));
    // A child writes the program: see `reproducible`.
    let script = format!(
        "git remote set-url origin {remote}
        mkdir bin; printf %s \"$0\" >bin/cargo; chmod 755 bin/cargo; PATH=$PWD/bin:$PATH
        {commands}; just dist registry.example/team/"
    );
    let mut shell = Command::new("sh");
    shell.args(["-ec", &script, CARGO]).current_dir(clone);
    run(shell.env("BUILT", repository().join("target")));
    clone.join("target/dist")
}

/// Whether `just dist` can run here; if so, with the programs that [`CARGO`] copies.
fn can_run() -> bool {
    needs!("just", "git", "cargo-cyclonedx");
    if !repository().join(".git").exists() {
        skip("needs the git repository");
        return false;
    }
    just("ARCH=amd64 build");
    just("ARCH=arm64 build");
    true
}

/// In fresh clones with folders, `umask`, time zone and language that differ. Their git remote has
/// no page, so the manifests are the repository's own but for the registry.
#[test]
#[ignore = "compiles for two architectures"]
fn two_clones_make_the_same_files_of_a_release() {
    if !can_run() {
        return;
    }
    let folder = Folder::new();
    let dist = |name: &str, commands| dist(&folder.path().join(name), "../appinfo.git", commands);
    let first = dist("one", "umask 022");
    let second =
        dist("another folder/of a longer name", "umask 077; export TZ=Asia/Tokyo LANG=de_DE.UTF-8");
    let (files, others) = (files(&first), files(&second));
    assert_eq!(Vec::from_iter(files.keys()), Vec::from_iter(others.keys()));
    for (name, bytes) in &files {
        assert!(*bytes == others[name], "{name} differs");
    }

    let sums = run(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&first));
    assert_eq!(sums.lines().count(), files.len() - 1, "each file but the sums themselves: {sums}");
    for target in TARGETS {
        archive_has_the_program(&first, target);
    }
    manifests_name_the_registry(&first);
    sbom_is_valid(&first.join("appinfo.cdx.json"));
    sbom_lists_the_crates(&first.join("appinfo.cdx.json"));
}

#[test]
#[ignore = "compiles for two architectures"]
fn the_dashboard_links_to_the_tutorial_of_the_git_remote() {
    if !can_run() {
        return;
    }
    let folder = Folder::new();
    let page = "https://git.example.com/o/r";
    let dist = dist(&folder.path().join("clone"), &format!("{page}.git"), "umask 022");
    let links = json!([{
        "title": "Tutorial: ask the metrics",
        "type": "link",
        "icon": "doc",
        "tooltip": "",
        "url": format!("{page}/blob/v{VERSION}/manifests/README.md#ask-the-metrics"),
        "tags": [],
        "asDropdown": false,
        "targetBlank": true,
        "includeVars": false,
        "keepTime": false,
    }]);
    for dashboard in dashboards(&dist) {
        let dashboard: Value = serde_json::from_str(&dashboard).expect("it is JSON");
        assert_eq!(dashboard["links"], links);
    }
    assert!(text("manifests/README.md").contains("\n## Ask the metrics\n"), "it has the chapter");
}

/// The dashboard of each file that has it: the archive, the single manifest, and the JSON alone.
fn dashboards(dist: &Path) -> [String; 3] {
    let archive = unpack(&dist.join("manifests.tar.gz"));
    let of_config_map = |file: PathBuf| {
        let objects = objects(&read(&file)).into_iter();
        let mut dashboards =
            objects.filter_map(|object| object["data"]["appinfo.json"].as_str().map(str::to_owned));
        dashboards.next().unwrap_or_else(|| panic!("{file:?} has the dashboard"))
    };
    [
        of_config_map(archive.path().join("manifests/monitoring/grafana-dashboard.yaml")),
        of_config_map(dist.join("monitoring.yaml")),
        read(&dist.join("grafana-dashboard.json")),
    ]
}

/// The objects in a file of manifests.
fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).expect("it is YAML")
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

/// Every file in a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().expect("there is a folder");
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("it can be read");
        let name = entry.file_name().into_string().expect("it is UTF-8");
        (name, std::fs::read(entry.path()).expect("a file can be read"))
    };
    entries.map(file).collect()
}

/// Unpacks an archive in a folder of its own.
fn unpack(archive: &Path) -> Folder {
    let folder = Folder::new();
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()));
    folder
}

fn archive_has_the_program(dist: &Path, target: &str) {
    let name = format!("appinfo-{VERSION}-{target}");
    let archive = dist.join(format!("{name}.tar.gz"));
    let listed = run(Command::new("tar").args(["--numeric-owner", "-tvzf"]).arg(&archive));
    let entries = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entries: Vec<_> = entries.map(|words| [words[0], words[1], words[5]].join(" ")).collect();
    let expected = [
        format!("drwxr-xr-x 0/0 {name}/"),
        format!("-rw-r--r-- 0/0 {name}/LICENSE"),
        format!("-rw-r--r-- 0/0 {name}/README.md"),
        format!("-rwxr-xr-x 0/0 {name}/appinfo"),
    ];
    assert_eq!(entries, expected);
    let packed = std::fs::read(unpack(&archive).path().join(name).join("appinfo"));
    let built = std::fs::read(repository().join("target").join(target).join("release/appinfo"));
    assert!(packed.expect("it is there") == built.expect("it is there"), "the program of {target}");
}

/// The single files have the manifests' objects, the archive the manifests themselves, all with the
/// registry's images.
fn manifests_name_the_registry(dist: &Path) {
    let archive = unpack(&dist.join("manifests.tar.gz"));
    let mut images = 0;
    for (file, manifests) in [
        ("appinfo.yaml", "manifests/*.yaml"),
        ("canary-broken.yaml", "manifests/canary/broken.yaml"),
        ("canary-fixed.yaml", "manifests/canary/fixed.yaml"),
        ("monitoring.yaml", "manifests/monitoring/*.yaml"),
    ] {
        let list = format!("ls {manifests}");
        let list = run(Command::new("sh").args(["-c", &list]).current_dir(repository()));
        let mut expected = Vec::new();
        for name in list.lines() {
            let packed = read(&archive.path().join(name));
            assert_eq!(packed.replace("registry.example/team/", "localhost/"), text(name));
            images += packed.matches("image: registry.example/team/appinfo:").count();
            expected.extend(objects(&packed));
        }
        assert_eq!(objects(&read(&dist.join(file))), expected, "{file}");
    }
    assert_eq!(images, 3, "each image has a manifest");
    let [packed, single, json] = dashboards(dist);
    assert_eq!((&packed, &single), (&json, &json));
}

/// Whether CycloneDX's published schema accepts a file, and the output.
fn validate(sbom: &Path) -> (bool, String) {
    let script = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))";
    let output = Command::new("python3").args(["-c", script]).arg(sbom).output();
    let output = output.expect("python3 runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The schema accepts it, and finds a wrong word.
fn sbom_is_valid(sbom: &Path) {
    let library = Command::new("python3").args(["-c", "import cyclonedx.validation.json"]).output();
    if !library.is_ok_and(|python| python.status.success()) {
        return skip("needs the Python package cyclonedx-python-lib[json-validation]");
    }
    let (is_valid, errors) = validate(sbom);
    assert!(is_valid, "{errors}");
    let spoilt = Folder::new();
    let spoilt = spoilt.path().join("sbom.json");
    std::fs::write(&spoilt, read(sbom).replace("SHA-256", "SHA-257")).expect("it can be written");
    let (is_valid, errors) = validate(&spoilt);
    assert!(!is_valid && errors.contains("SHA-257"), "{errors}");
}

/// It has no path of this machine, and has the crates of both binaries with checksums and licenses.
fn sbom_lists_the_crates(sbom: &Path) {
    let text = read(sbom);
    assert!(!text.contains("file://"), "it names a folder of this machine: {text}");
    let sbom: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&sbom["bomFormat"], &sbom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let purl = format!("pkg:cargo/appinfo@{VERSION}");
    assert_eq!(sbom["metadata"]["component"]["purl"], purl);
    let mut listed = BTreeSet::new();
    for component in sbom["components"].as_array().expect("a list") {
        let is_complete =
            component["hashes"][0]["content"].is_string() && component["licenses"][0].is_object();
        assert!(is_complete, "{component}");
        listed.insert(component["purl"].as_str().expect("a text").to_owned());
    }
    for target in TARGETS {
        let tree = format!("tree --locked --edges normal,build --prefix none --target {target}");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(tree.split(' ')).args(["--format", "{p}"]).current_dir(repository());
        let tree = run(&mut cargo);
        let crates = tree.lines().skip(1).filter_map(|line| {
            let (name, version) = line.split_once(" v")?;
            Some(format!("pkg:cargo/{name}@{}", version.split(' ').next()?))
        });
        let crates: BTreeSet<_> = crates.collect();
        assert!(crates.len() > 10 && crates.is_subset(&listed), "{target}: {crates:?}");
        // The tool also counts features that only the tests use: one more crate.
        let mut more = listed.difference(&crates);
        assert!(more.all(|purl| purl.starts_with("pkg:cargo/errno@")), "{target}: {listed:?}");
    }
}
