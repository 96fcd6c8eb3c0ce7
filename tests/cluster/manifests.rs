//! The manifests: that Kubernetes takes them, that a linter finds no fault with them, and that
//! they fit each other, the image and the program, which neither can tell.
//!
//! The canaries differ from the stable Deployment in nothing that matters (tested below), so what
//! is said of that holds for all three.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use regex_lite::Regex;
use serde_json::{Value, json};

use crate::common::{Folder, Start, eventually, have, repository, run};
use crate::objects::{self, all, all_files, id, leaves, named, of_kind};

const STABLE: &str = "manifests/appinfo.yaml";
const BROKEN: &str = "manifests/canary/broken.yaml";
const FIXED: &str = "manifests/canary/fixed.yaml";

/// The stable Deployment's pods and their container.
fn stable() -> (Value, Value) {
    let pod = named("deployment/appinfo")["spec"]["template"]["spec"].take();
    let container = pod["containers"][0].clone();
    (pod, container)
}

/// The stable Deployment's manifest with one thing changed.
fn spoilt(old: &str, new: &str) -> String {
    let text = text(STABLE);
    assert!(text.contains(old), "{STABLE} says {old:?}");
    text.replacen(old, new, 1)
}

/// A file of the repository.
fn text(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).expect("the file can be read")
}

/// Runs kubernetes-validate, which carries the schemas of the Kubernetes API, and counts its lines
/// that tell of success.
fn passes_the_schemas(version: &str, files: &[impl AsRef<Path>]) -> Result<usize, String> {
    let mut validate = Command::new("kubernetes-validate");
    validate.args(["--strict", "--kubernetes-version", version]);
    let output = validate.args(files.iter().map(AsRef::as_ref)).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // It only warns of a kind that it has no schema for.
    if !output.status.success() || !said.lines().all(|line| line.starts_with("INFO ")) {
        return Err(said + &String::from_utf8_lossy(&output.stderr));
    }
    Ok(said.lines().count())
}

#[test]
fn kubernetes_schemas_old_and_new_accept_every_manifest() {
    if !have(&["kubernetes-validate"]) {
        return;
    }
    for version in ["1.30", "1.37"] {
        let passed = passes_the_schemas(version, &all_files());
        assert_eq!(passed, Ok(all().len()), "Kubernetes {version}");
    }
    // A misspelt field, a wrong type, an unknown kind: each is found.
    let folder = Folder::new();
    let file = folder.path().join("spoilt.yaml");
    for (old, new) in [
        ("automountServiceAccountToken", "automountServiceAccountTokens"),
        ("replicas: 1", "replicas: one"),
        ("apps/v1", "apps/v1beta2"),
    ] {
        std::fs::write(&file, spoilt(old, new)).expect("the folder can be written");
        passes_the_schemas("1.37", &[&file]).expect_err(&format!("{new} is found"));
    }
}

/// What checkov, a linter, finds in the YAML files of a folder: file and check. What it is told not
/// to mind stands in checkov.yaml.
fn complaints(folder: &Path) -> BTreeSet<(String, String)> {
    let mut checkov = Command::new("checkov");
    let settings = repository().join("tests/cluster/checkov.yaml");
    checkov.arg("--config-file").arg(settings).arg("--directory").arg(folder);
    let report = run(checkov.args(["--soft-fail", "--output", "json"]));
    let report: Value = serde_json::from_str(&report).expect("it tells JSON");
    assert!(report["summary"]["passed"].as_u64() > Some(100), "it checks: {report}");
    let failed = report["results"]["failed_checks"].as_array().expect("it lists what failed");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    failed.iter().map(|it| (text(&it["file_path"]), text(&it["check_id"]))).collect()
}

