//! `just push` into a real registry: each tag an image for two architectures.

use std::process::Command;

use crate::common::engines::{Container, Engine, Images, just};
use crate::common::server::{LISTENING, Server};
use crate::common::{Folder, exchange, get, have};
use crate::variants::{VARIANTS, without};
use serde_json::{Value, json};

/// Each architecture with its number in the head of an ELF file (`e_machine`, elf(5)).
const ARCHITECTURES: [(&str, u16); 2] = [("amd64", 62), ("arm64", 183)];

/// Debian's registry, with its configuration in that folder and its images in memory.
fn registry(folder: &Folder) -> Server {
    let config = folder.path().join("config.yml");
    let lines = "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {inmemory: {}}\n";
    std::fs::write(&config, lines).expect("a file can be written");
    let mut registry = Command::new("docker-registry");
    registry.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none");
    Server::start(&mut registry, LISTENING)
}

#[test]
#[ignore = "compiles for two architectures"]
fn podman_pushes_each_tag_for_two_architectures() {
    if !have(&["docker-registry"]) {
        return;
    }
    let Some(podman) = Engine::of("podman") else { return };
    let folder = Folder::new();
    let registry = registry(&folder);
    just(&format!("ENGINE=podman push {}/classroom", registry.address));

    let mut tags = get(registry.address, "/v2/classroom/appinfo/tags/list").json();
    tags["tags"].as_array_mut().expect("there are tags").sort_by_key(Value::to_string);
    assert_eq!(tags["tags"], json!(["1", "2", "3"]));
    for tag in 1..=3 {
        let index = format!(
            "GET /v2/classroom/appinfo/manifests/{tag} HTTP/1.1\r\nHost: registry\r\n\
             Accept: application/vnd.oci.image.index.v1+json\r\n\
             Accept: application/vnd.docker.distribution.manifest.list.v2+json\r\n\r\n"
        );
        let index = exchange(registry.address, index.as_bytes()).expect("an answer").json();
        let images = index["manifests"].as_array().expect("it is an index");
        let platforms = images.iter().map(|image| &image["platform"]["architecture"]);
        assert_eq!(
            platforms.collect::<Vec<_>>(),
            ARCHITECTURES.map(|(architecture, _)| architecture)
        );
    }
    for (architecture, machine) in ARCHITECTURES {
        let seen = [1, 2, 3].map(|tag| {
            let repository = format!("{}/classroom/appinfo", registry.address);
            let pulled = Images { engine: podman, repository };
            let name = pulled.name(tag);
            podman.run(&format!("pull --quiet --tls-verify=false --arch {architecture} {name}"));
            let mut image = podman.inspect(&name);
            assert_eq!(image["Architecture"], architecture);
            let container = Container { engine: podman, id: podman.run(&format!("create {name}")) };
            let copy = folder.path().join("appinfo");
            podman.run(&format!("cp {}:/appinfo {}", container.id, copy.display()));
            let program = std::fs::read(copy).expect("it was copied");
            assert!(program.starts_with(b"\x7fELF"));
            assert_eq!(u16::from_le_bytes([program[18], program[19]]), machine, "{architecture}");
            (without(VARIANTS[tag - 1], &image["Config"]), image["RootFS"].take())
        });
        assert_eq!(seen[0].1["Layers"].as_array().map(Vec::len), Some(1), "there is one layer");
        seen.iter().for_each(|image| assert_eq!(*image, seen[0], "for {architecture}"));
    }

    let left = podman.run("images --format {{.Repository}}");
    for name in ["localhost/appinfo-all", "localhost/appinfo-amd64", "localhost/appinfo-arm64"] {
        assert!(!left.lines().any(|line| line == name), "{name} has been left behind");
    }
}
