//! `just push` and `just release` into a real registry: each tag an image for two architectures.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::common::engines::{Container, Engine, Images, just, just_refuses};
use crate::common::server::{LISTENING, Server};
use crate::common::{Folder, exchange, get, have, repository, text};
use crate::variants::{VARIANTS, without};
use serde_json::{Value, json};

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

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

/// The digest of a tag's index, which must be of images for both architectures.
#[track_caller]
fn index_digest(registry: SocketAddr, tag: &str) -> String {
    let request = format!(
        "GET /v2/classroom/appinfo/manifests/{tag} HTTP/1.1\r\nHost: registry\r\n\
         Accept: application/vnd.oci.image.index.v1+json\r\n\r\n"
    );
    let response = exchange(registry, request.as_bytes()).expect("a response");
    let index = response.json();
    let images = index["manifests"].as_array().expect("it is an index");
    let platforms = images.iter().map(|image| &image["platform"]["architecture"]);
    assert_eq!(platforms.collect::<Vec<_>>(), ARCHITECTURES);
    response.header("docker-content-digest").expect("it has a digest").to_owned()
}

/// Pulls all tags' images for an architecture. They must hold its program, and differ only in variants.
fn pulled_images_have_the_program(podman: Engine, registry: SocketAddr, arch: &str) {
    let folder = Folder::new();
    let program = fs::read(repository().join("target/image").join(arch).join("appinfo"));
    let program = program.expect("it has been built");
    let images = [1, 2, 3].map(|tag| {
        let name = format!("{registry}/classroom/appinfo:{tag}");
        podman.run(&format!("pull --quiet --tls-verify=false --arch {arch} {name}"));
        let mut image = podman.inspect(&name);
        assert_eq!(image["Architecture"], arch);
        let container = Container { engine: podman, id: podman.run(&format!("create {name}")) };
        let copy = folder.path().join("appinfo");
        podman.run(&format!("cp {}:/appinfo {}", container.id, copy.display()));
        assert!(fs::read(copy).expect("it is copied") == program, "{name} for {arch}");
        (without(VARIANTS[tag - 1], &image["Config"]), image["RootFS"].take())
    });
    images.iter().for_each(|image| assert_eq!(*image, images[0], "for {arch}"));
}

/// Then it releases them, since both recipes make their images in the same place.
#[test]
#[ignore = "compiles for two architectures"]
fn podman_pushes_and_releases_for_two_architectures() {
    if !have(&["docker-registry"]) {
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
    ARCHITECTURES.iter().for_each(|arch| pulled_images_have_the_program(podman, registry, arch));
    let pushed = ["1", "2", "3"].map(|tag| index_digest(registry, tag));

    // The same commit gives the same images, and the version's tags name them too.
    just(&format!("release {registry}/classroom"));
    let versions = VARIANTS.map(|variant| format!("{}-{variant}", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        tags(registry),
        json!([&versions[..], &["1", "2", "3"].map(str::to_owned)].concat())
    );
    for (place, variant) in VARIANTS.into_iter().enumerate() {
        let digest = text(&format!("target/digests/{variant}"));
        assert_eq!(digest, pushed[place], "for the attestation of {variant}");
        assert_eq!(index_digest(registry, &versions[place]), digest);
        assert_eq!(index_digest(registry, &(place + 1).to_string()), digest);
    }
    let message = just_refuses(&format!("release {registry}/classroom"));
    assert!(message.contains("already, and a version"), "{message}");

    let left = podman.run("images --format {{.Repository}}");
    assert!(!left.contains("localhost/appinfo-index"), "left behind: {left}");
}