#[test]
fn a_linter_finds_no_fault_with_the_manifests() {
    if !have(&["checkov"]) {
        return;
    }
    assert_eq!(complaints(&repository().join("manifests")), BTreeSet::new());
    // What it would find, a file each.
    let folder = Folder::new();
    let faults = [
        ("containers:", "hostPID: true\n      containers:", "CKV_K8S_17"),
        ("runAsUser: 65532", "runAsUser: 1000", "CKV_K8S_40"),
        ("type: RuntimeDefault", "type: Unconfined", "CKV_K8S_31"),
        ("allowPrivilegeEscalation: false", "privileged: true", "CKV_K8S_16"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "CKV_K8S_22"),
        ("[ALL]", "[CHOWN]", "CKV_K8S_37"),
        ("memory: 96Mi", "cpu: 1", "CKV_K8S_13"),
        ("appinfo:1", "appinfo:latest", "CKV_K8S_14"),
        ("livenessProbe", "startupProbe", "CKV_K8S_8"),
    ];
    for (old, new, check) in faults {
        let file = folder.path().join(format!("{check}.yaml"));
        std::fs::write(file, spoilt(old, new)).expect("the folder can be written");
    }
    let found = complaints(folder.path());
    for (.., check) in faults {
        let complaint = (format!("/{check}.yaml"), check.to_owned());
        assert!(found.contains(&complaint), "{complaint:?} is not in {found:?}");
    }
}

/// All that a pod's template may say. That is narrower than the strictest pod policy, whose every
/// control demands what is below, or forbids a field that is not here
/// (<https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>).
const ALLOWED: [&str; 14] = [
    "/metadata/labels/",
    "/spec/(automountServiceAccountToken|terminationGracePeriodSeconds)=",
    "/spec/containers/(args|env/name|image|name)=",
    "/spec/containers/env/valueFrom/fieldRef/fieldPath=metadata[.]name(space)?$",
    "/spec/containers/imagePullPolicy=IfNotPresent$",
    "/spec/containers/(liveness|readiness)Probe/(period|timeout)Seconds=",
    "/spec/containers/(liveness|readiness)Probe/(failureThreshold=|httpGet/(path=/|port=http$))",
    "/spec/containers/ports/(containerPort=|name=http$)",
    "/spec/containers/resources/(limits|requests)/(cpu|memory)=",
    "/spec/containers/volumeMounts/(mountPath|name|readOnly)=",
    "/spec/securityContext/runAs(User|Group)=[1-9]",
    "/spec/serviceAccountName=prometheus$",
    "/spec/volumes/(configMap/name|downwardAPI/items/path|emptyDir/sizeLimit|name)=",
    "/spec/volumes/downwardAPI/items/fieldRef/fieldPath=metadata[.]labels$",
];

/// What it has to say.
const DEMANDED: [&str; 5] = [
    "/spec/containers/securityContext/allowPrivilegeEscalation=false",
    "/spec/containers/securityContext/capabilities/drop=ALL",
    "/spec/containers/securityContext/readOnlyRootFilesystem=true",
    "/spec/securityContext/runAsNonRoot=true",
    "/spec/securityContext/seccompProfile/type=RuntimeDefault",
];

#[test]
fn pods_say_what_the_strictest_policy_demands_and_nothing_that_could_loosen_it() {
    let allowed = Regex::new(&format!("^({})", ALLOWED.join("|"))).expect("the patterns are right");
    let deployments = of_kind("Deployment");
    assert_eq!(deployments.len(), 4);
    for deployment in deployments {
        let (template, name) = (&deployment["spec"]["template"], id(&deployment));
        let leaves = leaves("", template);
        for demanded in DEMANDED {
            assert!(leaves.iter().any(|leaf| leaf == demanded), "{name} lacks {demanded}");
        }
        for leaf in leaves.iter().filter(|leaf| !DEMANDED.contains(&leaf.as_str())) {
            assert!(allowed.is_match(leaf), "{name} has {leaf}");
        }
        // What is demanded of a container would have to be found in each.
        assert_eq!(template["spec"]["containers"].as_array().map(Vec::len), Some(1), "{name}");
        let monitors = name == "deployment/prometheus";
        assert_eq!(template["spec"]["automountServiceAccountToken"], monitors, "{name}");
    }
    assert_eq!(named("serviceaccount/prometheus")["automountServiceAccountToken"], false);
}

/// `kubectl` puts them into its current namespace, and so they work in any.
#[test]
fn no_manifest_names_a_namespace() {
    for object in all() {
        let leaves = leaves("", &object);
        assert!(!leaves.iter().any(|leaf| leaf.contains("/namespace=")), "{leaves:?}");
    }
}

