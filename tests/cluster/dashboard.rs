//! The Grafana dashboard: that Grafana knows every field of it, and that each of its queries returns
//! what its panel promises, with our rules and without them. (On GitHub a real Grafana imports it.)

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{Folder, have, skip, text};
use crate::monitoring::Canary;
use crate::objects::named;

/// What Grafana publishes of its dashboards, and the compiler that reads it.
const SCHEMA: [&str; 2] = ["@grafana/schema@13.0.1", "typescript@5.9.3"];

/// The dashboard, as the ConfigMap holds it. Grafana's sidecar finds that by its label.
fn json() -> String {
    let config_map = named("configmap/appinfo-dashboard");
    assert_eq!(config_map["metadata"]["labels"]["grafana_dashboard"], "1");
    config_map["data"]["appinfo.json"].as_str().expect("text").to_owned()
}

/// The folder with the npm packages; nothing if they cannot be had.
fn packages() -> Option<&'static Path> {
    if !have(&["npm"]) {
        return None;
    }
    let folder = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/grafana-schema-13.0.1"));
    if !folder.join("node_modules/.bin/tsc").exists() {
        let install = ["install", "--silent", "--prefix"];
        let npm = Command::new("npm").args(install).arg(folder).args(SCHEMA).output();
        if !npm.as_ref().is_ok_and(|npm| npm.status.success()) {
            skip(&format!("needs {SCHEMA:?}, but npm says {npm:?}"));
            return None;
        }
    }
    Some(folder)
}

#[test]
fn the_dashboard_has_only_fields_that_grafana_knows() {
    let Some(packages) = packages() else { return };
    let folder = Folder::new();
    std::os::unix::fs::symlink(packages.join("node_modules"), folder.path().join("node_modules"))
        .expect("a symlink can be made");
    let module = |name: &str, dashboard: &str| {
        let content = text("tests/cluster/dashboard.ts") + dashboard;
        std::fs::write(folder.path().join(name), content).expect("the folder can be written");
    };
    module("dashboard.ts", &json());
    // A field that is misspelt, a value of another type, one that the field cannot have.
    let spoilt = [
        ("\"gridPos\"", "\"gridPosition\""),
        ("\"lineWidth\"", "\"linewidth\""),
        ("\"showHeader\"", "\"showHeaders\""),
        ("\"refresh\": 1", "\"refresh\": \"1\""),
        ("\"drawStyle\": \"line\"", "\"drawStyle\": \"lines\""),
    ];
    for (number, (old, new)) in spoilt.into_iter().enumerate() {
        assert!(json().contains(old), "{old}");
        module(&format!("spoilt-{number}.ts"), &json().replacen(old, new, 1));
    }
    let mut compiler = Command::new(packages.join("node_modules/.bin/tsc"));
    compiler.args(["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext"]);
    compiler.args(["--moduleResolution", "bundler", "dashboard.ts"]);
    compiler.args((0..spoilt.len()).map(|number| format!("spoilt-{number}.ts")));
    let found = compiler.current_dir(folder.path()).output().expect("it runs");
    let found = String::from_utf8(found.stdout).expect("UTF-8");
    let complaints = |name: &str| found.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(complaints("dashboard.ts"), 0, "{found}");
    for (number, (_, new)) in spoilt.into_iter().enumerate() {
        assert!(complaints(&format!("spoilt-{number}.ts")) > 0, "{new} is not found: {found}");
    }
}

/// What a query returns, as its panel shows it: the names in the legend, or the rows of the table.
fn shown(canary: &Canary, panel: &Value, legend: Option<&str>, query: &str) -> BTreeSet<String> {
    let series = canary.query(query);
    let series = series.iter().filter(|series| series["value"][1] != "NaN");
    let names = series.map(|series| {
        let label = |label: &str| series["metric"][label].as_str().unwrap_or("none").to_owned();
        let Some(legend) = legend else {
            let columns = &panel["transformations"][0]["options"]["indexByName"];
            let columns = columns.as_object().expect("a table has columns");
            let mut columns: Vec<_> = columns.iter().collect();
            columns.sort_by_key(|(_, place)| place.as_u64());
            return columns.iter().map(|(name, _)| label(name)).collect::<Vec<_>>().join(" ");
        };
        let parts = legend.split("{{").map(|part| match part.split_once("}}") {
            Some((name, rest)) => label(name) + rest,
            None => part.to_owned(),
        });
        parts.collect()
    });
    names.collect()
}

/// Waits until each panel shows what it promises, with three stable pods and a broken canary.
pub fn each_panel_shows_what_it_promises(canary: &mut Canary) {
    let pods = [
        "stable appinfo-1",
        "stable appinfo-2",
        "stable appinfo-3",
        "canary appinfo-canary-broken-1",
    ];
    let variants = ["baseline", "baseline", "baseline", "broken"];
    let version = env!("CARGO_PKG_VERSION");
    let rows = pods.iter().zip(variants).map(|(pod, variant)| format!("{pod} {variant} {version}"));
    let rows: Vec<_> = rows.collect();
    let promised = [
        ("Requests per second", vec!["stable", "canary"]),
        ("The canary's share", vec!["canary"]),
        ("Firing alerts", vec!["CanaryFailing canary critical"]),
        ("Error ratio", vec!["stable", "canary"]),
        ("Response time", vec!["stable p50", "canary p50", "stable p99", "canary p99"]),
        ("Requests per second, by pod", pods.to_vec()),
        ("Restarts", pods.to_vec()),
        ("Pods and versions", rows.iter().map(String::as_str).collect()),
    ];
    let dashboard: Value = serde_json::from_str(&json()).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    assert_eq!(panels.len(), promised.len());
    for (panel, (title, names)) in panels.iter().zip(promised) {
        assert_eq!(panel["title"], title);
        let names: BTreeSet<_> = names.into_iter().map(str::to_owned).collect();
        // A Prometheus without our rules has no series of these names.
        for rules in ["release:http", "absent:http"] {
            canary.becomes(&format!("{title:?} shows {names:?} by {rules}"), |canary| {
                let targets = panel["targets"].as_array().expect("it has queries").iter();
                let shown = targets.flat_map(|target| {
                    let query =
                        target["expr"].as_str().expect("a query").replace("release:http", rules);
                    let query =
                        query.replace("$namespace", "default").replace("$__rate_interval", "1m");
                    shown(canary, panel, target["legendFormat"].as_str(), &query)
                });
                shown.collect::<BTreeSet<_>>() == names
            });
        }
    }
}
