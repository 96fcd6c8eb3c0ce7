//! Monitoring: what Prometheus makes of appinfo, with the configuration and the rules that
//! manifests/monitoring gives it, word for word.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::process::Command;

use crate::common::pod::Pod;
use crate::common::{Folder, Start, eventually, get, have, repository, run};
use crate::objects::named;
use crate::pod;
use crate::server::Server;
use serde_json::{Value, json};

/// Two of the tutorial's queries, by release.
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

/// The one part that no tool here can try. `own_namespace` is what lets it run in any namespace:
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
    let folder = Folder::new();
    let stories = folder.path().join("rules.test.yml");
    fs::copy(repository().join("tests/cluster/rules.test.yml"), &stories).expect("it is copied");
    let check = |rules: &str| {
        fs::write(folder.path().join("rules.yml"), rules).expect("the folder can be written");
        Command::new("promtool").args(["test", "rules"]).arg(&stories).output().expect("it runs")
    };
    let rules = config("rules.yml");
    let told = check(&rules);
    assert!(told.status.success(), "{told:#?}");
    let rules: String =
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
            assert!(!check(&other).status.success(), "{new:?} for {old:?} is not found:\n{other}");
        }
    }
}

/// Debian's Prometheus, with its files in a folder as in its pod.
struct Prometheus {
    server: Server,
    _folder: Folder,
}

impl Prometheus {
    fn start(config: &str, rules: &str) -> Prometheus {
        let folder = Folder::new();
        let path = |name| folder.path().join(name).display().to_string();
        fs::write(path("prometheus.yml"), config).expect("the folder can be written");
        fs::write(path("rules.yml"), rules).expect("the folder can be written");
        let server = Server::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", path("prometheus.yml")))
                .arg(format!("--storage.tsdb.path={}", path("data")))
                .arg("--web.listen-address=127.0.0.1:0"),
        );
        eventually("Prometheus is ready", || {
            (get(server.address, "/-/ready").status == 200).then_some(())
        });
        Prometheus { server, _folder: folder }
    }

    /// An instant query's results, asked as the tutorial does: labels and value.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let url = format!("http://{}", self.server.address);
        let mut promtool = Command::new("promtool");
        let told = run(promtool.args(["query", "instant", "--format=json", &url, expression]));
        let results: Vec<Value> = serde_json::from_str(&told).expect("a list");
        let number = |result: &Value| result["value"][1].as_str()?.parse().ok();
        let result = |it: &Value| (it["metric"].clone(), number(it).expect("a value is a number"));
        results.iter().map(result).collect()
    }

    /// An instant query's value for each release: stable, canary.
    fn by_release(&self, expression: &str) -> Option<(f64, f64)> {
        let results = self.query(expression);
        let of = |release| results.iter().find(|it| it.0["release"] == release).map(|it| it.1);
        Some((of("stable")?, of("canary")?))
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

    /// Goes round until the figures of stable and canary are within these.
    fn shows(&mut self, query: &str, stable: RangeInclusive<f64>, canary: RangeInclusive<f64>) {
        eventually(&format!("{query} is {stable:?} for stable, {canary:?} for the canary"), || {
            self.round();
            let figures = self.prometheus.by_release(query)?;
            (stable.contains(&figures.0) && canary.contains(&figures.1)).then_some(())
        });
    }

    /// Goes round until an alert fires.
    fn fires(&mut self, name: &str) {
        eventually(&format!("{name} fires"), || {
            self.round();
            let firing = format!("ALERTS{{alertname='{name}', alertstate='firing'}}");
            let (labels, _) = self.prometheus.query(&firing).pop()?;
            assert_eq!(labels["release"], "canary");
            Some(())
        });
    }
}

#[test]
fn prometheus_sets_the_canary_and_the_stable_release_side_by_side() {
    if !have(&["prometheus", "promtool"]) {
        return;
    }
    let broken = [("APPINFO_VARIANT", "broken")];
    let mut canary = Canary::start("deployment/appinfo-canary-broken", &broken);
    canary.shows(ERROR_SHARE, 0.0..=0.0, 1.0..=1.0);
    canary.fires("CanaryFailing");

    // Nothing is lost or counted twice, and probes are no users.
    let Canary { pods, prometheus, rounds } = &canary;
    eventually("the counts are what was asked", || {
        let sums = "sum by (release) (http_requests_total{path=\"/v1/appinfo\"})";
        (prometheus.by_release(sums)? == (3.0 * rounds, *rounds)).then_some(())
    });
    let expected = pods.iter().map(|(pod, process)| {
        let mut labels = pod["metadata"]["labels"].clone();
        labels.as_object_mut().expect("it has labels").remove("app");
        labels["__name__"] = "up".into();
        labels["job"] = "appinfo".into();
        labels["instance"] = process.appinfo.address.to_string().into();
        labels["pod"] = pod["metadata"]["name"].clone();
        (labels.to_string(), 1)
    });
    let up = prometheus.query("up").into_iter().map(|(labels, up)| (labels.to_string(), up as i32));
    let (up, expected): (BTreeSet<_>, BTreeSet<_>) = (up.collect(), expected.collect());
    assert_eq!(up, expected, "each pod is one target, labelled with what tells it apart");
}

/// As in the tutorial's excursion: a canary that is right most of the time, and quick.
#[test]
fn both_alerts_fire_for_a_canary_that_is_only_a_little_bad() {
    if !have(&["prometheus", "promtool"]) {
        return;
    }
    let a_little_bad =
        [("APPINFO_ERROR_RATE", "8"), ("APPINFO_DELAY", "300"), ("APPINFO_DELAY_RATE", "10")];
    let mut canary = Canary::start("deployment/appinfo-canary-fixed", &a_little_bad);
    canary.shows(ERROR_SHARE, 0.0..=0.0, 0.07..=0.09);
    canary.shows(P99, 0.0..=0.1, 0.25..=0.5);
    canary.fires("CanaryFailing");
    canary.fires("CanarySlow");
}
