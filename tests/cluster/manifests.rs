//! The manifests: that Kubernetes takes them, that a linter finds no fault with them, and that
//! they fit each other, the image and the program, which neither can tell.
//!
//! The canaries differ from the stable Deployment in nothing that matters (tested below), so what
//! is said of that holds for all three.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;

use regex_lite::Regex;
use serde_json::{Value, json};

use crate::common::{Folder, have, repository, run, text};
use crate::objects::{all, all_files, id, leaves, named, of_kind};
use crate::tutorial::help;

/// The stable Deployment.
const STABLE: &str = "manifests/appinfo.yaml";

/// Where a Deployment's pods are described, and their container.
const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// Fails unless this stands, word for word, at these places within a place of an object.
#[track_caller]
fn says<const N: usize>(name: &str, within: &str, places: [(&str, Value); N]) {
    let object = named(name);
    for (place, value) in places {
        let place = format!("{within}{place}");
        assert_eq!(object.pointer(&place), Some(&value), "{name} at {place}");
    }
}

/// Takes these fields, separated by white space, out of a place of an object.
fn take(object: &mut Value, place: &str, fields: &str) {
    let place = object.pointer_mut(place).and_then(Value::as_object_mut).expect("there is one");
    place.retain(|field, _| !fields.split_whitespace().any(|it| it == field));
}

/// A manifest with one thing changed.
fn spoilt(manifest: &str, old: &str, new: &str) -> String {
    assert!(manifest.contains(old), "it says {old:?}: {manifest}");
    manifest.replacen(old, new, 1)
}

/// Whether kubernetes-validate, which carries the schemas of the Kubernetes API, knows every object
/// in these files and finds nothing wrong with it; and what it says.
fn passes_the_schemas(version: &str, files: &[PathBuf], objects: usize) -> (bool, String) {
    let mut validate = Command::new("kubernetes-validate");
    validate.args(["--strict", "--kubernetes-version", version]).args(files);
    let output = validate.output().expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    // It only warns of a kind that it has no schema for.
    let passed = said.lines().filter(|line| line.starts_with("INFO ")).count();
    (output.status.success() && passed == objects, said)
}

#[test]
fn kubernetes_schemas_old_and_new_accept_every_manifest() {
    if !have(&["kubernetes-validate"]) {
        return;
    }
    for version in ["1.30", "1.37"] {
        let (passed, said) = passes_the_schemas(version, &all_files(), all().len());
        assert!(passed, "Kubernetes {version}: {said}");
    }
    // A misspelt field, a wrong type, an unknown kind: each is found.
    let folder = Folder::new();
    let file = folder.path().join("spoilt.yaml");
    for (old, new) in [
        ("automountServiceAccountToken", "automountServiceAccountTokens"),
        ("replicas: 1", "replicas: one"),
        ("apps/v1", "apps/v1beta2"),
    ] {
        std::fs::write(&file, spoilt(&text(STABLE), old, new)).expect("the folder can be written");
        assert!(!passes_the_schemas("1.37", slice::from_ref(&file), 1).0, "{new} is not found");
    }
}

