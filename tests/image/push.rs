//! `just push` into a real registry: each tag an image for two architectures.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::common::engines::{Engine, just};
use crate::common::{Answer, Folder, eventually, exchange, have, run};
use crate::variants::{variants, without};
use serde_json::{Value, json};

/// Each architecture with its number in the head of an ELF file (`e_machine`, elf(5)).
const ARCHITECTURES: [(&str, u16); 2] = [("amd64", 62), ("arm64", 183)];

/// Debian's registry on a port of the kernel's choice, without TLS; ended when dropped.
struct Registry {
    server: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Registry {
    fn start() -> Registry {
        let folder = Folder::new();
        let config = folder.path().join("config.yml");
        let lines = "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {inmemory: {}}\n";
        std::fs::write(&config, lines).expect("a file can be written");
        let log = folder.path().join("log");
        let server = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a file can be made"))
            .spawn()
            .expect("the registry starts");
        let mut registry =
            Registry { server, address: SocketAddr::from(([0; 4], 0)), _folder: folder };
        registry.address = eventually("the registry tells its address", || {
            let log = std::fs::read_to_string(&log).expect("the log can be read");
            let ended = registry.server.try_wait().expect("a child can be waited for");
            assert_eq!(ended, None, "the registry ended: {log}");
            let (_, rest) = log.split_once("listening on ")?;
            rest.split_once(['"', ' ', ','])?.0.parse().ok()
        });
        registry
    }

    /// One GET under `/v2/`.
    fn get(&self, path: &str) -> Answer {
        let accept = "application/vnd.oci.image.index.v1+json, \
             application/vnd.docker.distribution.manifest.list.v2+json, \
             application/vnd.oci.image.manifest.v1+json, \
             application/vnd.docker.distribution.manifest.v2+json";
        let request = format!(
            "GET /v2/{path} HTTP/1.1\r\nHost: registry\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(self.address, request.as_bytes()).expect("the registry answers");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The number of the machine that the `appinfo` in this compressed layer is for.
fn machine_of(layer: &[u8]) -> u16 {
    let folder = Folder::new();
    let archive = folder.path().join("layer.tar.gz");
    std::fs::write(&archive, layer).expect("a file can be written");
    run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder.path()));
    let program = std::fs::read(folder.path().join("appinfo")).expect("it is in the layer");
    assert!(program.starts_with(b"\x7fELF"));
    u16::from_le_bytes([program[18], program[19]])
}

#[test]
#[ignore = "compiles for two architectures"]
fn podman_pushes_each_tag_for_two_architectures() {
    if !have(&["docker-registry", "tar"]) || Engine::of("podman").is_none() {
        return;
    }
    let registry = Registry::start();
    let target = format!("{}/classroom", registry.address);
    just(&format!("ENGINE=podman push {target}"));

    let variants = variants();
    let mut tags = registry.get("classroom/appinfo/tags/list").json();
    tags["tags"].as_array_mut().expect("there are tags").sort_by_key(Value::to_string);
    let expected: Vec<_> = (1..=variants.len()).map(|tag| tag.to_string()).collect();
    assert_eq!(tags["tags"], json!(expected));
    for (architecture, machine) in ARCHITECTURES {
        let mut seen = Vec::new();
        for (tag, variant) in (1..).zip(&variants) {
            let index = registry.get(&format!("classroom/appinfo/manifests/{tag}")).json();
            let (config, layers) = image_of(&registry, &index, architecture);
            assert_eq!(layers.len(), 1, "one layer for {architecture}");
            let blob = layers[0]["digest"].as_str().expect("a layer has a digest");
            let layer = registry.get(&format!("classroom/appinfo/blobs/{blob}")).body;
            assert_eq!(machine_of(&layer), machine, "{variant} for {architecture}");
            seen.push((without(variant, &config["config"]), config["rootfs"].clone(), layers));
        }
        seen.iter().for_each(|image| assert_eq!(*image, seen[0], "for {architecture}"));
    }

    let left = Engine::of("podman").expect("it was there").run("images --format {{.Repository}}");
    for name in ["localhost/appinfo-all", "localhost/appinfo-amd64", "localhost/appinfo-arm64"] {
        assert!(!left.lines().any(|line| line == name), "{name} has been left behind");
    }
}

/// The configuration and the layers of the image for an architecture, from an index that lists
/// one image for each architecture and nothing else.
fn image_of(registry: &Registry, index: &Value, architecture: &str) -> (Value, Vec<Value>) {
    let images = index["manifests"].as_array().expect("it is an index");
    assert_eq!(images.len(), ARCHITECTURES.len(), "{index}");
    let image = images
        .iter()
        .find(|image| image["platform"]["architecture"] == architecture)
        .unwrap_or_else(|| panic!("{architecture} is in {index}"));
    assert_eq!(image["platform"]["os"], "linux");
    let digest = image["digest"].as_str().expect("an image has a digest");
    let manifest = registry.get(&format!("classroom/appinfo/manifests/{digest}")).json();
    let digest = manifest["config"]["digest"].as_str().expect("a configuration has a digest");
    let config = registry.get(&format!("classroom/appinfo/blobs/{digest}")).json();
    assert_eq!(config["architecture"], architecture);
    (config, manifest["layers"].as_array().expect("an image has layers").clone())
}
