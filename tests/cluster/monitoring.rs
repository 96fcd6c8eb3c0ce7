//! Monitoring: what Prometheus makes of appinfo, with the configuration and the rules that
//! manifests/monitoring gives it, word for word.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::common::pod::Pod;
use crate::common::{Answer, DEADLINE, Folder, Start, eventually, exchange, have, repository};
use crate::objects::named;
use crate::pod;
use crate::tutorial::api::merge;
use serde_json::{Value, json};

/// The tutorial's three queries, by release.
const RATE: &str = "release:http_requests:rate1m";
const ERROR_SHARE: &str = "release:http_errors:ratio_rate1m";
const P99: &str = "release:http_request_duration_seconds:p99_rate1m";

/// A file of Prometheus' ConfigMap.
fn config(file: &str) -> String {
    named("configmap/prometheus")["data"][file].as_str().expect("the ConfigMap has it").to_owned()
}

/// The configuration with these targets instead of those that Kubernetes would tell of: Debian
/// builds Prometheus without its Kubernetes discovery.
fn config_for(targets: &Value) -> String {
    let config = config("prometheus.yml");
    let (before, rest) = config.split_once("    kubernetes_sd_configs:\n").expect("it discovers");
    let (_, after) = rest.split_once("    relabel_configs:\n").expect("it relabels");
    format!("{before}    static_configs: {targets}\n    relabel_configs:\n{after}")
}

/// A folder with both files, as Prometheus' pod has it.
fn installed(config: &str, rules: &str) -> Folder {
    let folder = Folder::new();
    fs::write(folder.path().join("prometheus.yml"), config).expect("a file can be written");
    fs::write(folder.path().join("rules.yml"), rules).expect("a file can be written");
    folder
}

