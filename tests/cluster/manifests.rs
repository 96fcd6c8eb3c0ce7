//! The manifests: that Kubernetes accepts them, that a linter finds nothing wrong, and that they
//! agree with each other. (`the_tutorial_runs_on_the_cluster_that_is_named` deploys them all in a
//! namespace that enforces the strictest pod policy, `restricted`.)

use crate::common::*;
use crate::objects::{all, all_files, id, leaves, named, of_kind, values_at};
use crate::tutorial::api::selects;
use crate::tutorial::help;

#[test]
fn kubernetes_schemas_old_and_new_accept_every_manifest() {
    needs!("kubernetes-validate");
    for version in ["1.30", "1.37"] {
        let mut validate = Command::new("kubernetes-validate");
        validate.args(["--strict", "--kubernetes-version", version]).args(all_files());
        let output = validate.output().expect("it runs");
        let printed =
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // It only warns of a kind that it has no schema for.
        let valid = printed.lines().filter(|line| line.starts_with("INFO ")).count();
        assert_eq!(valid, all().len(), "Kubernetes {version}: {printed}");
    }
}

/// The checks of checkov, a linter, that the YAML files of a folder fail. checkov.yaml has those
/// that are left out.
fn complaints(folder: &Path) -> BTreeSet<String> {
    let mut checkov = Command::new("checkov");
    let settings = repository().join("tests/cluster/checkov.yaml");
    checkov.arg("--config-file").arg(settings).arg("--directory").arg(folder);
    let report = run(checkov.args(["--soft-fail", "--output", "json"]));
    let report: Value = serde_json::from_str(&report).expect("it prints JSON");
    assert!(report["summary"]["passed"].as_u64() > Some(50), "it checks: {report}");
    let failed = report["results"]["failed_checks"].as_array().expect("a list").iter();
    failed.map(|check| check["check_id"].as_str().expect("it has a name").to_owned()).collect()
}

#[test]
fn a_linter_finds_no_fault_with_the_manifests() {
    needs!("checkov");
    assert_eq!(complaints(&repository().join("manifests")), BTreeSet::new());
    // These it would find.
    let (folder, mut manifest) = (Folder::new(), text("manifests/appinfo.yaml"));
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
        assert!(manifest.contains(old), "it says {old:?}: {manifest}");
        manifest = manifest.replacen(old, new, 1);
        expected.insert(check.to_owned());
    }
    std::fs::write(folder.path().join("spoilt.yaml"), manifest).expect("it can be written");
    let found = complaints(folder.path());
    assert!(found.is_superset(&expected), "{expected:?} are not all in {found:?}");
}

/// kubectl puts everything into its current namespace, and OpenShift's policy `restricted-v2` has
/// user and group IDs of its own for each namespace.
/// <https://docs.redhat.com/en/documentation/openshift_container_platform/4.19/html/authentication_and_authorization/managing-pod-security-policies>
#[test]
fn manifests_leave_namespace_and_user_to_the_cluster() {
    let users = ["runAsUser", "runAsGroup", "fsGroup", "supplementalGroups", "seLinuxOptions"];
    for leaf in all().iter().flat_map(|object| leaves("", object)) {
        let (place, _) = leaf.split_once('=').expect("it has a value");
        let is_left = |field| field != "namespace" && !users.contains(&field);
        assert!(place.split('/').all(is_left), "{leaf}");
    }
}

/// The server fills in what is missing, as a part of the object that `kubectl create` owns, and
/// `kubectl apply --server-side` conflicts with it. (On Kubernetes 1.36 there were no others.)
#[test]
fn every_field_reference_has_its_api_version() {
    let leaves: Vec<_> = all().iter().flat_map(|object| leaves("", object)).collect();
    let count = |end: &str| leaves.iter().filter(|leaf| leaf.contains(end)).count();
    assert_ne!(count("/fieldRef/fieldPath="), 0);
    assert_eq!(count("/fieldRef/apiVersion=v1"), count("/fieldRef/fieldPath="));
}

/// A Deployment owns every pod that its selector matches.
#[test]
fn each_deployment_selects_its_own_pods_and_no_others() {
    let deployments = of_kind("Deployment");
    for owner in &deployments {
        let selector = &owner["spec"]["selector"]["matchLabels"];
        let is_selected = |other: &&Value| selects(selector, &other["spec"]["template"]);
        let selected: Vec<_> = deployments.iter().filter(is_selected).map(id).collect();
        assert_eq!(selected, [id(owner)]);
    }
}

/// `targetPort: http` finds the port of that name in each pod.
#[test]
fn a_service_reaches_its_pods_by_the_name_of_a_port() {
    for (name, count) in [("appinfo", 3), ("prometheus", 1)] {
        let service = named(&format!("service/{name}"))["spec"].take();
        let mut pods = of_kind("Deployment");
        pods.retain(|it| selects(&service["selector"], &it["spec"]["template"]));
        assert_eq!(pods.len(), count, "{name}");
        for pod in &pods {
            let ports = &pod["spec"]["template"]["spec"]["containers"][0]["ports"];
            assert_eq!(service["ports"][0]["targetPort"], ports[0]["name"], "{}", id(pod));
            assert_eq!(service["ports"][0]["port"], ports[0]["containerPort"], "{}", id(pod));
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

/// A new pod is ready before an old one stops, and Kubernetes kills that some time after its drain.
#[test]
fn a_rollout_leaves_the_pods_their_time() {
    assert!(help().contains("[APPINFO_DRAIN; default: 5]"));
    let deployment = named("deployment/appinfo");
    let pod = &deployment["spec"]["template"]["spec"];
    assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(5 + 10), "{pod}");
    let strategy = json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}});
    assert_eq!(deployment["spec"]["strategy"], strategy);
    // A limit on CPU would slow responses down on a node that has time to spare.
    assert!(pod["containers"][0]["resources"]["limits"]["cpu"].is_null());
}

#[test]
fn only_prometheus_may_read_pods_and_nothing_else() {
    let rules = ["apiGroups=", "resources=pods", "verbs=get", "verbs=list", "verbs=watch"];
    assert_eq!(values_at("/rules/"), rules.map(str::to_owned).into());
    assert_eq!(values_at("/kind=Cluster"), BTreeSet::new(), "no role in other namespaces");
    // No other pod has a token.
    assert_eq!(named("serviceaccount/prometheus")["automountServiceAccountToken"], false);
    for deployment in of_kind("Deployment") {
        let has_token = &deployment["spec"]["template"]["spec"]["automountServiceAccountToken"];
        assert_eq!(*has_token, id(&deployment) == "deployment/prometheus", "{}", id(&deployment));
    }
}