/// The checks that checkov, a linter, finds failed by the YAML files of a folder. What it is told
/// not to mind stands in checkov.yaml.
fn complaints(folder: &Path) -> BTreeSet<String> {
    let mut checkov = Command::new("checkov");
    let settings = repository().join("tests/cluster/checkov.yaml");
    checkov.arg("--config-file").arg(settings).arg("--directory").arg(folder);
    let report = run(checkov.args(["--soft-fail", "--output", "json"]));
    let report: Value = serde_json::from_str(&report).expect("it tells JSON");
    assert!(report["summary"]["passed"].as_u64() > Some(50), "it checks: {report}");
    leaves("", &report)
        .iter()
        .filter_map(|leaf| leaf.strip_prefix("/results/failed_checks/check_id="))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_linter_finds_no_fault_with_the_manifests() {
    if !have(&["checkov"]) {
        return;
    }
    assert_eq!(complaints(&repository().join("manifests")), BTreeSet::new());
    // What it would find.
    let (folder, mut manifest) = (Folder::new(), text(STABLE));
    let mut expected = BTreeSet::new();
    for (old, new, check) in [
        ("containers:", "hostPID: true\n      containers:", "CKV_K8S_17"),
        ("runAsNonRoot: true", "runAsUser: 0", "CKV_K8S_23"),
        ("type: RuntimeDefault", "type: Unconfined", "CKV_K8S_31"),
        ("allowPrivilegeEscalation: false", "privileged: true", "CKV_K8S_16"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "CKV_K8S_22"),
        ("[ALL]", "[CHOWN]", "CKV_K8S_37"),
        ("memory: 96Mi", "cpu: 1", "CKV_K8S_13"),
        ("appinfo:1", "appinfo:latest", "CKV_K8S_14"),
        ("livenessProbe", "startupProbe", "CKV_K8S_8"),
    ] {
        manifest = spoilt(&manifest, old, new);
        expected.insert(check.to_owned());
    }
    std::fs::write(folder.path().join("spoilt.yaml"), manifest).expect("it can be written");
    let found = complaints(folder.path());
    assert!(found.is_superset(&expected), "{expected:?} are not all in {found:?}");
}

/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
#[test]
fn pods_say_what_the_strictest_policy_demands_and_nothing_that_could_loosen_it() {
    let deployments = of_kind("Deployment");
    assert_eq!(deployments.len(), 4);
    for mut deployment in deployments {
        let (name, mut pod) = (id(&deployment), deployment["spec"]["template"].take());
        // The policy does not mind these; or it does, and they are said word for word below (ports,
        // probes, volumes).
        take(&mut pod, "/metadata", "labels");
        take(&mut pod, "/spec", "serviceAccountName terminationGracePeriodSeconds volumes");
        let container = "/spec/containers/0";
        take(
            &mut pod,
            container,
            "args env image imagePullPolicy name ports resources volumeMounts",
        );
        take(&mut pod, container, "livenessProbe readinessProbe");
        let demanded = json!({"metadata": {}, "spec": {
            "automountServiceAccountToken": name == "deployment/prometheus",
            "containers": [{"securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            }}],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        }});
        assert_eq!(pod, demanded, "{name}");
    }
    says("serviceaccount/prometheus", "", [("/automountServiceAccountToken", json!(false))]);
}

/// By the rules of OpenShift's `restricted-v2`: a namespace has user and group numbers of its own,
/// and a pod that asks for others is refused.
/// <https://docs.redhat.com/en/documentation/openshift_container_platform/4.19/html/authentication_and_authorization/managing-pod-security-policies>
#[test]
fn openshift_accepts_every_pod() {
    let refused = [
        "runAsUser",
        "runAsGroup",
        "fsGroup",
        "supplementalGroups",
        "seLinuxOptions",
        "add",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostPort",
        "privileged",
    ];
    let volumes = [
        "name",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    for deployment in of_kind("Deployment") {
        let pod = deployment.pointer(POD).expect("it has pods");
        for leaf in leaves("", pod) {
            let (place, _) = leaf.split_once('=').expect("it has a value");
            assert!(!place.split('/').any(|field| refused.contains(&field)), "{leaf}");
            if let Some(volume) = place.strip_prefix("/volumes/") {
                let kind = volume.split('/').next().expect("it has a field");
                assert!(volumes.contains(&kind), "{leaf}");
            }
        }
    }
}

/// The server fills in what a manifest leaves out, as a part of the object that `kubectl create`
/// owns; then `kubectl apply --server-side` conflicts with it. (Tried on Kubernetes 1.36: these
/// three were all.)
#[test]
fn what_the_server_would_fill_in_and_then_defend_is_written_out() {
    let is_reference = |leaf: &&String| leaf.contains("/fieldRef/");
    for deployment in of_kind("Deployment") {
        let leaves = leaves("", &deployment);
        let (versions, paths): (Vec<_>, Vec<_>) =
            leaves.iter().filter(is_reference).partition(|leaf| leaf.ends_with("/apiVersion=v1"));
        assert_eq!(versions.len(), paths.len(), "{}: {paths:?}", id(&deployment));
    }
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
/// the pods that its selector matches, so some label sets any two of them apart.
#[test]
fn each_deployment_selects_its_own_pods_by_the_tutorials_labels() {
    for (name, labels) in [
        ("appinfo", json!({"app": "appinfo", "release": "stable"})),
        (
            "appinfo-canary-broken",
            json!({"app": "appinfo", "release": "canary", "canary": "broken"}),
        ),
        ("appinfo-canary-fixed", json!({"app": "appinfo", "release": "canary", "canary": "fixed"})),
        ("prometheus", json!({"app": "prometheus"})),
    ] {
        let places =
            [("/selector/matchLabels", labels.clone()), ("/template/metadata/labels", labels)];
        says(&format!("deployment/{name}"), "/spec", places);
    }
}

/// What the story compares is the release: nothing else may make a difference.
#[test]
fn a_canary_differs_from_the_stable_release_in_its_name_labels_and_image_alone() {
    let names = ["appinfo", "appinfo-canary-broken", "appinfo-canary-fixed"];
    let [stable, broken, fixed] = names.map(|name| {
        let mut deployment = named(&format!("deployment/{name}"));
        take(&mut deployment, "", "metadata");
        take(&mut deployment, "/spec/selector", "matchLabels");
        take(&mut deployment, "/spec/template/metadata", "labels");
        take(&mut deployment, CONTAINER, "image");
        deployment
    });
    assert_eq!(broken, stable);
    assert_eq!(fixed, stable);
}

/// From the Service's named port through its pods to the port that the image and the program name.
#[test]
fn a_service_reaches_the_programs_port_by_its_name() {
    assert!(help().contains("[APPINFO_LISTEN; default: every address, port 8080]"));
    assert!(text("Containerfile").contains("\nEXPOSE 8080\n"));
    for (name, port) in [("appinfo", 8080), ("prometheus", 9090)] {
        let ports = json!([{"name": "http", "containerPort": port}]);
        says(&format!("deployment/{name}"), CONTAINER, [("/ports", ports)]);
        // kubectl proxy and the tutorial name the port `http`. The cluster chooses the nodes' port.
        let ports = json!([{"name": "http", "port": port, "targetPort": "http"}]);
        let selector = json!({"app": name});
        says(&format!("service/{name}"), "/spec", [("/ports", ports), ("/selector", selector)]);
    }
    says("service/appinfo", "/spec", [("/type", json!("NodePort"))]);
}

/// Readiness is asked each second, liveness with patience.
#[test]
fn probes_ask_what_tells_the_one_from_the_other() {
    for (name, ready, alive, failures) in
        [("appinfo", "/readyz", "/healthz", 3), ("prometheus", "/-/ready", "/-/healthy", 6)]
    {
        let ready = json!({"httpGet": {"path": ready, "port": "http"}, "periodSeconds": 1});
        let alive = json!({
            "httpGet": {"path": alive, "port": "http"},
            "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": failures,
        });
        let probes = [("/readinessProbe", ready), ("/livenessProbe", alive)];
        says(&format!("deployment/{name}"), CONTAINER, probes);
    }
}

/// No request is lost in a rollout: a new pod is ready before an old one stops, and Kubernetes
/// kills only when the drain is over and some seconds have gone by.
#[test]
fn a_rollout_leaves_the_pods_their_time() {
    assert!(help().contains("[APPINFO_DRAIN; default: 5]"));
    says("deployment/appinfo", POD, [("/terminationGracePeriodSeconds", json!(15))]);
    let strategy = json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    says("deployment/appinfo", "/spec", [("/strategy", strategy)]);
}

#[test]
fn a_pod_asks_for_little_and_is_held_to_it() {
    let asked = json!({"requests": {"cpu": "10m", "memory": "4Mi"}, "limits": {"memory": "96Mi"}});
    says("deployment/appinfo", CONTAINER, [("/resources", asked)]);
}

/// The user is the image's own: a number, so that Kubernetes can tell that it is not root. The program is told nothing:
/// it finds its labels by the image's link, its name and namespace in the two variables that it
/// knows, and the rest by default.
#[test]
fn a_pod_gives_the_program_what_it_looks_for() {
    assert!(text("Containerfile").contains("\nUSER 65532:65532\n"));
    assert!(text("justfile").contains("ln -s podinfo/labels \"$root/etc/labels\"\n"));
    assert!(help().contains("[APPINFO_LABELS; default: /etc/labels]"));
    let field = |name: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": name}});
    let mut labels = field("metadata.labels");
    labels["path"] = json!("labels");
    let volumes = json!([{"name": "podinfo", "downwardAPI": {"items": [labels]}}]);
    says("deployment/appinfo", POD, [("/volumes", volumes)]);
    let mounts = json!([{"name": "podinfo", "mountPath": "/etc/podinfo"}]);
    let env = json!([
        {"name": "MY_POD_NAME", "valueFrom": field("metadata.name")},
        {"name": "MY_POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
    ]);
    says("deployment/appinfo", CONTAINER, [("/volumeMounts", mounts), ("/env", env)]);
}

/// From Prometheus' pod by its account and the binding to the one thing that it may do.
#[test]
fn prometheus_may_read_the_pods_of_its_namespace_and_nothing_else() {
    says("deployment/prometheus", POD, [("/serviceAccountName", json!("prometheus"))]);
    let subjects = json!([{"kind": "ServiceAccount", "name": "prometheus"}]);
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"});
    says("rolebinding/prometheus", "", [("/subjects", subjects), ("/roleRef", role)]);
    let rules =
        json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]);
    says("role/prometheus", "", [("/rules", rules)]);
    let rbac = all().iter().map(id).filter(|it| it.contains("role")).count();
    assert_eq!(rbac, 2, "there is no other role");
}

/// The files that the arguments name are the ConfigMap's, and what is written goes to a volume.
#[test]
fn prometheus_finds_its_configuration_and_a_place_for_its_data() {
    let args = ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"];
    let mounts = json!([
        {"name": "config", "mountPath": "/etc/prometheus", "readOnly": true},
        {"name": "data", "mountPath": "/prometheus"},
    ]);
    says("deployment/prometheus", CONTAINER, [("/args", json!(args)), ("/volumeMounts", mounts)]);
    let volumes = json!([
        {"name": "config", "configMap": {"name": "prometheus"}},
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
    ]);
    says("deployment/prometheus", POD, [("/volumes", volumes)]);
    let config = named("configmap/prometheus");
    let files: Vec<_> = config["data"].as_object().expect("it has files").keys().collect();
    assert_eq!(files, ["prometheus.yml", "rules.yml"]);
    // What is pinned stays what was tested.
    let pinned =
        Regex::new(r"^docker\.io/prom/prometheus:v\d+\.\d+\.\d+-distroless$").expect("it is right");
    let prometheus = named("deployment/prometheus");
    let image = prometheus["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    assert!(image.is_some_and(|image| pinned.is_match(image)), "{image:?}");
}
