//! `just push` and `just release` into a real registry: each tag an image for two architectures.

use crate::common::*;
use crate::variants::{VARIANTS, without};

const TAGS: [&str; 3] = ["1", "2", "3"];

const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// Debian's registry, with its configuration in that folder and its images in memory.
fn registry(folder: &Folder) -> Server {
    let config = folder.path().join("config.yml");
    let lines = "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {inmemory: {}}\n";
    fs::write(&config, lines).expect("a file can be written");
    let mut registry = command("docker-registry serve");
    Server::start(registry.arg(config).env("OTEL_TRACES_EXPORTER", "none"), LISTENING)
}

/// The tags of our images in a registry, sorted.
fn tags(registry: SocketAddr) -> Value {
    let mut tags = get(registry, "/v2/classroom/appinfo/tags/list").json()["tags"].take();
    tags.as_array_mut().expect("there are tags").sort_by_key(Value::to_string);
    tags
}

/// The index of a tag, which must be of images for both architectures, and its digest.
#[track_caller]
fn index(registry: SocketAddr, tag: &str) -> (Value, String) {
    let request = format!(
        "GET /v2/classroom/appinfo/manifests/{tag} HTTP/1.1\r\nHost: registry\r\n\
         Accept: application/vnd.oci.image.index.v1+json\r\n\r\n"
    );
    let response = exchange(registry, request.as_bytes()).expect("a response");
    let index = response.json();
    let images = index["manifests"].as_array().expect("it is an index");
    let platforms = images.iter().map(|image| &image["platform"]["architecture"]);
    assert_eq!(platforms.collect::<Vec<_>>(), ARCHITECTURES);
    let digest = response.header("docker-content-digest").expect("it has a digest").to_owned();
    (index, digest)
}

/// Pulls all tags' images. They must hold the program of their architecture, and differ only in variants.
fn pulled_images_have_the_program(podman: Engine, registry: SocketAddr) {
    let _turn = alone();
    let folder = Folder::new();
    let copy = folder.path().join("appinfo");
    for arch in ARCHITECTURES {
        let program = repository().join("target/image").join(arch).join("appinfo");
        let images = [1, 2, 3].map(|tag| {
            let name = format!("{registry}/classroom/appinfo:{tag}");
            podman.run(&format!("pull --quiet --tls-verify=false --arch {arch} {name}"));
            let mut image = podman.inspect(&name);
            assert_eq!(image["Architecture"], arch);
            let container = Container { engine: podman, id: podman.run(&format!("create {name}")) };
            podman.run(&format!("cp {}:/appinfo {}", container.id, copy.display()));
            run(command("cmp").args([&copy, &program]));
            (without(VARIANTS[tag - 1], &image["Config"]), image["RootFS"].take())
        });
        images.iter().for_each(|image| assert_eq!(*image, images[0], "for {arch}"));
    }
}

/// Then it releases them, since both recipes make their images in the same place.
#[test]
#[ignore = "compiles for two architectures"]
fn podman_pushes_and_releases_for_two_architectures() {
    needs!("docker-registry", "skopeo", "jq");
    let Some(podman) = Engine::of("podman") else { return };
    let folder = Folder::new();
    let server = registry(&folder);
    let registry = server.address;
    // Removes what was pulled, in the end.
    let _pulled = Images { engine: podman, repository: format!("{registry}/classroom/appinfo") };

    just(&format!("ENGINE=podman push {registry}/classroom"));
    assert_eq!(tags(registry), json!(TAGS));
    pulled_images_have_the_program(podman, registry);

    let release = format!("release {registry}/classroom");
    just(&release);
    let versions = VARIANTS.map(|variant| format!("{}-{variant}", VERSION));
    assert_eq!(tags(registry), json!([&versions[..], &TAGS.map(str::to_owned)].concat()));
    pulled_images_have_the_program(podman, registry);
    let digests = || VARIANTS.map(|variant| text(format!("target/digests/{variant}")));
    let released = digests();
    for (place, digest) in released.iter().enumerate() {
        let digest = digest.trim();
        let (version, moving) = (index(registry, &versions[place]), index(registry, TAGS[place]));
        assert_eq!((version.1.as_str(), moving.1.as_str()), (digest, digest), "for attestations");
        let image = podman.inspect(&format!("{registry}/classroom/appinfo:{}", TAGS[place]));
        let mut labels = image["Labels"].clone();
        labels.as_object_mut().expect("it is labeled").remove("io.buildah.version");
        assert_eq!(version.0["annotations"], labels);
    }

    // Again, as after a release that broke half-way.
    just(&release);
    assert_eq!(digests(), released);
    // A version's last tag names another image now: nothing is pushed, not even to the first tag.
    for tag in [&versions[2], "1"] {
        let image = |tag| format!("docker://{registry}/classroom/appinfo:{tag}");
        let mut copy = command("skopeo copy --all --src-tls-verify=false --dest-tls-verify=false");
        run(copy.args([image("2"), image(tag)]));
    }
    let turn = alone();
    let refused = format!("! just {release} 2>&1");
    let message = run(Command::new("sh").args(["-c", &refused]).current_dir(repository()));
    drop(turn);
    let sentence = format!("{} is another image already, and a version's images stay", versions[2]);
    assert!(message.contains(&sentence), "{message}");
    assert_eq!(index(registry, "1").1, index(registry, "2").1, "the first tag is as it was");

    let left = podman.run("images --format {{.Repository}}");
    assert!(!left.contains("localhost/appinfo-index"), "left behind: {left}");
}