/// promtool's word on a file: what it printed, if it is content.
fn promtool(task: [&str; 2], folder: &Path, file: &str) -> Result<String, String> {
    let output =
        Command::new("promtool").args(task).arg(folder.join(file)).output().expect("promtool runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules() {
    if !have(&["promtool"]) {
        return;
    }
    let (config, rules) = (config_for(&json!([])), config("rules.yml"));
    let check = |config: &str, rules: &str| {
        let folder = installed(config, rules);
        promtool(["check", "config"], folder.path(), "prometheus.yml")
    };
    let said = check(&config, &rules).expect("promtool is content");
    assert!(said.contains("5 rules found"), "it follows the name of the rules: {said}");
    check(&config.replace("action: keep", "action: keeep"), &rules).expect_err("it looks");
    check(&config, &rules.replacen("sum by", "sum bye", 1)).expect_err("it looks at rules too");
}

/// The one part that no tool here can check. `own_namespace` is what lets it run in any namespace:
/// <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config>
#[test]
fn prometheus_discovers_the_pods_of_its_own_namespace() {
    let config: Value = serde_saphyr::from_str(&config("prometheus.yml")).expect("it is YAML");
    let discovery = &config["scrape_configs"][0]["kubernetes_sd_configs"];
    assert_eq!(*discovery, json!([{"role": "pod", "namespaces": {"own_namespace": true}}]));
}

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    if !have(&["promtool"]) {
        return;
    }
    let appinfo = Start::new().args("--variant broken").spawn();
    for target in ["/", "/v1/appinfo", "/healthz", "/readyz", "/metrics", "/nowhere"] {
        appinfo.get(target);
        appinfo.raw(format!("HEAD {target} HTTP/1.1\r\nHost: appinfo\r\n\r\n"));
        appinfo.raw(format!("BREW {target} HTTP/1.1\r\nHost: appinfo\r\n\r\n"));
    }
    let metrics = appinfo.get("/metrics").text().to_owned();
    assert!(metrics.contains("http_requests_total{"), "{metrics}");
    let folder = Folder::new();
    let check = |metrics: &str| {
        let file = folder.path().join("metrics");
        fs::write(&file, metrics).expect("a file can be written");
        let mut promtool = Command::new("promtool");
        let promtool = promtool.args(["check", "metrics"]).stdin(File::open(file).unwrap());
        let output = promtool.output().expect("promtool runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&metrics), (true, String::new()));
    assert!(!check(&metrics.replace("http_requests_total", "http_requests")).0, "promtool looks");
}

/// The stories in rules.test.yml come true, and would not with other rules.
#[test]
fn the_rules_make_of_each_story_what_they_should() {
    if !have(&["promtool"]) {
        return;
    }
    let mut rules = config("rules.yml");
    let check = |rules: &str| {
        let folder = installed("", rules);
        let stories = repository().join("tests/cluster/rules.test.yml");
        fs::copy(stories, folder.path().join("rules.test.yml")).expect("a file can be copied");
        promtool(["test", "rules"], folder.path(), "rules.test.yml")
    };
    check(&rules).unwrap_or_else(|why| panic!("{why}"));
    rules =
        rules.lines().filter(|line| !line.contains("# ")).map(|line| format!("{line}\n")).collect();
    for (old, new) in [
        ("> 0.05", ">= 0.05"),
        ("> 0.05", "> 0.0625"),
        (">= on ()", "> on ()"),
        ("> 0.1", "> 0.09"),
        ("> 0.1", "> 0.5"),
        ("2 * ", "3 * "),
        ("2 * ", ""),
        ("for: 1m", "for: 30s"),
        ("for: 1m", "for: 3m"),
        ("{path=\"/v1/appinfo\"}", ""),
        ("[1m]", "[2m]"),
        ("0.99,", "0.9,"),
        ("5..", "4.."),
        ("and (release:http_requests:rate1m > 0)", ""),
        ("release:http_requests:rate1m > 0", "release:http_requests:rate1m"),
    ] {
        assert!(rules.contains(old), "the rules say {old:?}");
        for (place, _) in rules.match_indices(old) {
            let other = format!("{}{new}{}", &rules[..place], &rules[place + old.len()..]);
            check(&other).expect_err(&format!("{new:?} for {old:?} is found:\n{other}"));
        }
    }
}

/// Debian's Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Prometheus {
    /// Starts it and waits until it is ready. It takes no port 0, so it gets a port that was free
    /// a moment ago. Where it does not come up it is started again, twice at most.
    fn start(config: &str, rules: &str) -> Prometheus {
        for _ in 0..3 {
            let folder = installed(config, rules);
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let address = free.expect("there is a free port");
            let path = |name| folder.path().join(name).display().to_string();
            let log = path("log");
            let child = Command::new("prometheus")
                .arg(format!("--config.file={}", path("prometheus.yml")))
                .arg(format!("--storage.tsdb.path={}", path("data")))
                .arg(format!("--web.listen-address={address}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(&log).expect("a file can be written"))
                .spawn()
                .expect("prometheus starts");
            let mut prometheus = Prometheus { child, address, _folder: folder };
            let start = Instant::now();
            let ready = eventually("Prometheus is ready, or is not any more", || {
                let ended = prometheus.child.try_wait().expect("it can be waited for").is_some();
                if ended || start.elapsed() > DEADLINE / 2 {
                    return Some(false);
                }
                (prometheus.get("/-/ready").ok()?.status == 200).then_some(true)
            });
            if ready {
                return prometheus;
            }
            eprintln!(
                "Prometheus did not come up:\n{}",
                fs::read_to_string(log).unwrap_or_default()
            );
        }
        panic!("Prometheus does not come up");
    }

    /// HTTP/1.0, so that the answer is not chunked.
    fn get(&self, target: &str) -> std::io::Result<Answer> {
        exchange(self.address, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes())
    }

    /// The `data` of an answer of its API.
    fn api(&self, target: &str) -> Value {
        let mut answer = self.get(&format!("/api/v1/{target}")).expect("Prometheus answers").json();
        assert_eq!(answer["status"], "success", "{target}: {answer}");
        answer["data"].take()
    }

    /// An instant query's results: labels and value.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let mut data = self.api(&format!("query?query={encoded}"));
        let results = data["result"].as_array_mut().expect("the result is a list");
        let value = |result: &Value| result["value"][1].as_str()?.parse().ok();
        results
            .iter_mut()
            .map(|result| (result["metric"].take(), value(result).expect("a value is a number")))
            .collect()
    }

    /// An instant query's value for each release: stable, canary.
    fn by_release(&self, expression: &str) -> Option<(f64, f64)> {
        let results = self.query(expression);
        let of = |release| results.iter().find(|it| it.0["release"] == release).map(|it| it.1);
        Some((of("stable")?, of("canary")?))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pod of a Deployment, with these variables more.
fn start(deployment: &str, number: usize, variables: &[(&str, &str)]) -> (Value, Pod) {
    let mut pod = named(deployment)["spec"]["template"].take();
    pod["metadata"]["name"] = format!("{}-{number}", deployment.replace('/', "-")).into();
    pod["metadata"]["namespace"] = "default".into();
    let env = pod["spec"]["containers"][0]["env"].as_array_mut().expect("it has variables");
    env.extend(variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
    let process = pod::start(&pod);
    (pod, process)
}

/// What Kubernetes tells Prometheus of a pod, with one thing about it changed.
fn target((pod, process): &(Value, Pod), what: &str, value: &str) -> Value {
    let meta = |what: &str| format!("__meta_kubernetes_pod_{what}");
    let mut target = json!({
        meta("name"): pod["metadata"]["name"],
        meta("phase"): "Running",
        meta("ready"): "true",
        meta("container_port_name"): pod["spec"]["containers"][0]["ports"][0]["name"],
    });
    for (key, value) in pod["metadata"]["labels"].as_object().expect("it has labels") {
        target[meta(&format!("label_{key}"))] = value.clone();
    }
    target[meta(what)] = value.into();
    json!({"targets": [process.appinfo.address.to_string()], "labels": target})
}

/// Three stable pods and a canary beside them, as in the tutorial, and a Prometheus with its own
/// configuration and rules: only who tells of the pods differs, and how long things take.
struct Canary {
    pods: Vec<(Value, Pod)>,
    prometheus: Prometheus,
    rounds: f64,
}

impl Canary {
    fn start(canary: &str, variables: &[(&str, &str)]) -> Canary {
        let stable = (1..=3).map(|number| start("deployment/appinfo", number, &[]));
        let pods: Vec<_> = stable.chain([start(canary, 1, variables)]).collect();
        let mut targets: Vec<_> =
            pods[..3].iter().map(|pod| target(pod, "ready", "true")).collect();
        // Whether a pod is ready is no reason to look away.
        targets.push(target(&pods[3], "ready", "false"));
        // Something would answer for each of these, and is not to be asked.
        for (what, value) in [
            ("label_app", "other"),
            ("container_port_name", "admin"),
            ("phase", "Pending"),
            ("phase", "Succeeded"),
            ("phase", "Failed"),
        ] {
            let mut other = target(&pods[3], what, value);
            // Two targets with equal labels would be one.
            other["labels"]["__meta_kubernetes_pod_name"] = format!("{what}-{value}").into();
            targets.push(other);
        }
        let sooner = |text: String, times: usize, written: &str, sooner: &str| {
            assert_eq!(text.matches(written).count(), times, "{written}");
            text.replace(written, sooner)
        };
        let config =
            sooner(config_for(&json!(targets)), 2, "_interval: 5s\n", "_interval: 250ms\n");
        let rules = sooner(self::config("rules.yml"), 2, "for: 1m\n", "for: 2s\n");
        Canary { pods, prometheus: Prometheus::start(&config, &rules), rounds: 0.0 }
    }

    /// Every pod answers equally often, as behind a Service.
    fn round(&mut self) {
        for (_, pod) in &self.pods {
            pod.appinfo.get("/v1/appinfo");
            pod.appinfo.get("/readyz");
        }
        self.rounds += 1.0;
    }

    /// Goes round until the figures of stable and canary are as they should be.
    fn eventually(&mut self, what: &str, query: &str, fit: impl Fn(f64, f64) -> bool) {
        eventually(what, || {
            self.round();
            let (stable, canary) = self.prometheus.by_release(query)?;
            fit(stable, canary).then_some(())
        });
    }

    /// Goes round until an alert fires; what it says.
    fn alert(&mut self, name: &str) -> String {
        eventually(&format!("{name} fires"), || {
            self.round();
            let alerts = self.prometheus.api("alerts");
            let mut alerts = alerts["alerts"].as_array().expect("a list").iter();
            let alert = alerts.find(|it| it["labels"]["alertname"] == name)?;
            assert_eq!(alert["labels"]["release"], "canary");
            (alert["state"] == "firing").then(|| alert["annotations"]["summary"].to_string())
        })
    }
}

#[test]
fn prometheus_sets_the_canary_and_the_stable_release_side_by_side() {
    if !have(&["prometheus"]) {
        return;
    }
    let broken = [("APPINFO_VARIANT", "broken")];
    let mut canary = Canary::start("deployment/appinfo-canary-broken", &broken);
    canary.eventually("three stable pods get three times its requests", RATE, |stable, canary| {
        (2.5..3.5).contains(&(stable / canary))
    });
    canary.eventually("it always errs, the others never", ERROR_SHARE, |stable, canary| {
        assert_eq!((stable, canary), (0.0, 1.0));
        true
    });
    canary.eventually("all answer within some time", P99, |stable, canary| {
        [stable, canary].iter().all(|p99| (0.0..5.0).contains(p99))
    });
    assert_eq!(canary.alert("CanaryFailing"), "\"The canary fails 100% of its requests\"");

    // Nothing is lost or counted twice, and probes are no users.
    let Canary { pods, prometheus, rounds } = &canary;
    eventually("the counts are what was asked", || {
        let sums = "sum by (release) (http_requests_total{path=\"/v1/appinfo\"})";
        (prometheus.by_release(sums)? == (3.0 * rounds, *rounds)).then_some(())
    });
    let up = prometheus.query("up").into_iter().map(|(labels, up)| {
        assert_eq!(up, 1.0, "{labels}");
        labels.to_string()
    });
    let expected = pods.iter().map(|(pod, process)| {
        let (mut labels, address) = (pod["metadata"]["labels"].clone(), &process.appinfo.address);
        labels.as_object_mut().expect("it has labels").remove("app");
        merge(&mut labels, &json!({"__name__": "up", "job": "appinfo", "instance": address, "pod": pod["metadata"]["name"]}));
        labels.to_string()
    });
    let (up, expected): (BTreeSet<_>, BTreeSet<_>) = (up.collect(), expected.collect());
    assert_eq!(up, expected, "each pod is one target, labelled with what tells it apart");
}

/// As in the tutorial's excursion: a canary that is right most of the time, and quick.
#[test]
fn both_alerts_fire_for_a_canary_that_is_only_a_little_bad() {
    if !have(&["prometheus"]) {
        return;
    }
    let a_little_bad =
        [("APPINFO_ERROR_RATE", "8"), ("APPINFO_DELAY", "300"), ("APPINFO_DELAY_RATE", "10")];
    let mut canary = Canary::start("deployment/appinfo-canary-fixed", &a_little_bad);
    canary.eventually("it errs in 8 of 100 answers", ERROR_SHARE, |stable, canary| {
        stable == 0.0 && (0.07..0.09).contains(&canary)
    });
    canary.eventually("it takes 300 ms at times", P99, |stable, canary| {
        stable < 0.1 && (0.25..0.5).contains(&canary)
    });
    canary.alert("CanaryFailing");
    canary.alert("CanarySlow");
}
