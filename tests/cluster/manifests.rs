//! The manifests: that Kubernetes accepts them, that a linter finds nothing wrong, and that they agree
//! with each other, the image and the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::slice;

use serde_json::{Value, json};

use crate::common::{Folder, have, repository, run, text};
use crate::objects::{all, all_files, id, leaves, named, of_kind};
use crate::tutorial::help;

/// The stable Deployment.
const STABLE: &str = "manifests/appinfo.yaml";

/// What a place of an object holds; null if nothing.
fn at(object: &Value, place: &str) -> Value {
    object.pointer(place).cloned().unwrap_or_default()
}

/// The pods and the only container of a Deployment.
fn pod_of(deployment: &Value) -> (Value, Value) {
    let mut pod = at(deployment, "/spec/template/spec");
    let mut containers =
        pod.as_object_mut().expect("a pod").remove("containers").expect("there are");
    assert_eq!(containers.as_array().map(Vec::len), Some(1), "{containers}");
    (pod, containers[0].take())
}

/// Whether an object has all labels of a selector.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().expect("a selector has labels");
    !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value)
}

/// A manifest with one thing changed.
fn spoilt(manifest: &str, old: &str, new: &str) -> String {
    assert!(manifest.contains(old), "it says {old:?}: {manifest}");
    manifest.replacen(old, new, 1)
}

/// Whether kubernetes-validate, which has the schemas of the Kubernetes API, knows every object in these
/// files and finds nothing wrong; and its output.
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

/// The checks of checkov, a linter, that the YAML files of a folder fail. checkov.yaml has those that
/// are left out.
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
    // These it would find.
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

/// Pod Security Standards, `restricted`, and OpenShift's `restricted-v2`, which has user and group IDs
/// of its own for each namespace.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
/// <https://docs.redhat.com/en/documentation/openshift_container_platform/4.19/html/authentication_and_authorization/managing-pod-security-policies>
#[test]
fn every_pod_meets_the_strictest_policies() {
    let forbidden = "runAsUser runAsGroup fsGroup supplementalGroups seLinuxOptions add sysctls procMount \
                     hostNetwork hostPID hostIPC hostPort privileged windowsOptions appArmorProfile \
                     initContainers ephemeralContainers";
    let forbidden: Vec<_> = forbidden.split_whitespace().collect();
    let deployments = of_kind("Deployment");
    assert_eq!(deployments.len(), 4);
    for deployment in deployments {
        let (pod, container) = pod_of(&deployment);
        let demanded = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        assert_eq!(pod["securityContext"], demanded, "{}", id(&deployment));
        let demanded = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        });
        assert_eq!(container["securityContext"], demanded, "{}", id(&deployment));
        for leaf in leaves("", &deployment["spec"]["template"]) {
            let (place, _) = leaf.split_once('=').expect("it has a value");
            assert!(!place.split('/').any(|field| forbidden.contains(&field)), "{leaf}");
        }
        for volume in pod["volumes"].as_array().expect("it has volumes") {
            let allowed = ["configMap", "downwardAPI", "emptyDir"];
            assert!(allowed.iter().any(|kind| volume.get(kind).is_some()), "{volume}");
            assert_eq!(volume.as_object().map(serde_json::Map::len), Some(2), "{volume}");
        }
    }
}

/// The server fills in what a manifest leaves out, as a part of the object that `kubectl create` owns;
/// `kubectl apply --server-side` then conflicts with it. (On Kubernetes 1.36 there were no others.)
#[test]
fn every_field_reference_has_its_api_version() {
    for deployment in of_kind("Deployment") {
        let leaves = leaves("", &deployment);
        let references = leaves.iter().filter(|leaf| leaf.contains("/fieldRef/"));
        let (versions, paths): (Vec<_>, Vec<_>) =
            references.partition(|leaf| leaf.ends_with("/apiVersion=v1"));
        assert_eq!(versions.len(), paths.len(), "{}: {paths:?}", id(&deployment));
    }
}

/// So `kubectl` puts them into its current namespace.
#[test]
fn no_manifest_names_a_namespace() {
    let leaves: Vec<_> = all().iter().flat_map(|object| leaves("", object)).collect();
    assert!(!leaves.iter().any(|leaf| leaf.contains("/namespace=")), "{leaves:?}");
}

/// A Deployment owns every pod that its selector matches.
#[test]
fn each_deployment_selects_its_own_pods_and_no_others() {
    let deployments = of_kind("Deployment");
    for (number, owner) in deployments.iter().enumerate() {
        let selector = at(owner, "/spec/selector/matchLabels");
        for (other, deployment) in deployments.iter().enumerate() {
            let selected = selects(&selector, &at(deployment, "/spec/template/metadata/labels"));
            assert_eq!(selected, number == other, "{} selects {}", id(owner), id(deployment));
        }
    }
}

