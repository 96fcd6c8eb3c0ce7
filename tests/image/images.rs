//! The three images, built by `just images` and run by real engines, each test with docker and
//! with podman.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::common::engines::Engine;
use crate::common::{Answer, DownwardApi, Folder, eventually, exchange, repository, run};

/// The size of the Kubernetes pause program, built statically from its source, in bytes: the
/// image is to be no larger.
const BUDGET_BYTES: u64 = 691_000;

/// The variants, as the tags 1, 2 and 3 have them.
const VARIANTS: [&str; 3] = ["baseline", "broken", "namespace"];

/// One test with each engine.
macro_rules! with_each_engine {
    ($($test:ident,)*) => {
        mod docker {
            $(#[test] fn $test() { super::with("docker", super::$test) })*
        }
        mod podman {
            $(#[test] fn $test() { super::with("podman", super::$test) })*
        }
    };
}

with_each_engine! {
    each_tag_behaves_as_its_variant_and_as_told,
    tags_differ_in_nothing_but_the_variant,
    the_image_says_what_it_is,
    the_image_holds_two_files_within_the_budget,
    the_kubelets_volume_shows_at_etc_labels,
    stop_ends_it_within_the_drain_time_with_status_0,
    a_second_signal_ends_pid_1_at_once,
    it_runs_under_the_strictest_policy,
    without_ipv6_it_serves_ipv4,
}

/// The images of one engine.
struct Images {
    engine: Engine,
}

/// A name of their own, always the same: the next run replaces what this one leaves, three
/// images that share their one layer.
const REPOSITORY: &str = "localhost/appinfo-test";

/// Runs a test with the images of this engine, which the first of its tests builds.
fn with(engine: &'static str, test: fn(&Images)) {
    static BUILT: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let Some(images) = Engine::of(engine).map(|engine| Images { engine }) else { return };
    {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        if !built.contains(&engine) {
            images.build();
            built.push(engine);
        }
    }
    test(&images);
}

impl Images {
    fn build(&self) {
        for tag in 1..=3 {
            let _ = self.engine.command(&format!("rmi --force {REPOSITORY}:{tag}")).output();
        }
        let engine = format!("ENGINE={}", self.engine.name());
        let name = format!("REPOSITORY={REPOSITORY}");
        run(Command::new("just").args([&engine, &name, "images"]).current_dir(repository()));
    }

    /// The name of the image of a tag.
    fn name(&self, tag: usize) -> String {
        format!("{REPOSITORY}:{tag}")
    }

    /// Starts a container of a tag, with these options separated by white space, and waits until
    /// it answers.
    fn start(&self, tag: usize, options: &str) -> Container {
        let engine = self.engine;
        let image = self.name(tag);
        let id = engine.run(&format!("create --publish 127.0.0.1::8080 {options} {image}"));
        let mut container = Container { engine, id, address: SocketAddr::from(([0; 4], 0)) };
        engine.run(&format!("start {}", container.id));
        let port = engine.run(&format!("port {} 8080/tcp", container.id));
        container.address = port.parse().unwrap_or_else(|_| panic!("{port} is an address"));
        eventually("the container answers", || container.try_get("/healthz").ok());
        container
    }
}

/// A running container; removed when dropped.
struct Container {
    engine: Engine,
    id: String,
    address: SocketAddr,
}

impl Container {
    fn try_get(&self, target: &str) -> io::Result<Answer> {
        exchange(self.address, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
    }

    fn appinfo(&self) -> Answer {
        self.try_get("/v1/appinfo").expect("the container answers")
    }

    /// Everything the program has printed.
    fn log(&self) -> String {
        let output = self.engine.command("logs").arg(&self.id).output().expect("logs runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Waits for its end and returns its exit status.
    fn wait(&self) -> i64 {
        eventually("the container ends", || {
            let state = &self.engine.inspect(&self.id)["State"];
            (state["Status"] == "exited").then(|| state["ExitCode"].as_i64().expect("a status"))
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.engine.command("kill --signal KILL").arg(&self.id).output();
        let _ = self.engine.command("rm --force").arg(&self.id).output();
    }
}

/// Fails unless the answer is what this variant says in a pod of the namespace `classroom`.
#[track_caller]
fn is_of_variant(variant: &str, answer: &Answer) {
    let namespace = match variant {
        "broken" => {
            assert_eq!(answer.status, 500);
            assert_eq!(answer.json()["error"], "something went wrong");
            return;
        }
        "namespace" => "classroom",
        _ => "",
    };
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["PodName"], "pod-1");
    assert_eq!(answer.json()["Namespace"], namespace);
}

fn each_tag_behaves_as_its_variant_and_as_told(images: &Images) {
    let pod = "-e MY_POD_NAME=pod-1 -e MY_POD_NAMESPACE=classroom";
    for (tag, variant) in (1..).zip(VARIANTS) {
        is_of_variant(variant, &images.start(tag, pod).appinfo());
    }
    for (tag, variant) in [(1, "namespace"), (2, "baseline"), (3, "broken")] {
        let options = format!("{pod} -e APPINFO_VARIANT={variant}");
        is_of_variant(variant, &images.start(tag, &options).appinfo());
    }
}

fn tags_differ_in_nothing_but_the_variant(images: &Images) {
    let mut seen = Vec::new();
    for (tag, variant) in (1..).zip(VARIANTS) {
        let name = images.name(tag);
        let image = images.engine.inspect(&name);
        let mut config = image["Config"].clone();
        let env = config["Env"].as_array_mut().expect("there is an environment");
        let given = format!("APPINFO_VARIANT={variant}");
        let place = env.iter().position(|value| value.as_str() == Some(&given));
        env.remove(place.unwrap_or_else(|| panic!("{given} is in {env:?}")));
        assert!(!format!("{config}").contains("APPINFO_"), "another setting in {config}");
        seen.push((config, image["RootFS"].clone(), images.engine.layers(&name)));
    }
    assert_eq!(seen[0].2.len(), 1, "there is one layer");
    assert_eq!(seen[0].1["Layers"][0], seen[0].2[0].digest.as_str());
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
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
    let container = images.start(1, &volume);
    assert_eq!(container.appinfo().json()["Release"], "stable");
    labels.swap("app=\"appinfo\"\nnewlabel=\"realtime\"\nrelease=\"canary\"");
    let told = container.appinfo().json();
    assert_eq!(told["Release"], "canary");
    assert_eq!(told["Labels"]["newlabel"], "realtime");
}

fn stop_ends_it_within_the_drain_time_with_status_0(images: &Images) {
    // The engines wait for ten seconds before they kill, which shows as status 137.
    let container = images.start(1, "");
    let start = Instant::now();
    images.engine.run(&format!("stop {}", container.id));
    assert_eq!(container.wait(), 0, "{}", container.log());
    assert!(start.elapsed() >= Duration::from_secs(5), "it has drained");

    let container = images.start(1, "-e APPINFO_DRAIN=0");
    images.engine.run(&format!("stop {}", container.id));
    assert_eq!(container.wait(), 0, "{}", container.log());
}

fn a_second_signal_ends_pid_1_at_once(images: &Images) {
    for (second, status) in [("TERM", 143), ("INT", 130)] {
        let container = images.start(1, "-e APPINFO_DRAIN=3600");
        images.engine.run(&format!("kill --signal TERM {}", container.id));
        eventually("the first signal is heard", || {
            container.try_get("/readyz").ok().filter(|answer| answer.status == 503)
        });
        images.engine.run(&format!("kill --signal {second} {}", container.id));
        assert_eq!(container.wait(), status, "{}", container.log());
    }
}

fn it_runs_under_the_strictest_policy(images: &Images) {
    let policy = "--read-only --cap-drop ALL --user 12345:12345 --security-opt no-new-privileges";
    let container = images.start(3, policy);
    assert_eq!(container.appinfo().status, 200);
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
    let container = images.start(1, &format!("--security-opt seccomp={}", profile.display()));
    assert_eq!(container.appinfo().status, 200);
    assert!(container.log().contains("listening on 0.0.0.0:8080"), "{}", container.log());
    assert!(images.start(1, "").log().contains("listening on [::]:8080"));
}
