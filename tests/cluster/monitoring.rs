//! Monitoring: what Prometheus makes of appinfo, with the configuration and the rules that
//! manifests/monitoring gives it, word for word.

use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{
    self, Appinfo, DownwardApi, Folder, Start, eventually, exchange, have, repository,
};
use serde_json::{Value, json};

/// The tutorial's three queries, by release.
const RATE: &str = "release:http_requests:rate1m";
const ERROR_SHARE: &str = "release:http_errors:ratio_rate1m";
const P99: &str = "release:http_request_duration_seconds:p99_rate1m";

/// A manifest with one object in it.
fn manifest(path: &str) -> Value {
    let text = fs::read_to_string(repository().join(path)).expect("the manifest can be read");
    serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// A file of Prometheus' ConfigMap.
fn config(file: &str) -> String {
    let map = manifest("manifests/monitoring/prometheus-config.yaml");
    map["data"][file].as_str().unwrap_or_else(|| panic!("the ConfigMap has {file}")).to_owned()
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
        let said = promtool(["check", "config"], folder.path(), "prometheus.yml")?;
        assert!(said.contains("1 rule files found"), "it follows the name of the rules: {said}");
        promtool(["check", "rules"], folder.path(), "rules.yml")
    };
    let said = check(&config, &rules).expect("promtool is content");
    assert!(said.contains("4 rules found"), "{said}");
    check(&config.replace("action: keep", "action: keeep"), &rules).expect_err("it looks");
    check(&config, &rules.replacen("sum by", "sum bye", 1)).expect_err("it looks at rules too");
}

/// The one part that no tool here can check. `own_namespace` is what lets it run in any namespace:
/// <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config>
#[test]
fn prometheus_discovers_the_pods_of_its_own_namespace() {
    let config: Value = serde_saphyr::from_str(&config("prometheus.yml")).expect("it is YAML");
    let jobs = config["scrape_configs"].as_array().expect("it has jobs");
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        jobs[0]["kubernetes_sd_configs"],
        json!([{"role": "pod", "namespaces": {"own_namespace": true}}])
    );
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
    let check = |metrics: &str| {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool starts");
        let mut stdin = promtool.stdin.take().expect("stdin is piped");
        stdin.write_all(metrics.as_bytes()).expect("promtool reads");
        drop(stdin);
        let output = promtool.wait_with_output().expect("promtool ends");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&metrics), (true, String::new()));
    let (content, _) = check(&metrics.replace("http_requests_total", "http_requests"));
    assert!(!content, "promtool looks");
}

/// A story for `promtool test rules`: what pods counted, every 5 seconds from 0 to 5 minutes, and
/// what is made of it.
struct Story {
    series: Vec<Value>,
    alerts: Vec<Value>,
    queries: Vec<Value>,
}

/// One answer a second, from the first minute to the fifth.
const STEADILY: &str = "0+5x60";

impl Story {
    fn new() -> Story {
        Story { series: vec![], alerts: vec![], queries: vec![] }
    }

    /// A release's count of answers to /v1/appinfo, in promtool's notation: `0+5x60` begins with 0
    /// and adds 5 each time, 60 times; `_` is nothing.
    fn answers(self, release: &str, code: u16, counts: &str) -> Story {
        self.answers_to("/v1/appinfo", release, code, counts)
    }

    fn answers_to(self, path: &str, release: &str, code: u16, counts: &str) -> Story {
        let series = format!(
            "http_requests_total{{release={release:?},pod={release:?},path={path:?},code=\"{code}\"}}"
        );
        self.series(&series, counts)
    }

    /// How many of a release's answers to a path took up to this many seconds.
    fn took(self, path: &str, release: &str, bound: &str, counts: &str) -> Story {
        let labels = format!("release={release:?},path={path:?},le={bound:?}");
        self.series(&format!("http_request_duration_seconds_bucket{{{labels}}}"), counts)
    }

    fn series(mut self, series: &str, values: &str) -> Story {
        self.series.push(json!({"series": series, "values": values}));
        self
    }

    /// At this time the alert tells of this share of errors.
    fn alert(mut self, time: &str, share: &str) -> Story {
        self.alerts.push(json!({
            "eval_time": time,
            "alertname": "CanaryFailing",
            "exp_alerts": [{
                "exp_labels": {"release": "canary", "severity": "critical"},
                "exp_annotations": {"summary": format!("The canary fails {share} of its requests")},
            }],
        }));
        self
    }

    /// At this time there is no alert.
    fn no_alert(mut self, time: &str) -> Story {
        self.alerts
            .push(json!({"eval_time": time, "alertname": "CanaryFailing", "exp_alerts": []}));
        self
    }

