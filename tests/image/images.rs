//! The images, built by `just images` and run by real engines, each test with docker and with
//! podman.

use std::sync::Weak;

use crate::common::*;
use crate::variants::{VARIANTS, without};

/// What all files of an image may have together.
const BUDGET_BYTES: u64 = 710_000;

/// One test with each engine.
macro_rules! with_each_engine {
    ($($test:ident,)*) => {
        mod docker {
            static IMAGES: super::Shared = super::Shared::new(std::sync::Weak::new());
            $(#[test] fn $test() { super::with("docker", &IMAGES, super::$test) })*
        }
        mod podman {
            static IMAGES: super::Shared = super::Shared::new(std::sync::Weak::new());
            $(#[test] fn $test() { super::with("podman", &IMAGES, super::$test) })*
        }
    };
}

with_each_engine! {
    each_tag_is_its_variant_unless_another_is_set,
    tags_differ_in_nothing_but_the_variant,
    the_image_is_configured_and_labeled,
    the_image_holds_two_files_within_the_budget,
    labels_are_read_under_the_strictest_policy,
    stop_drains_and_ends_with_status_0,
    a_second_signal_ends_pid_1_at_once,
    without_ipv6_it_serves_ipv4,
}

/// The images of one engine, for as long as a test has them.
type Shared = Mutex<Weak<Images>>;

/// Runs a test with the images of this engine, which tests that run at the same time share.
fn with(engine: &'static str, shared: &Shared, test: fn(&Images)) {
    let Some(engine) = Engine::of(engine) else { return };
    let images = {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let images = Arc::new(Images::of(engine, "images"));
            *shared = Arc::downgrade(&images);
            images
        })
    };
    test(&images);
}

/// A container that has responded.
struct Pod {
    container: Container,
    address: SocketAddr,
}

impl Pod {
    /// Starts the image of a tag, with these options separated by white space.
    fn start(images: &Images, tag: usize, options: &str) -> Pod {
        let arguments = format!("--publish 127.0.0.1::8080 {options} {}", images.name(tag));
        let container = Container::start(images.engine, &arguments);
        let port = images.engine.run(&format!("port {} 8080/tcp", container.id));
        let address = port.parse().unwrap_or_else(|_| panic!("{port} is an address"));
        let pod = Pod { container, address };
        eventually("the container responds", || try_get(address, "/healthz").ok());
        pod
    }

    fn appinfo(&self) -> Response {
        get(self.address, "/v1/appinfo")
    }

    /// Everything the program has printed.
    fn log(&self) -> String {
        let logs = self.container.engine.command("logs").arg(&self.container.id).output();
        let logs = logs.expect("logs runs");
        String::from_utf8_lossy(&[logs.stdout, logs.stderr].concat()).into_owned()
    }

