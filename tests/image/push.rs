//! `just push` and `just release` into a real registry: each tag an image for two architectures.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::common::engines::{Container, Engine, Images, just, just_refuses};
use crate::common::server::{LISTENING, Server};
use crate::common::{Folder, Start, exchange, get, have, repository, run};
use crate::programs::{EMULATORS, runnable};
use crate::variants::{VARIANTS, without};
use serde_json::{Value, json};

/// Each architecture as an engine calls it, and as a compiler does.
const ARCHITECTURES: [(&str, &str); 2] = [("amd64", "x86_64"), ("arm64", "aarch64")];

/// Debian's registry, with its configuration in that folder and its images in memory.
fn registry(folder: &Folder) -> Server {
    let config = folder.path().join("config.yml");
    let lines = "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {inmemory: {}}\n";
    fs::write(&config, lines).expect("a file can be written");
    let mut registry = Command::new("docker-registry");
    registry.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
    Server::start(&mut registry, LISTENING)
}

/// The tags of our images in a registry, sorted.
fn tags(registry: SocketAddr) -> Value {
    let mut tags = get(registry, "/v2/classroom/appinfo/tags/list").json()["tags"].take();
    tags.as_array_mut().expect("there are tags").sort_by_key(Value::to_string);
    tags
}

/// The index of a tag, and its digest.
fn index(registry: SocketAddr, tag: &str) -> (Value, String) {
    let request = format!(
        "GET /v2/classroom/appinfo/manifests/{tag} HTTP/1.1\r\nHost: registry\r\n\
         Accept: application/vnd.oci.image.index.v1+json\r\n\
         Accept: application/vnd.oci.image.manifest.v1+json\r\n\
         Accept: application/vnd.docker.distribution.manifest.list.v2+json\r\n\r\n"
    );
    let response = exchange(registry, request.as_bytes()).expect("a response");
    let digest = response.header("docker-content-digest").expect("it tells the digest").to_owned();
    (response.json(), digest)
}

/// Fails unless an index is of images for both architectures.
#[track_caller]
fn has_both_architectures(index: &Value) {
    let images = index["manifests"].as_array().expect("it is an index");
    let platforms = images.iter().map(|image| &image["platform"]["architecture"]);
    assert_eq!(platforms.collect::<Vec<_>>(), ARCHITECTURES.map(|(engines, _)| engines));
}

/// Pulls the images of these tags for an architecture, runs their programs, and fails if more than their
/// variants differ.
#[track_caller]
fn pulled_images_run(
    podman: Engine,
    registry: SocketAddr,
    tags: [&str; 3],
    architecture: (&str, &str),
) {
    let folder = Folder::new();
    let seen = [0, 1, 2].map(|place| {
        let name = format!("{registry}/classroom/appinfo:{}", tags[place]);
        let (arch, compiler_arch) = architecture;
        podman.run(&format!("pull --quiet --tls-verify=false --arch {arch} {name}"));
        let mut image = podman.inspect(&name);
        assert_eq!(image["Architecture"], arch);
        let container = Container { engine: podman, id: podman.run(&format!("create {name}")) };
        let copy = folder.path().join("appinfo");
        podman.run(&format!("cp {}:/appinfo {}", container.id, copy.display()));
        // As podman would run the image on that architecture.
        let variant = VARIANTS[place];
        let program = Start::of(&runnable(compiler_arch, &copy)).env("APPINFO_VARIANT", variant);
        let response = program.env("MY_POD_NAME", "pulled").spawn().get("/v1/appinfo");
        assert_eq!(response.header("appinfo-pod"), Some("pulled"));
        assert_eq!(response.status, if variant == "broken" { 500 } else { 200 });
        (without(variant, &image["Config"]), image["RootFS"].take())
    });
    assert_eq!(seen[0].1["Layers"].as_array().map(Vec::len), Some(1), "there is one layer");
    seen.iter().for_each(|image| assert_eq!(*image, seen[0], "for {architecture:?}"));
}

/// Fails if a recipe has left images of its own.
fn nothing_is_left(podman: Engine) {
    let left = podman.run("images --format {{.Repository}}");
    for name in ["localhost/appinfo-all", "localhost/appinfo-amd64", "localhost/appinfo-arm64"] {
        assert!(!left.lines().any(|line| line == name), "{name} has been left behind");
    }
}

/// Then it releases them, since both recipes make their images in the same place.
#[test]
#[ignore = "compiles for two architectures"]
fn podman_pushes_and_releases_for_two_architectures() {
    if !have(&["docker-registry", "skopeo"]) || !have(&EMULATORS) {
        return;
    }
    let Some(podman) = Engine::of("podman") else { return };
    let folder = Folder::new();
    let server = registry(&folder);
    let registry = server.address;
    // Removes what was pulled, in the end.
    let _pulled = Images { engine: podman, repository: format!("{registry}/classroom/appinfo") };

    just(&format!("ENGINE=podman push {registry}/classroom"));
    assert_eq!(tags(registry), json!(["1", "2", "3"]));
    ["1", "2", "3"].iter().for_each(|tag| has_both_architectures(&index(registry, tag).0));
    for architecture in ARCHITECTURES {
        pulled_images_run(podman, registry, ["1", "2", "3"], architecture);
    }
    nothing_is_left(podman);

    just(&format!("release {registry}/classroom"));
    let fixed = VARIANTS.map(|variant| format!("{}-{variant}", env!("CARGO_PKG_VERSION")));
    let mut all = Vec::from(["1", "2", "3"].map(str::to_owned));
    all.extend(fixed.clone());
    all.sort();
    assert_eq!(tags(registry), json!(all));
    let digests = || -> Value {
        let file = fs::read(repository().join("target/indexes/digests.json")).expect("it is there");
        serde_json::from_slice(&file).expect("it is JSON")
    };
    let metadata = just("metadata");
    for (place, variant) in VARIANTS.into_iter().enumerate() {
        let (released, digest) = index(registry, &fixed[place]);
        has_both_architectures(&released);
        assert_eq!(digests()[variant], digest);
        assert_eq!(index(registry, &(place + 1).to_string()).1, digest, "{variant} is both tags");
        let annotations = released["annotations"].as_object().expect("the index is annotated");
        let annotations =
            annotations.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
        let mut lines: Vec<_> = metadata.lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(annotations.collect::<Vec<_>>(), lines);
    }
    let names = [0, 1, 2].map(|place| fixed[place].as_str());
    for architecture in ARCHITECTURES {
        pulled_images_run(podman, registry, names, architecture);
    }
    nothing_is_left(podman);

    // Again, as after a failure: the same images may be pushed again.
    let before = digests();
    just(&format!("release {registry}/classroom"));
    assert_eq!(digests(), before);
    // The last of these tags is another image, of one architecture: nothing is pushed.
    let other = format!("docker://{registry}/classroom/appinfo");
    for tag in [&fixed[2], "1"] {
        let mut copy = Command::new("skopeo");
        copy.args(["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        run(copy.args([format!("{other}:2"), format!("{other}:{tag}")]));
    }
    let occupied = index(registry, "1").1;
    let said = just_refuses(&format!("release {registry}/classroom"));
    let sentence = format!("/appinfo:{} is another image already", fixed[2]);
    assert!(said.contains(&sentence), "{said}");
    assert_eq!(index(registry, "1").1, occupied, "nothing was pushed");
    nothing_is_left(podman);
}