/// The answer lists a pod's labels: exactly those that the tutorial explains. A Deployment owns
/// the pods that its selector matches, so some label has to set any two of them apart.
#[test]
fn each_deployment_selects_its_own_pods_by_the_tutorials_labels() {
    let expected = [
        json!({"app": "appinfo", "release": "stable"}),
        json!({"app": "appinfo", "release": "canary", "canary": "broken"}),
        json!({"app": "appinfo", "release": "canary", "canary": "fixed"}),
        json!({"app": "prometheus"}),
    ];
    let deployments = of_kind("Deployment");
    for (deployment, labels) in deployments.iter().zip(&expected) {
        let spec = &deployment["spec"];
        for place in [&spec["selector"]["matchLabels"], &spec["template"]["metadata"]["labels"]] {
            assert_eq!(place, labels, "{}", id(deployment));
        }
        let apart = |other: &&Value| {
            let labels = labels.as_object().expect("labels are an object");
            labels.iter().any(|(key, value)| other.get(key).is_some_and(|theirs| theirs != value))
        };
        assert_eq!(expected.iter().filter(apart).count(), expected.len() - 1, "{labels}");
    }
}

/// What the story compares is the release: nothing else may make a difference.
#[test]
fn a_canary_differs_from_the_stable_release_in_its_name_labels_and_image_alone() {
    let bare = |file: &str| {
        let mut object = objects::read(file).remove(0);
        for pointer in [
            "/metadata",
            "/spec/selector/matchLabels",
            "/spec/template/metadata/labels",
            "/spec/template/spec/containers/0/image",
        ] {
            object.pointer_mut(pointer).expect("it is there").take();
        }
        object
    };
    assert_eq!(bare(BROKEN), bare(STABLE));
    assert_eq!(bare(FIXED), bare(STABLE));
}

/// From the Service's named port through its pods to the port that the image and the program name.
#[test]
fn a_service_reaches_the_programs_port_by_its_name() {
    let exposed = in_the_containerfile("EXPOSE (.*)");
    assert_eq!(default_of("APPINFO_LISTEN"), format!("every address, port {exposed}"));
    for (name, port) in [("appinfo", exposed.parse().expect("a number")), ("prometheus", 9090)] {
        let deployment = named(&format!("deployment/{name}"));
        let ports = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"];
        assert_eq!(*ports, json!([{"name": "http", "containerPort": port}]), "{name}");
        let service = named(&format!("service/{name}"));
        // kubectl proxy and the tutorial name the port `http`. The cluster chooses the nodes' port.
        let ports = json!([{"name": "http", "port": port, "targetPort": "http"}]);
        assert_eq!(service["spec"]["ports"], ports, "{name}");
        assert_eq!(service["spec"]["selector"], json!({"app": name}), "{name}");
    }
    assert_eq!(named("service/appinfo")["spec"]["type"], "NodePort");
}

/// Readiness is asked each second, liveness with patience.
#[test]
fn probes_ask_what_the_program_answers() {
    let (_, container) = stable();
    let [readiness, liveness] = ["readinessProbe", "livenessProbe"].map(|it| &container[it]);
    let path = |probe: &Value| probe["httpGet"]["path"].as_str().expect("a path").to_owned();
    let mut appinfo = Start::new().spawn();
    assert_eq!(appinfo.get(&path(readiness)).status, 200);
    assert_eq!(appinfo.get(&path(liveness)).status, 200);
    appinfo.signal(15);
    eventually("a pod that drains is alive and not ready", || {
        let status = |probe| appinfo.get(&path(probe)).status;
        (status(readiness) == 503 && status(liveness) == 200).then_some(())
    });
    assert!(appinfo.is_alive());
    assert_eq!(readiness["periodSeconds"], 1);
    let patience = ["periodSeconds", "failureThreshold"].map(|it| liveness[it].as_u64().unwrap());
    assert!(patience[0] * patience[1] >= 30, "restarted after {patience:?}");
}

/// No request is lost in a rollout: a new pod is ready before an old one stops, and Kubernetes
/// kills only when the drain is over and some seconds have gone by.
#[test]
fn a_rollout_leaves_the_pods_their_time() {
    let strategy = &named("deployment/appinfo")["spec"]["strategy"];
    assert_eq!(*strategy, json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}));
    let grace = stable().0["terminationGracePeriodSeconds"].as_u64().expect("a number");
    let drain: u64 = default_of("APPINFO_DRAIN").parse().expect("the drain is in whole seconds");
    assert!(grace >= drain + 5, "killed {grace} seconds after SIGTERM, {drain} of which it drains");
}