    /// After 4 minutes a rule's result, by release.
    fn result(mut self, rule: &str, by_release: &[(&str, f64)]) -> Story {
        let samples = by_release.iter().map(|(release, value)| {
            json!({"labels": format!("{rule}{{release={release:?}}}"), "value": value})
        });
        let samples: Vec<_> = samples.collect();
        self.queries.push(json!({"expr": rule, "eval_time": "4m", "exp_samples": samples}));
        self
    }

    /// Lets promtool compare.
    fn holds(self) {
        if !have(&["promtool"]) {
            return;
        }
        let folder = installed("", &config("rules.yml"));
        let story = json!({
            "rule_files": ["rules.yml"],
            "evaluation_interval": "5s",
            "tests": [{
                "interval": "5s",
                "input_series": self.series,
                "alert_rule_test": self.alerts,
                "promql_expr_test": self.queries,
            }],
        });
        fs::write(folder.path().join("story.yml"), story.to_string()).expect("a file is written");
        promtool(["test", "rules"], folder.path(), "story.yml")
            .unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_canary_that_always_errs_raises_the_alert_after_a_minute_until_it_is_gone() {
    Story::new()
        .answers("stable", 200, "0+15x120")
        // Let in after one minute, rolled back after four.
        .answers("canary", 500, "_x12 0+5x36 stale")
        .no_alert("1m30s")
        .no_alert("2m")
        .alert("2m15s", "100%")
        .alert("4m", "100%")
        .no_alert("5m5s")
        .result(RATE, &[("stable", 3.0), ("canary", 1.0)])
        .result(ERROR_SHARE, &[("stable", 0.0), ("canary", 1.0)])
        .holds();
}

#[test]
fn a_canary_that_errs_in_more_than_one_of_twenty_answers_raises_the_alert() {
    Story::new()
        .answers("stable", 200, STEADILY)
        .answers("canary", 200, "0+15x60")
        .answers("canary", 500, "0+1x60")
        .alert("4m", "6.25%")
        .result(ERROR_SHARE, &[("stable", 0.0), ("canary", 0.0625)])
        .holds();
}

#[test]
fn a_canary_that_errs_in_one_of_twenty_answers_raises_no_alert() {
    Story::new()
        .answers("stable", 200, STEADILY)
        .answers("canary", 200, "0+19x60")
        .answers("canary", 500, "0+1x60")
        .no_alert("4m")
        .holds();
}

#[test]
fn a_canary_that_errs_as_often_as_stable_does_raises_no_alert() {
    Story::new()
        .answers("stable", 200, "0+5x60")
        .answers("stable", 500, "0+5x60")
        .answers("canary", 200, "0+1x60")
        .answers("canary", 500, "0+1x60")
        .no_alert("4m")
        .result(ERROR_SHARE, &[("stable", 0.5), ("canary", 0.5)])
        .holds();
}

#[test]
fn a_canary_that_errs_more_often_than_a_failing_stable_does_raises_the_alert() {
    Story::new()
        .answers("stable", 200, "0+3x60")
        .answers("stable", 500, "0+1x60")
        .answers("canary", 200, "0+1x60")
        .answers("canary", 500, "0+1x60")
        .alert("4m", "50%")
        .holds();
}

#[test]
fn a_failing_stable_release_without_a_canary_raises_no_alert() {
    Story::new()
        .answers("stable", 500, STEADILY)
        .no_alert("4m")
        .result(ERROR_SHARE, &[("stable", 1.0)])
        .holds();
}

#[test]
fn a_failing_canary_raises_the_alert_where_stable_has_no_answers_at_all() {
    Story::new().answers("canary", 500, STEADILY).alert("4m", "100%").holds();
    Story::new()
        .answers("stable", 200, "7x60")
        .answers("canary", 500, STEADILY)
        .alert("4m", "100%")
        .holds();
}

#[test]
fn a_canary_without_requests_has_neither_errors_nor_latency_and_raises_no_alert() {
    Story::new()
        .answers("stable", 200, STEADILY)
        .answers("canary", 500, "7x60")
        .took("/v1/appinfo", "stable", "1", STEADILY)
        .took("/v1/appinfo", "stable", "+Inf", STEADILY)
        .took("/v1/appinfo", "canary", "1", "7x60")
        .took("/v1/appinfo", "canary", "+Inf", "7x60")
        .no_alert("4m")
        .result(RATE, &[("stable", 1.0), ("canary", 0.0)])
        .result(ERROR_SHARE, &[("stable", 0.0)])
        .result(P99, &[("stable", 0.99)])
        .holds();
}

#[test]
fn no_requests_at_all_raise_no_alert() {
    Story::new().no_alert("4m").result(RATE, &[]).result(ERROR_SHARE, &[]).holds();
}

/// The rules look back one minute, so errors that came all at once are seen for as long, and the
/// alert asks for more than that.
#[test]
fn a_burst_of_errors_raises_no_alert() {
    let story = Story::new()
        .answers("stable", 200, STEADILY)
        .answers("canary", 200, STEADILY)
        .answers("canary", 500, "0x11 0+20x1 20x60");
    ["1m30s", "2m", "2m15s", "2m30s", "4m"].into_iter().fold(story, Story::no_alert).holds();
}

/// A probe that finds the pod draining, a scrape, a wrong path: no user sees an error.
#[test]
fn only_failed_answers_to_the_tutorials_path_count_as_errors() {
    Story::new()
        .answers("stable", 200, STEADILY)
        .answers("canary", 200, STEADILY)
        .answers("canary", 405, STEADILY)
        .answers_to("/readyz", "canary", 503, "0+500x60")
        .answers_to("other", "canary", 404, "0+500x60")
        .no_alert("4m")
        .result(RATE, &[("stable", 1.0), ("canary", 2.0)])
        .result(ERROR_SHARE, &[("stable", 0.0), ("canary", 0.0)])
        .holds();
}

/// Of the canary's answers one in 50 takes up to a second, of the stable ones none.
#[test]
fn the_99th_percentile_shows_the_release_that_is_slow() {
    let appinfo = "/v1/appinfo";
    Story::new()
        .answers("stable", 200, "0+50x60")
        .answers("canary", 200, "0+50x60")
        .took(appinfo, "stable", "0.5", "0+50x60")
        .took(appinfo, "stable", "1", "0+50x60")
        .took(appinfo, "stable", "+Inf", "0+50x60")
        .took(appinfo, "canary", "0.5", "0+49x60")
        .took(appinfo, "canary", "1", "0+50x60")
        .took(appinfo, "canary", "+Inf", "0+50x60")
        .took("/healthz", "stable", "0.5", "0+0x60")
        .took("/healthz", "stable", "1", "0+50x60")
        .took("/healthz", "stable", "+Inf", "0+50x60")
        .result(P99, &[("stable", 0.495), ("canary", 0.75)])
        .holds();
}

/// Debian's Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Prometheus {
    /// Starts it and waits until it is ready. It takes no port 0, so it gets a port that was free
    /// a moment ago, and another one should that be taken.
    fn start(config: &str, rules: &str) -> Prometheus {
        for _ in 0..10 {
            let folder = installed(config, rules);
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let address = listener.local_addr().expect("it has an address");
            drop(listener);
            let log = folder.path().join("log");
            let child = Command::new("prometheus")
                .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(File::create(&log).expect("a file can be written"))
                .spawn()
                .expect("prometheus starts");
            let mut prometheus = Prometheus { child, address, _folder: folder };
            let ready = eventually("Prometheus is ready, or ends", || {
                if prometheus.child.try_wait().expect("it can be waited for").is_some() {
                    return Some(false);
                }
                (prometheus.get("/-/ready").ok()?.status == 200).then_some(true)
            });
            if ready {
                return prometheus;
            }
            let said = fs::read_to_string(log).unwrap_or_default();
            assert!(said.contains("address already in use"), "Prometheus does not start: {said}");
        }
        panic!("each free port was taken at once");
    }

    /// HTTP/1.0, so that the answer is not chunked.
    fn get(&self, target: &str) -> std::io::Result<common::Answer> {
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

/// A process in a pod's place: its labels are those of its manifest.
struct Pod {
    appinfo: Appinfo,
    name: String,
    /// What Kubernetes tells Prometheus of it.
    discovered: Value,
    _labels: DownwardApi,
}

impl Pod {
    fn of(deployment: &str, variant: &str, number: usize) -> Pod {
        let deployment = manifest(deployment);
        let template = &deployment["spec"]["template"];
        let labels = template["metadata"]["labels"].as_object().expect("its pods have labels");
        let name = format!("{}-{number}", deployment["metadata"]["name"].as_str().unwrap());

        let file: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let file = DownwardApi::with(file.join("\n"));
        let appinfo = Start::new()
            .args("--variant")
            .arg(variant)
            .args("--labels")
            .arg(file.file())
            .env("MY_POD_NAME", &name)
            .spawn();

        let mut discovered = json!({
            "__meta_kubernetes_pod_name": name,
            "__meta_kubernetes_pod_phase": "Running",
            "__meta_kubernetes_pod_ready": "true",
            "__meta_kubernetes_pod_container_port_name":
                template["spec"]["containers"][0]["ports"][0]["name"],
        });
        for (key, value) in labels {
            discovered[format!("__meta_kubernetes_pod_label_{key}")] = value.clone();
        }
        Pod { appinfo, name, discovered, _labels: file }
    }

    /// A target of Prometheus with one thing about it changed.
    fn target(&self, what: &str, value: &str) -> Value {
        let mut labels = self.discovered.clone();
        labels[format!("__meta_kubernetes_pod_{what}")] = value.into();
        json!({"targets": [self.appinfo.address.to_string()], "labels": labels})
    }
}

/// Three stable pods and a broken canary, as in the tutorial, and Prometheus beside them with its
/// own configuration: only who tells of the pods differs, and how often it asks.
#[test]
fn prometheus_sets_the_canary_and_the_stable_release_side_by_side() {
    if !have(&["prometheus"]) {
        return;
    }
    let stable = (1..=3).map(|number| Pod::of("manifests/appinfo.yaml", "baseline", number));
    let canary = Pod::of("manifests/canary/broken.yaml", "broken", 1);
    let pods: Vec<_> = stable.chain([canary]).collect();
    let canary = &pods[3];

    let mut targets: Vec<_> = pods[..3].iter().map(|pod| pod.target("ready", "true")).collect();
    // Whether a pod is ready is no reason to look away.
    targets.push(canary.target("ready", "false"));
    // Something would answer for each of these, and is not to be asked.
    for (what, value) in [
        ("label_app", "other"),
        ("container_port_name", "admin"),
        ("phase", "Pending"),
        ("phase", "Succeeded"),
        ("phase", "Failed"),
    ] {
        let mut target = canary.target(what, value);
        // Two targets with equal labels would be one.
        target["labels"]["__meta_kubernetes_pod_name"] = format!("{what}-{value}").into();
        targets.push(target);
    }
    let mut config = config_for(&json!(targets));
    for interval in ["scrape_interval", "evaluation_interval"] {
        let written = format!("  {interval}: 5s\n");
        assert_eq!(config.matches(&written).count(), 1, "{interval}");
        config = config.replace(&written, &format!("  {interval}: 250ms\n"));
    }
    let prometheus = Prometheus::start(&config, &self::config("rules.yml"));

    // Every pod answers equally often, as behind a Service.
    let mut rounds = 0;
    let mut round = || {
        for pod in &pods {
            pod.appinfo.get("/v1/appinfo");
            pod.appinfo.get("/readyz");
        }
        rounds += 1;
    };
    eventually("three stable pods get three times the canary's requests", || {
        round();
        let (stable, canary) = prometheus.by_release(RATE)?;
        (2.5..3.5).contains(&(stable / canary)).then_some(())
    });
    eventually("the canary always errs, the stable release never", || {
        round();
        let shares = prometheus.by_release(ERROR_SHARE)?;
        assert_eq!(shares, (0.0, 1.0));
        Some(())
    });
    let (slowest_stable, slowest_canary) = eventually("both answer within some time", || {
        round();
        prometheus.by_release(P99)
    });
    for p99 in [slowest_stable, slowest_canary] {
        assert!(p99 > 0.0 && p99 < 5.0, "an answer took {p99} seconds");
    }
    eventually("the alert is pending", || {
        round();
        let alerts = prometheus.api("alerts");
        let alert = alerts["alerts"].get(0)?;
        assert_eq!(
            alert["labels"],
            json!({"alertname": "CanaryFailing", "release": "canary", "severity": "critical"})
        );
        assert_eq!(alert["annotations"]["summary"], "The canary fails 100% of its requests");
        Some(())
    });

    // Nothing is lost or counted twice, and probes are no users.
    eventually("the counts are what was asked", || {
        let sums = "sum by (release) (http_requests_total{path=\"/v1/appinfo\"})";
        (prometheus.by_release(sums)? == (3.0 * f64::from(rounds), f64::from(rounds))).then_some(())
    });
    let mut up = prometheus.query("up");
    up.sort_by_key(|(labels, _)| labels["pod"].to_string());
    let mut expected: Vec<_> = pods
        .iter()
        .map(|pod| {
            let labels = json!({
                "__name__": "up",
                "job": "appinfo",
                "instance": pod.appinfo.address.to_string(),
                "pod": pod.name,
                "release": "stable",
            });
            (labels, 1.0)
        })
        .collect();
    expected[3].0["release"] = "canary".into();
    expected[3].0["canary"] = "broken".into();
    expected.sort_by_key(|(labels, _)| labels["pod"].to_string());
    assert_eq!(up, expected, "each pod is one target, labelled with what tells it apart");
}
