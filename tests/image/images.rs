//! The images that `just images` builds with real engines, and what they do in containers.

use crate::common::*;
use crate::variants::{VARIANTS, without};

/// What all files of an image may have together.
const BUDGET_BYTES: u64 = 710_000;

#[test]
fn docker_builds_three_images_of_one_layer() {
    images_of_one_layer_are_built_by("docker");
}

#[test]
fn podman_builds_three_images_of_one_layer() {
    images_of_one_layer_are_built_by("podman");
}

fn images_of_one_layer_are_built_by(engine: &'static str) {
    let Some(engine) = Engine::of(engine) else { return };
    let images = Images::of(engine, "images");
    let seen = [1, 2, 3].map(|tag| {
        let mut image = engine.inspect(&images.name(tag));
        (without(VARIANTS[tag - 1], &image["Config"]), image["RootFS"].take())
    });
    seen.iter().for_each(|image| assert_eq!(*image, seen[0]));
    let (config, files) = &seen[0];
    assert_eq!(files["Layers"].as_array().map(Vec::len), Some(1), "there is one layer");
    is_configured_and_labeled(config);
    holds_two_files_within_the_budget(&images);
    each_tag_is_its_variant_unless_another_is_set(&images);
}

fn is_configured_and_labeled(config: &Value) {
    for (field, value) in [
        ("/User", json!("65532:65532")),
        ("/Entrypoint", json!(["/appinfo"])),
        ("/ExposedPorts", json!({"8080/tcp": {}})),
        ("/Labels/org.opencontainers.image.title", json!("appinfo")),
        ("/Labels/org.opencontainers.image.description", json!(env!("CARGO_PKG_DESCRIPTION"))),
        ("/Labels/org.opencontainers.image.version", json!(VERSION)),
        ("/Labels/org.opencontainers.image.licenses", json!(env!("CARGO_PKG_LICENSE"))),
    ] {
        assert_eq!(config.pointer(field), Some(&value), "{field}");
    }
    assert!(config["Cmd"].is_null(), "{config}");
    let revision = config["Labels"]["org.opencontainers.image.revision"].as_str();
    let revision = revision.expect("it is labeled with the commit").trim_end_matches("-dirty");
    assert!(revision.len() == 40 || revision == "unknown", "{revision}");
}

fn holds_two_files_within_the_budget(images: &Images) {
    let folder = Folder::new();
    let archive = folder.path().join("image.tar");
    run(images.engine.command("save --output").arg(&archive).arg(images.name(1)));
    run(command("tar -xf image.tar").current_dir(folder.path()));
    let manifest = text(folder.path().join("manifest.json"));
    let manifest: Value = serde_json::from_str(&manifest).expect("the manifest is JSON");
    let layer = manifest[0]["Layers"][0].as_str().expect("there is a layer");
    let mut tar = command("tar --numeric-owner -tvf");
    let listed = run(tar.arg(layer).current_dir(folder.path()).env("TZ", "UTC"));

    let listing = Regex::new(
        "^(d.* [.]?/\n)?-rwxr-xr-x 0/0 +(?<bytes>[0-9]+) 1970-01-01 00:00 appinfo\n\
         drwxr-xr-x 0/0 +0 1970-01-01 00:00 etc/\n\
         lrwxrwxrwx 0/0 +0 1970-01-01 00:00 etc/labels -> podinfo/labels\n$",
    );
    let found = listing.expect("the pattern is right").captures(&listed);
    let bytes: u64 = found.unwrap_or_else(|| panic!("{listed}"))["bytes"].parse().expect("digits");
    assert!(bytes <= BUDGET_BYTES, "the image has {bytes} bytes, over {BUDGET_BYTES}");
}

fn each_tag_is_its_variant_unless_another_is_set(images: &Images) {
    for (tag, options, variant) in [
        (1, "", "baseline"),
        (2, "", "broken"),
        (3, "", "namespace"),
        (3, "-e APPINFO_VARIANT=broken", "broken"),
    ] {
        let (_container, address) = start(images, tag, options);
        let metrics = get(address, "/metrics");
        let is_it = metrics.text().contains(&format!("variant=\"{variant}\""));
        assert!(is_it, "{tag} {options}: {metrics:?}");
    }
}

/// Starts the image of a tag, with these options separated by white space, and waits until it responds.
fn start(images: &Images, tag: usize, options: &str) -> (Container, SocketAddr) {
    let arguments = format!("--publish 127.0.0.1::8080 {options} {}", images.name(tag));
    let container = Container::start(images.engine, &arguments);
    let port = images.engine.run(&format!("port {} 8080/tcp", container.id));
    let address = port.parse().unwrap_or_else(|_| panic!("{port} is an address"));
    eventually("the container responds", || try_get(address, "/healthz").ok());
    (container, address)
}

#[test]
fn labels_are_read_under_the_strictest_policy() {
    let Some(engine) = Engine::of("podman") else { return };
    let images = Images::of(engine, "image namespace");
    let mut labels = DownwardApi::with("app=\"appinfo\"\nrelease=\"stable\"");
    let folder = labels.file().parent().expect("the file is in a folder").to_owned();
    let policy = "--read-only --cap-drop ALL --user 12345:12345 --security-opt no-new-privileges";
    let volume = format!("--volume {}:/etc/podinfo:ro", folder.display());
    let (_container, address) = start(&images, 3, &format!("{policy} {volume}"));
    assert_eq!(get(address, "/v1/appinfo").json()["Release"], "stable");
    labels.swap("app=\"appinfo\"\nnewlabel=\"realtime\"\nrelease=\"canary\"");
    let appinfo = get(address, "/v1/appinfo").json();
    assert_eq!(appinfo["Release"], "canary");
    assert_eq!(appinfo["Labels"]["newlabel"], "realtime");
}

/// The kernel ignores signals to PID 1 that it does not handle. The engine kills it after ten seconds;
/// then its status would be 137.
#[test]
fn pid_1_drains_and_a_second_signal_ends_it_at_once() {
    let Some(engine) = Engine::of("docker") else { return };
    let images = Images::of(engine, "image baseline");
    let status = |container: &Container| {
        eventually("the container ends", || {
            let state = &container.inspect()["State"];
            (state["Status"] == "exited").then(|| state["ExitCode"].clone())
        })
    };
    let (container, _) = start(&images, 1, "");
    let stop = Instant::now();
    container.run("stop");
    assert_eq!(status(&container), 0);
    assert!(stop.elapsed() >= Duration::from_secs(5), "it has drained");

    for (second, expected) in [("TERM", 143), ("INT", 130)] {
        let (container, address) = start(&images, 1, "-e APPINFO_DRAIN=3600");
        container.run("kill --signal TERM");
        await_draining(address);
        container.run(&format!("kill --signal {second}"));
        assert_eq!(status(&container), expected, "{second}");
    }
}
