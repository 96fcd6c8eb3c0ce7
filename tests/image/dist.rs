//! `just dist`: the files of a release.

use crate::common::*;

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
fn dist(clone: PathBuf, remote: &str, commands: &str) -> PathBuf {
    run(command("git clone --quiet").args([repository(), &clone]));
    // A child writes the program: see `reproducible`.
    let script = format!(
        "git remote set-url origin {remote}
        mkdir bin; printf %s \"$0\" >bin/cargo; chmod 755 bin/cargo; PATH=$PWD/bin:$PATH
        {commands}; just dist registry.example/team/"
    );
    let mut shell = command("sh -ec");
    shell.args([&script, CARGO]).current_dir(&clone).env("BUILT", repository().join("target"));
    run(&mut shell);
    clone.join("target/dist")
}

/// Two clones have folders, `umask`, time zone and language that differ. Their git remote has no page, so
/// the manifests are the repository's own but for the registry. That of the third one has a page.
#[test]
#[ignore = "compiles for two architectures"]
fn clones_make_the_same_files_of_a_release() {
    needs!("just", "git", "cargo-cyclonedx");
    if !repository().join(".git").exists() {
        return skip("needs the git repository");
    }
    just("ARCH=amd64 build");
    just("ARCH=arm64 build");
    let folder = Folder::new();
    let clone = |name| folder.path().join(name);
    let first = dist(clone("one"), "../appinfo.git", "umask 022");
    let other = "umask 077; export TZ=Asia/Tokyo LANG=de_DE.UTF-8";
    let second = dist(clone("another folder/of a longer name"), "../appinfo.git", other);
    run(command("diff -r").args([&first, &second]));

    let sums = run(command("sha256sum --check SHA256SUMS").current_dir(&first));
    let files = first.read_dir().expect("there is a folder").count();
    assert_eq!(sums.lines().count(), files - 1, "each file but the sums themselves: {sums}");
    for target in TARGETS {
        archive_has_the_program(&first, target);
    }
    manifests_name_the_registry(&first);
    sbom_is_valid(&first.join("appinfo.cdx.json"));
    sbom_lists_the_crates(&first.join("appinfo.cdx.json"));

    assert_eq!(dashboard(&first)["links"], json!([]));
    let page = "https://git.example.com/o/r";
    let link = &dashboard(&dist(clone("page"), &format!("{page}.git"), ":"))["links"][0]["url"];
    assert_eq!(*link, format!("{page}/blob/v{VERSION}/manifests/README.md#ask-the-metrics"));
    assert!(text("manifests/README.md").contains("\n## Ask the metrics\n"), "it has the chapter");
}

/// Grafana's dashboard as JSON, which is also in the manifests.
fn dashboard(dist: &Path) -> Value {
    let json = text(dist.join("grafana-dashboard.json"));
    let mut objects = objects(&text(dist.join("monitoring.yaml"))).into_iter();
    assert!(objects.any(|object| object["data"]["appinfo.json"] == json), "the dashboard is there");
    serde_json::from_str(&json).expect("it is JSON")
}

/// The objects in a file of manifests.
fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).expect("it is YAML")
}

/// Unpacks an archive in a folder of its own.
fn unpack(archive: &Path) -> Folder {
    let folder = Folder::new();
    run(command("tar -xzf").arg(archive).current_dir(folder.path()));
    folder
}

fn archive_has_the_program(dist: &Path, target: &str) {
    let name = format!("appinfo-{VERSION}-{target}");
    let archive = dist.join(format!("{name}.tar.gz"));
    let listed = run(command("tar --numeric-owner -tvzf").arg(&archive));
    let entries = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let entries: Vec<_> = entries.map(|words| [words[0], words[1], words[5]].join(" ")).collect();
    let expected = [
        format!("drwxr-xr-x 0/0 {name}/"),
        format!("-rw-r--r-- 0/0 {name}/LICENSE"),
        format!("-rw-r--r-- 0/0 {name}/README.md"),
        format!("-rwxr-xr-x 0/0 {name}/appinfo"),
    ];
    assert_eq!(entries, expected);
    let built = repository().join("target").join(target).join("release/appinfo");
    run(command("cmp").args([unpack(&archive).path().join(name).join("appinfo"), built]));
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
        let list = run(command("sh -c").arg(list).current_dir(repository()));
        let mut expected = Vec::new();
        for name in list.lines() {
            let packed = text(archive.path().join(name));
            assert_eq!(packed.replace("registry.example/team/", "localhost/"), text(name));
            images += packed.matches("image: registry.example/team/appinfo:").count();
            expected.extend(objects(&packed));
        }
        assert_eq!(objects(&text(dist.join(file))), expected, "{file}");
    }
    assert_eq!(images, 3, "each image has a manifest");
}

/// CycloneDX's published schema accepts it.
fn sbom_is_valid(sbom: &Path) {
    let library = command("python3 -c").arg("import cyclonedx.validation.json").output();
    if !library.is_ok_and(|python| python.status.success()) {
        return skip("needs the Python package cyclonedx-python-lib[json-validation]");
    }
    let script = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read()))";
    run(command("python3 -c").args([script.as_ref(), sbom]));
}

/// It has no path of this machine, and has the crates of both binaries with checksums and licenses.
fn sbom_lists_the_crates(sbom: &Path) {
    let text = text(sbom);
    assert!(!text.contains("file://"), "it names a folder of this machine: {text}");
    let sbom: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(sbom["specVersion"], "1.5");
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
        let tree = "tree --locked --edges normal,build --prefix none --format {p} --target";
        let mut cargo = Command::new(env!("CARGO"));
        let tree = run(cargo.args(tree.split(' ')).arg(target).current_dir(repository()));
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
