//! Monitoring: Prometheus with appinfo, and with the configuration and the rules in
//! manifests/monitoring.

use regex_lite::Captures;

use crate::common::*;
use crate::objects::named;
use crate::tutorial::{matches, readme};
use crate::{dashboard, pod};

/// A file of Prometheus' ConfigMap.
fn config(file: &str) -> String {
    named("configmap/prometheus")["data"][file].as_str().expect("the ConfigMap has it").to_owned()
}

/// The configuration with these targets instead of those that it discovers: Debian builds
/// Prometheus without its Kubernetes discovery.
fn config_for(targets: &Value) -> String {
    let config = config("prometheus.yml");
    let (before, rest) = config.split_once("    kubernetes_sd_configs:\n").expect("it discovers");
    let (_, after) = rest.split_once("    relabel_configs:\n").expect("it relabels");
    format!("{before}    static_configs: {targets}\n    relabel_configs:\n{after}")
}

#[test]
fn promtool_finds_no_fault_with_the_metrics() {
    needs!("promtool");
    let appinfo = Start::new().args("--variant broken").spawn();
    for target in ["/v1/appinfo", "/metrics", "/nowhere"] {
        appinfo.get(target);
    }
    let metrics = appinfo.get("/metrics");
    assert!(metrics.text().contains("http_requests_total{"));
    let check = "printf %s \"$0\" | promtool check metrics 2>&1";
    assert_eq!(run(Command::new("sh").args(["-c", check, metrics.text()])), "");
}

/// The stories of rules.test.yml.
#[test]
fn the_rules_make_each_story_come_true() {
    needs!("promtool");
    let stories = text("tests/cluster/rules.test.yml");
    let queries =
        matches(r"(?m)^((?:release|canary):.* >= bool .*)$", &text("manifests/BEYOND.md"));
    assert_eq!(queries.len(), 2, "the page has queries for other tools");
    for query in queries {
        assert!(stories.contains(&format!("expr: '{query}'")), "no story has {query}");
    }
    let folder = Folder::new();
    fs::write(folder.path().join("rules.yml"), config("rules.yml")).expect("it can be written");
    fs::write(folder.path().join("stories.yml"), stories).expect("it can be written");
    run(command("promtool test rules stories.yml").current_dir(folder.path()));
}