#[test]
fn a_pod_asks_for_little_and_is_held_to_it() {
    let asked = json!({"requests": {"cpu": "10m", "memory": "4Mi"}, "limits": {"memory": "96Mi"}});
    assert_eq!(stable().1["resources"], asked);
}

/// The default that `appinfo --help` tells for a variable.
fn default_of(variable: &str) -> String {
    let help = Start::new().args("--help").output().stdout;
    let help = String::from_utf8(help).expect("the help is UTF-8");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    captured(&format!(r"\[{variable}; default: ([^\]]*)\]"), &help)
}

fn in_the_containerfile(pattern: &str) -> String {
    captured(&format!("(?m)^{pattern}$"), &text("Containerfile"))
}

/// What the pattern's group matches.
fn captured(pattern: &str, text: &str) -> String {
    let found = Regex::new(pattern).expect("the pattern is right").captures(text);
    found.unwrap_or_else(|| panic!("{pattern} stands in {text}"))[1].trim().to_owned()
}

/// The user is the image's own, so that what runs is what was tested. The program is told nothing:
/// it finds its labels by the image's link, its name and namespace in the two variables that it
/// knows, and the rest by default.
#[test]
fn a_pod_gives_the_program_what_it_looks_for() {
    let (pod, container) = stable();
    let [user, group] = ["runAsUser", "runAsGroup"].map(|it| &pod["securityContext"][it]);
    assert_eq!(in_the_containerfile("USER (.*)"), format!("{user}:{group}"));
    let link = captured("ln -s ([a-z/]+) \"\\$root/etc/labels\"", &text("justfile"));
    let (folder, file) = link.split_once('/').expect("a file in a folder");
    assert_eq!(default_of("APPINFO_LABELS"), "/etc/labels");
    let mounts = json!([{"name": "podinfo", "mountPath": format!("/etc/{folder}")}]);
    assert_eq!(container["volumeMounts"], mounts);
    let items = json!([{"path": file, "fieldRef": {"fieldPath": "metadata.labels"}}]);
    assert_eq!(pod["volumes"], json!([{"name": "podinfo", "downwardAPI": {"items": items}}]));
    let variable =
        |name, field| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}});
    let env = [("MY_POD_NAME", "metadata.name"), ("MY_POD_NAMESPACE", "metadata.namespace")];
    assert_eq!(container["env"], json!(env.map(|(name, field)| variable(name, field))));
}

/// From Prometheus' pod by its account and the binding to the one thing that it may do.
#[test]
fn prometheus_may_read_the_pods_of_its_namespace_and_nothing_else() {
    let pod = &named("deployment/prometheus")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "prometheus");
    let binding = named("rolebinding/prometheus");
    assert_eq!(binding["subjects"], json!([{"kind": "ServiceAccount", "name": "prometheus"}]));
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"});
    assert_eq!(binding["roleRef"], role);
    let rules =
        json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]);
    assert_eq!(named("role/prometheus")["rules"], rules);
    let rbac = all().iter().map(id).filter(|it| it.contains("role")).count();
    assert_eq!(rbac, 2, "there is no other role");
}

/// The files that the arguments name are the ConfigMap's, and what is written goes to a volume.
#[test]
fn prometheus_finds_its_configuration_and_a_place_for_its_data() {
    let pod = &named("deployment/prometheus")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let args = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"];
    assert_eq!(container["args"], json!(args));
    let mounts = json!([
        {"name": "config", "mountPath": "/etc/prometheus", "readOnly": true},
        {"name": "data", "mountPath": "/prometheus"},
    ]);
    assert_eq!(container["volumeMounts"], mounts);
    let volumes = json!([
        {"name": "config", "configMap": {"name": "prometheus"}},
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
    ]);
    assert_eq!(pod["volumes"], volumes);
    let config = named("configmap/prometheus");
    let files: Vec<_> = config["data"].as_object().expect("it has files").keys().collect();
    assert_eq!(files, ["prometheus.yml", "rules.yml"]);
    // What is pinned stays what was tested.
    captured(
        r"^docker\.io/prom/prometheus:v(\d+\.\d+\.\d+)$",
        container["image"].as_str().unwrap(),
    );
}