/// The releases are compared, so nothing else may make a difference.
#[test]
fn canaries_differ_from_stable_in_name_labels_and_image() {
    let names = ["appinfo", "appinfo-canary-broken", "appinfo-canary-fixed"];
    let [stable, broken, fixed] = names.map(|name| {
        let mut deployment = named(&format!("deployment/{name}"));
        for place in [
            "/metadata",
            "/spec/selector/matchLabels",
            "/spec/template/metadata/labels",
            "/spec/template/spec/containers/0/image",
        ] {
            deployment.pointer_mut(place).expect("it has one").take();
        }
        deployment
    });
    assert_eq!(broken, stable);
    assert_eq!(fixed, stable);
}

/// From the Service's named port to the port of its pods, their image and the program.
#[test]
fn a_service_reaches_its_pods_by_the_name_of_a_port() {
    assert!(help().contains("[APPINFO_LISTEN; default: every address, port 8080]"));
    assert!(text("Containerfile").contains("\nEXPOSE 8080\n"));
    let deployments = of_kind("Deployment");
    for (name, port, count) in [("appinfo", 8080, 3), ("prometheus", 9090, 1)] {
        let service = named(&format!("service/{name}"));
        let pods: Vec<_> = deployments
            .iter()
            .filter(|it| {
                selects(
                    &at(&service, "/spec/selector"),
                    &it["spec"]["template"]["metadata"]["labels"],
                )
            })
            .collect();
        assert_eq!(pods.len(), count, "{name}");
        // `kubectl proxy` and the tutorial name the port as well.
        let ports = json!([{"name": "http", "port": port, "targetPort": "http"}]);
        assert_eq!(service["spec"]["ports"], ports);
        for pod in pods {
            let (_, container) = pod_of(pod);
            assert_eq!(container["ports"], json!([{"name": "http", "containerPort": port}]));
            for probe in ["readinessProbe", "livenessProbe"] {
                assert_eq!(container[probe]["httpGet"]["port"], "http", "{}", id(pod));
            }
        }
    }
    assert_eq!(named("service/appinfo")["spec"]["type"], "NodePort");
}

/// Readiness ends with a drain, which liveness must survive; a restart is the last resort.
#[test]
fn probes_ask_for_readiness_often_and_for_liveness_patiently() {
    for (name, ready, alive) in
        [("appinfo", "/readyz", "/healthz"), ("prometheus", "/-/ready", "/-/healthy")]
    {
        let (_, container) = pod_of(&named(&format!("deployment/{name}")));
        let (readiness, liveness) = (&container["readinessProbe"], &container["livenessProbe"]);
        assert_eq!(
            (&readiness["httpGet"]["path"], &readiness["periodSeconds"]),
            (&json!(ready), &json!(1))
        );
        assert_eq!(liveness["httpGet"]["path"], alive);
        let patience =
            liveness["periodSeconds"].as_u64().zip(liveness["failureThreshold"].as_u64());
        assert!(patience.is_some_and(|(period, failures)| period * failures >= 30), "{liveness}");
        // A limit on CPU would slow responses down on a node that has time to spare.
        assert!(container["resources"]["limits"]["cpu"].is_null(), "{name}");
    }
}

/// A new pod is ready before an old one stops, and that is killed only some seconds after its drain.
#[test]
fn a_rollout_leaves_the_pods_their_time() {
    assert!(help().contains("[APPINFO_DRAIN; default: 5]"));
    let deployment = named("deployment/appinfo");
    let (pod, _) = pod_of(&deployment);
    assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(5 + 10), "{pod}");
    let strategy = at(&deployment, "/spec/strategy/rollingUpdate");
    assert_eq!((&strategy["maxUnavailable"], &strategy["maxSurge"]), (&json!(0), &json!(1)));
}

/// The image has a link to the file. (The tutorial shows the two variables.)
#[test]
fn the_program_finds_its_labels_file() {
    assert!(help().contains("[APPINFO_LABELS; default: /etc/labels]"));
    assert!(text("justfile").contains("ln -s podinfo/labels \"$root/etc/labels\"\n"));
    let (pod, container) = pod_of(&named("deployment/appinfo"));
    let [volume, mount] = [&pod["volumes"][0], &container["volumeMounts"][0]];
    assert_eq!(volume["name"], mount["name"]);
    let file = &volume["downwardAPI"]["items"][0];
    assert_eq!((&file["path"], &mount["mountPath"]), (&json!("labels"), &json!("/etc/podinfo")));
    assert_eq!(file["fieldRef"]["fieldPath"], "metadata.labels");
}

#[test]
fn prometheus_may_read_the_pods_of_its_namespace_only() {
    let subjects = json!([{"kind": "ServiceAccount", "name": "prometheus"}]);
    let role =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"});
    let binding = named("rolebinding/prometheus");
    assert_eq!((&binding["subjects"], &binding["roleRef"]), (&subjects, &role));
    let rules =
        json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]);
    assert_eq!(named("role/prometheus")["rules"], rules);
    assert_eq!(all().iter().filter(|it| id(it).contains("role")).count(), 2, "no other role");
    // No other pod has a token.
    assert_eq!(named("serviceaccount/prometheus")["automountServiceAccountToken"], false);
    for deployment in of_kind("Deployment") {
        let (pod, _) = pod_of(&deployment);
        let has_account = pod["serviceAccountName"] == "prometheus";
        assert_eq!(pod["automountServiceAccountToken"], has_account, "{}", id(&deployment));
    }
}