    /// Waits for its end; returns its exit status.
    fn wait(&self) -> i64 {
        eventually("the container ends", || {
            let state = &self.container.inspect()["State"];
            (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a status"))
        })
    }
}

fn each_tag_is_its_variant_unless_another_is_set(images: &Images) {
    for (tag, options, variant) in [
        (1, "", "baseline"),
        (2, "", "broken"),
        (3, "", "namespace"),
        (3, "-e APPINFO_VARIANT=broken", "broken"),
    ] {
        let log = Pod::start(images, tag, options).log();
        assert!(
            log.contains(&format!("variant {variant}, listening on ")),
            "{tag} {options}: {log}"
        );
    }
}

fn tags_differ_in_nothing_but_the_variant(images: &Images) {
    let seen = [1, 2, 3].map(|tag| {
        let mut image = images.engine.inspect(&images.name(tag));
        (without(VARIANTS[tag - 1], &image["Config"]), image["RootFS"].take())
    });
    assert_eq!(seen[0].1["Layers"].as_array().map(Vec::len), Some(1), "there is one layer");
    seen.iter().for_each(|image| assert_eq!(*image, seen[0]));
}

fn the_image_is_configured_and_labeled(images: &Images) {
    let image = images.engine.inspect(&images.name(1));
    let config = &image["Config"];
    for (field, value) in [
        ("/User", json!("65532:65532")),
        ("/Entrypoint", json!(["/appinfo"])),
        ("/ExposedPorts", json!({"8080/tcp": {}})),
        ("/Labels/org.opencontainers.image.title", json!("appinfo")),
        ("/Labels/org.opencontainers.image.description", json!(env!("CARGO_PKG_DESCRIPTION"))),
        ("/Labels/org.opencontainers.image.version", json!(env!("CARGO_PKG_VERSION"))),
        ("/Labels/org.opencontainers.image.licenses", json!(env!("CARGO_PKG_LICENSE"))),
    ] {
        assert_eq!(config.pointer(field), Some(&value), "{field}");
    }
    assert!(config["Cmd"].is_null(), "{config}");
    let revision = config["Labels"]["org.opencontainers.image.revision"].as_str();
    let revision = revision.expect("it is labeled with the commit").trim_end_matches("-dirty");
    assert!(revision.len() == 40 || revision == "unknown", "{revision}");
}

fn the_image_holds_two_files_within_the_budget(images: &Images) {
    let folder = Folder::new();
    let archive = folder.path().join("image.tar");
    run(images.engine.command("save --output").arg(&archive).arg(images.name(1)));
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()));
    let manifest = std::fs::read(folder.path().join("manifest.json")).expect("it has one");
    let manifest: Value = serde_json::from_slice(&manifest).expect("the manifest is JSON");
    let layer = manifest[0]["Layers"][0].as_str().expect("there is a layer");
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "-tvf", layer]).current_dir(folder.path());

    let listing = Regex::new(
        "^(d.* [.]?/\n)?-rwxr-xr-x 0/0 +(?<bytes>[0-9]+) 1970-01-01 00:00 appinfo\n\
         drwxr-xr-x 0/0 +0 1970-01-01 00:00 etc/\n\
         lrwxrwxrwx 0/0 +0 1970-01-01 00:00 etc/labels -> podinfo/labels\n$",
    );
    let listed = run(tar.env("TZ", "UTC"));
    let found = listing.expect("the pattern is right").captures(&listed);
    let bytes: u64 = found.unwrap_or_else(|| panic!("{listed}"))["bytes"].parse().expect("digits");
    assert!(bytes <= BUDGET_BYTES, "the image has {bytes} bytes, over {BUDGET_BYTES}");
}

fn labels_are_read_under_the_strictest_policy(images: &Images) {
    let mut labels = DownwardApi::with("app=\"appinfo\"\nrelease=\"stable\"");
    let folder = labels.file().parent().expect("the file is in a folder").to_owned();
    let policy = "--read-only --cap-drop ALL --user 12345:12345 --security-opt no-new-privileges";
    let volume = format!("--volume {}:/etc/podinfo:ro", folder.display());
    let pod = Pod::start(images, 3, &format!("{policy} {volume}"));
    assert_eq!(pod.appinfo().json()["Release"], "stable");
    labels.swap("app=\"appinfo\"\nnewlabel=\"realtime\"\nrelease=\"canary\"");
    let appinfo = pod.appinfo().json();
    assert_eq!(appinfo["Release"], "canary");
    assert_eq!(appinfo["Labels"]["newlabel"], "realtime");
}

fn stop_drains_and_ends_with_status_0(images: &Images) {
    // The engines kill it after ten seconds; then its status would be 137.
    let pod = Pod::start(images, 1, "");
    let start = Instant::now();
    pod.container.run("stop");
    assert_eq!(pod.wait(), 0, "{}", pod.log());
    assert!(start.elapsed() >= Duration::from_secs(5), "it has drained");
}

fn a_second_signal_ends_pid_1_at_once(images: &Images) {
    for (second, status) in [("TERM", 143), ("INT", 130)] {
        let pod = Pod::start(images, 1, "-e APPINFO_DRAIN=3600");
        pod.container.run("kill --signal TERM");
        await_draining(pod.address);
        pod.container.run(&format!("kill --signal {second}"));
        assert_eq!(pod.wait(), status, "{}", pod.log());
    }
}

/// A seccomp profile for a kernel without IPv6: `socket(AF_INET6, ...)` fails with EAFNOSUPPORT.
const WITHOUT_IPV6: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{
        "names": ["socket"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": 97,
        "args": [{"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}]
    }]
}"#;

fn without_ipv6_it_serves_ipv4(images: &Images) {
    let folder = Folder::new();
    let profile = folder.path().join("seccomp.json");
    std::fs::write(&profile, WITHOUT_IPV6).expect("a file can be written");
    let pod = Pod::start(images, 1, &format!("--security-opt seccomp={}", profile.display()));
    assert_eq!(pod.appinfo().status, 200);
    assert!(pod.log().contains("listening on 0.0.0.0:8080"), "{}", pod.log());
    assert!(Pod::start(images, 1, "").log().contains("listening on [::]:8080"));
}
