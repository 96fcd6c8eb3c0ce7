//! The images, built by `just images` and run by real engines, each test with docker and with
//! podman.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::common::engines::{Container, Engine, Images};
use crate::common::{Answer, DownwardApi, Folder, eventually, exchange, repository};
use crate::variants::{variants, without};

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
    each_tag_is_its_variant_or_the_one_it_is_told_to_be,
    tags_differ_in_nothing_but_the_variant,
    the_image_says_what_it_is,
    the_image_holds_two_files_within_the_budget,
    the_kubelets_volume_shows_at_etc_labels,
    stop_ends_it_within_the_drain_time_with_status_0,
    a_second_signal_ends_pid_1_at_once,
    it_runs_under_the_strictest_policy,
    without_ipv6_it_serves_ipv4,
}

/// The images of one engine, for as long as a test has them.
type Shared = Mutex<Weak<Images>>;

/// Runs a test with the images of this engine: those that another one has, or else new ones.
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

/// A container that has answered.
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
        eventually("the container answers", || pod.try_get("/healthz").ok());
        pod
    }

    fn try_get(&self, target: &str) -> io::Result<Answer> {
        exchange(self.address, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
    }

    fn appinfo(&self) -> Answer {
        self.try_get("/v1/appinfo").expect("the container answers")
    }

    /// Everything the program has printed.
    fn log(&self) -> String {
        let logs = self.container.engine.command("logs").arg(&self.container.id).output();
        let logs = logs.expect("logs runs");
        String::from_utf8_lossy(&[logs.stdout, logs.stderr].concat()).into_owned()
    }

    /// Waits for its end and returns its exit status.
    fn wait(&self) -> i64 {
        eventually("the container ends", || {
            let state = &self.container.inspect()["State"];
            (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a status"))
        })
    }
}

fn each_tag_is_its_variant_or_the_one_it_is_told_to_be(images: &Images) {
    let variants = variants();
    for (tag, variant) in (1..).zip(&variants) {
        let another = &variants[tag % variants.len()];
        let told = format!("-e APPINFO_VARIANT={another} -e MY_POD_NAME=pod-1");
        for (options, variant) in [("-e MY_POD_NAME=pod-1", variant), (&told, another)] {
            let pod = Pod::start(images, tag, options);
            assert_eq!(pod.appinfo().header("appinfo-pod"), Some("pod-1"));
            let line = format!("variant {variant}, listening on ");
            assert!(pod.log().contains(&line), "{tag} told {options}: {}", pod.log());
        }
    }
}

fn tags_differ_in_nothing_but_the_variant(images: &Images) {
    let seen: Vec<_> = (1..)
        .zip(variants())
        .map(|(tag, variant)| {
            let name = images.name(tag);
            let image = images.engine.inspect(&name);
            let config = without(&variant, &image["Config"]);
            (config, image["RootFS"].clone(), images.engine.layers(&name))
        })
        .collect();
    assert_eq!(seen[0].2.len(), 1, "there is one layer");
    assert_eq!(seen[0].1["Layers"][0], seen[0].2[0].digest.as_str());
    seen.iter().for_each(|image| assert_eq!(*image, seen[0]));
}

fn the_image_says_what_it_is(images: &Images) {
    let image = images.engine.inspect(&images.name(1));
    let config = &image["Config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/appinfo"]));
    assert!(config["Cmd"].is_null(), "{config}");
    assert_eq!(config["ExposedPorts"], serde_json::json!({"8080/tcp": {}}));
    let label = |name| config["Labels"][format!("org.opencontainers.image.{name}")].as_str();
    assert_eq!(label("title"), Some("appinfo"));
    assert_eq!(label("version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(label("licenses"), Some(env!("CARGO_PKG_LICENSE")));
    assert!(label("description").is_some_and(|text| text.contains("Kubernetes pod")));
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(repository()).output();
    let revision = match head {
        Ok(head) if head.status.success() => String::from_utf8(head.stdout).expect("it is hex"),
        _ => "unknown".to_owned(),
    };
    let told = label("revision").expect("the image tells its revision");
    assert_eq!(told.trim_end_matches("-dirty"), revision.trim());
}

fn the_image_holds_two_files_within_the_budget(images: &Images) {
    let layers = images.engine.layers(&images.name(1));
    let files: Vec<_> = layers
        .iter()
        .flat_map(|layer| &layer.files)
        .filter(|file| file.mode != "drwxr-xr-x")
        .collect();
    let described: Vec<_> =
        files.iter().map(|file| (&*file.mode, &*file.owner, &*file.name)).collect();
    let expected =
        [("-rwxr-xr-x", "0/0", "appinfo"), ("lrwxrwxrwx", "0/0", "etc/labels -> podinfo/labels")];
    assert_eq!(described, expected);
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    assert!(bytes <= BUDGET_BYTES, "the image has {bytes} bytes, over {BUDGET_BYTES}");
}

fn the_kubelets_volume_shows_at_etc_labels(images: &Images) {
    let mut labels = DownwardApi::with("app=\"appinfo\"\nrelease=\"stable\"");
    let folder = labels.file().parent().expect("the file is in a folder").to_owned();
    let volume = format!("--volume {}:/etc/podinfo:ro", folder.display());
    let pod = Pod::start(images, 1, &volume);
    assert_eq!(pod.appinfo().json()["Release"], "stable");
    labels.swap("app=\"appinfo\"\nnewlabel=\"realtime\"\nrelease=\"canary\"");
    let told = pod.appinfo().json();
    assert_eq!(told["Release"], "canary");
    assert_eq!(told["Labels"]["newlabel"], "realtime");
}

fn stop_ends_it_within_the_drain_time_with_status_0(images: &Images) {
    // The engines wait for ten seconds before they kill, which shows as status 137.
    let pod = Pod::start(images, 1, "");
    let start = Instant::now();
    pod.container.run("stop");
    assert_eq!(pod.wait(), 0, "{}", pod.log());
    assert!(start.elapsed() >= Duration::from_secs(5), "it has drained");

    let pod = Pod::start(images, 1, "-e APPINFO_DRAIN=0");
    pod.container.run("stop");
    assert_eq!(pod.wait(), 0, "{}", pod.log());
}

fn a_second_signal_ends_pid_1_at_once(images: &Images) {
    for (second, status) in [("TERM", 143), ("INT", 130)] {
        let pod = Pod::start(images, 1, "-e APPINFO_DRAIN=3600");
        pod.container.run("kill --signal TERM");
        eventually("the first signal is heard", || {
            pod.try_get("/readyz").ok().filter(|answer| answer.status == 503)
        });
        pod.container.run(&format!("kill --signal {second}"));
        assert_eq!(pod.wait(), status, "{}", pod.log());
    }
}

fn it_runs_under_the_strictest_policy(images: &Images) {
    let policy = "--read-only --cap-drop ALL --user 12345:12345 --security-opt no-new-privileges";
    let pod = Pod::start(images, 3, policy);
    assert_eq!(pod.appinfo().status, 200);
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
