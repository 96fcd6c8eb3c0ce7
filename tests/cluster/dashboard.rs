//! The Grafana dashboard: that Grafana knows each of its fields, and that each query returns what
//! its panel promises, with our rules and without them. (On GitHub a real Grafana imports it.)

use crate::common::*;
use crate::monitoring::Canary;
use crate::objects::named;

/// The dashboard, as the ConfigMap holds it. Grafana's sidecar finds that by its label.
fn json() -> String {
    let config_map = named("configmap/appinfo-dashboard");
    assert_eq!(config_map["metadata"]["labels"]["grafana_dashboard"], "1");
    config_map["data"]["appinfo.json"].as_str().expect("text").to_owned()
}

/// By the types that Grafana publishes.
#[test]
fn the_dashboard_has_only_fields_that_grafana_knows() {
    needs!("just", "npm");
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/grafana-schema-13.0.1");
    let folder = Path::new(folder);
    if !folder.join("node_modules/.bin/tsc").exists() {
        let npm = "npm install --silent @grafana/schema@13.0.1 typescript@5.9.3 --prefix";
        let npm = command(npm).arg(folder).output().expect("npm starts");
        if !npm.status.success() {
            return skip(&format!("needs npm's packages, but npm says {npm:?}"));
        }
    }
    // With the link that `just dist` adds.
    let link = just("dashboard-link https://git.example.com/o/r");
    let json = json().replace("\"links\": []", &format!("\"links\": [{link}]"));
    let module = text("tests/cluster/dashboard.ts") + &json;
    fs::write(folder.join("dashboard.ts"), module).expect("the folder can be written");
    let options = "--noEmit --strict --skipLibCheck --module esnext --moduleResolution bundler";
    let mut compiler = command(&format!("node_modules/.bin/tsc {options} dashboard.ts"));
    run(compiler.current_dir(folder));
}

/// The legend of a query; of a table, its columns.
fn legend(panel: &Value, target: &Value) -> String {
    target["legendFormat"].as_str().map(str::to_owned).unwrap_or_else(|| {
        let columns = &panel["transformations"][0]["options"]["indexByName"];
        let columns = columns.as_object().expect("a table has columns").keys();
        columns.map(|name| format!("{{{{{name}}}}}")).collect::<Vec<_>>().join(" ")
    })
}

/// Waits until each panel shows what it promises, with three stable pods and a canary that is bad.
pub fn each_panel_shows_what_it_promises(canary: &mut Canary) {
    let pods =
        "stable appinfo-1, stable appinfo-2, stable appinfo-3, canary appinfo-canary-fixed-1";
    let versions = "appinfo-1 stable baseline VERSION, appinfo-2 stable baseline VERSION, \
        appinfo-3 stable baseline VERSION, appinfo-canary-fixed-1 canary namespace VERSION";
    let versions = versions.replace("VERSION", env!("CARGO_PKG_VERSION"));
    let promised = [
        ("Requests per second", "stable, canary"),
        ("The canary's share", "canary"),
        ("Firing alerts", "CanaryFailing canary critical, CanarySlow canary warning"),
        ("Error ratio", "stable, canary"),
        ("Response time", "stable p50, canary p50, stable p99, canary p99"),
        ("Requests per second, by pod", pods),
        ("Restarts", pods),
        ("Pods and versions", &versions),
    ];
    let dashboard: Value = serde_json::from_str(&json()).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("it has panels");
    assert_eq!(panels.len(), promised.len());
    for (panel, (title, names)) in panels.iter().zip(promised) {
        assert_eq!(panel["title"], title);
        let names: BTreeSet<_> = names.split(", ").map(str::to_owned).collect();
        // A Prometheus without our rules has no series of these names.
        for rules in ["release:http", "absent:http"] {
            canary.becomes(&format!("{title:?} shows {names:?} by {rules}"), |canary| {
                let targets = panel["targets"].as_array().expect("it has queries").iter();
                let shown = targets.flat_map(|target| {
                    let query = target["expr"].as_str().expect("a query");
                    let query =
                        query.replace("release:http", rules).replace("$namespace", "default");
                    let query = query.replace("$__rate_interval", "1m");
                    canary.names(&query, &legend(panel, target))
                });
                shown.collect::<BTreeSet<_>>() == names
            });
        }
    }
}