/// Starts a pod of a Deployment, with these variables added.
fn start(deployment: &str, number: usize, variables: &[(&str, &str)]) -> (Value, Pod) {
    let mut pod = named(&format!("deployment/{deployment}"))["spec"]["template"].take();
    pod["metadata"]["name"] = format!("{deployment}-{number}").into();
    pod["metadata"]["namespace"] = "default".into();
    let env = pod["spec"]["containers"][0]["env"].as_array_mut().expect("it has variables");
    env.extend(variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
    let process = pod::start(&pod);
    (pod, process)
}

/// The target that Prometheus discovers of a pod, with one thing about it changed.
fn target((pod, process): &(Value, Pod), what: &str, value: &str) -> Value {
    let meta = |what: &str| format!("__meta_kubernetes_pod_{what}");
    let mut target = json!({
        meta("name"): pod["metadata"]["name"],
        "__meta_kubernetes_namespace": pod["metadata"]["namespace"],
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

/// Three stable pods and a canary, as in the tutorial, and Debian's Prometheus with its pod's
/// configuration and rules: only the discovery differs, and the intervals are shorter.
pub struct Canary {
    pods: Vec<(Value, Pod)>,
    prometheus: Server,
    rounds: usize,
    _folder: Folder,
}

impl Canary {
    /// Starts a canary with these variables.
    fn start(variables: &[(&str, &str)]) -> Canary {
        let stable = (1..=3).map(|number| start("appinfo", number, &[]));
        let pods: Vec<_> = stable.chain([start("appinfo-canary-fixed", 1, variables)]).collect();
        let mut targets: Vec<_> =
            pods[..3].iter().map(|pod| target(pod, "ready", "true")).collect();
        // Pods that are not ready are scraped, too.
        targets.push(target(&pods[3], "ready", "false"));
        // None of these may be scraped, though each would respond.
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
        let config = config_for(&json!(targets)).replace("_interval: 5s\n", "_interval: 250ms\n");
        let rules = self::config("rules.yml").replace("for: 1m\n", "for: 2s\n");
        let folder = Folder::new();
        let path = |name| folder.path().join(name);
        fs::write(path("prometheus.yml"), config).expect("the folder can be written");
        fs::write(path("rules.yml"), rules).expect("the folder can be written");
        let mut prometheus = command("prometheus --config.file=prometheus.yml");
        // Debian's would keep the series of the run before, in /var/lib.
        prometheus.args(["--web.listen-address=127.0.0.1:0", "--storage.tsdb.path=data"]);
        let prometheus = Server::start(prometheus.current_dir(folder.path()), LISTENING);
        until("Prometheus is ready", || get(prometheus.address, "/-/ready").status == 200);
        Canary { pods, prometheus, rounds: 0, _folder: folder }
    }

    /// The results of an instant query, asked as the tutorial does.
    fn query(&self, expression: &str) -> Vec<Value> {
        let promtool = "promtool query instant --format=json http://";
        let mut promtool = command(&format!("{promtool}{}", self.prometheus.address));
        let printed = run(promtool.arg(expression));
        serde_json::from_str(&printed).expect("a list")
    }

    /// The series that an instant query returns, named as by a Grafana legend, without NaN.
    pub fn names(&self, expression: &str, legend: &str) -> BTreeSet<String> {
        let mut results = self.query(expression);
        results.retain(|result| result["value"][1] != "NaN");
        let label = Regex::new(r"\{\{(\w+)\}\}").expect("the pattern is right");
        let name = |result: &Value| {
            let value = |found: &Captures| {
                result["metric"][&found[1]].as_str().unwrap_or("none").to_owned()
            };
            label.replace_all(legend, value).into_owned()
        };
        results.iter().map(name).collect()
    }

    /// Waits until this is true, while every pod gets as many requests.
    pub fn becomes(&mut self, what: &str, mut is_true: impl FnMut(&Canary) -> bool) {
        until(what, || {
            for (_, pod) in &self.pods {
                pod.appinfo.get("/v1/appinfo");
                pod.appinfo.get("/readyz");
            }
            self.rounds += 1;
            is_true(self)
        });
    }
}

/// As in the tutorial's optional chapter: a canary that is right most of the time, and quick.
#[test]
fn prometheus_sees_a_canary_that_is_only_a_little_bad() {
    needs!("prometheus", "promtool");
    let delay = ("APPINFO_DELAY", "300");
    let a_little_bad = [("APPINFO_ERROR_RATE", "8"), delay, ("APPINFO_DELAY_RATE", "10")];
    let mut canary = Canary::start(&a_little_bad);
    // The tutorial's count of alerts, as long as there are none.
    let count =
        readme::block("ALERTS | wc").commands.replace("kubectl exec deployment/prometheus --", "");
    let count = count.replace("localhost:9090", &canary.prometheus.address.to_string());
    assert_eq!(run(Command::new("sh").args(["-c", &count])).trim(), "0");
    // A comparison that is true has results.
    for comparison in [
        "0.07 < release:http_errors:ratio_rate1m{release='canary'} < 0.09",
        "release:http_errors:ratio_rate1m{release='stable'} == 0",
        "0.25 < release:http_request_duration_seconds:p99_rate1m{release='canary'} < 0.5",
        "release:http_request_duration_seconds:p99_rate1m{release='stable'} < 0.1",
    ] {
        canary.becomes(comparison, |canary| !canary.query(comparison).is_empty());
    }

    // Nothing is lost or counted twice, and probes are no users.
    for (release, count) in [("stable", 3 * canary.rounds), ("canary", canary.rounds)] {
        let requests = format!("http_requests_total{{path='/v1/appinfo', release='{release}'}}");
        let comparison = format!("sum({requests}) == {count}");
        until(&comparison, || !canary.query(&comparison).is_empty());
    }
    // Each pod is one target, labeled with what distinguishes it.
    let targets = [
        "default appinfo-1 stable none",
        "default appinfo-2 stable none",
        "default appinfo-3 stable none",
        "default appinfo-canary-fixed-1 canary fixed",
    ];
    let up = canary.names("up", "{{namespace}} {{pod}} {{release}} {{canary}}");
    assert_eq!(up, targets.map(str::to_owned).into());

    dashboard::each_panel_shows_what_it_promises(&mut canary);
}
