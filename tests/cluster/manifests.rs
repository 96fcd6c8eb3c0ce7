//! The manifests: that Kubernetes accepts them, that a linter finds nothing wrong, and that they
//! agree with each other. (`the_tutorial_runs_on_the_cluster_that_is_named` deploys them all in a
//! namespace that enforces the strictest pod policy, `restricted`.)

use crate::common::*;
use crate::objects::{self, all, all_files, id, named, of_kind};
use crate::tutorial::api::selects;
use crate::tutorial::{help, matches};

#[test]
fn kubernetes_schemas_old_and_new_accept_every_manifest() {
    needs!("kubernetes-validate");
    for version in ["1.30", "1.37"] {
        let mut validate = command("kubernetes-validate --strict --kubernetes-version");
        let printed = run(validate.arg(version).args(all_files()));
        // It only warns of a kind that it has no schema for.
        let valid = printed.lines().filter(|line| line.starts_with("INFO ")).count();
        assert_eq!(valid, all().len(), "Kubernetes {version}: {printed}");
    }
}

/// checkov.yaml has the checks that are left out.
#[test]
fn a_linter_finds_no_fault_with_the_manifests() {
    needs!("checkov");
    let mut checkov = command("checkov --config-file tests/cluster/checkov.yaml --output json");
    let report = run(checkov.arg("--soft-fail").current_dir(repository()));
    let report: Value = serde_json::from_str(&report).expect("it prints JSON");
    let checks = |result: &str| -> BTreeSet<String> {
        let checks = report["results"][result].as_array().expect("a list").iter();
        checks.map(|it| format!("{} {}", it["check_id"], it["resource"]).replace('"', "")).collect()
    };
    // Prometheus needs a token, to find the pods; no other pod has one.
    let token = "CKV_K8S_38 Deployment.default.prometheus".to_owned();
    assert_eq!(checks("failed_checks"), [token].into());
    for check in [
        "CKV_K8S_8",  // a liveness probe
        "CKV_K8S_13", // a limit on memory
        "CKV_K8S_14", // a fixed tag
        "CKV_K8S_16", // not privileged
        "CKV_K8S_17", // not in the host's namespaces
        "CKV_K8S_22", // a file system that cannot be written to
        "CKV_K8S_23", // not root
        "CKV_K8S_31", // seccomp
        "CKV_K8S_37", // no capabilities
    ] {
        let check = format!("{check} Deployment.default.appinfo");
        assert!(checks("passed_checks").contains(&check), "{check}: {report}");
    }
}

/// kubectl puts everything into its current namespace, and OpenShift's policy `restricted-v2` has
/// user and group IDs of its own for each namespace.
/// <https://docs.redhat.com/en/documentation/openshift_container_platform/4.19/html/authentication_and_authorization/managing-pod-security-policies>
#[test]
fn manifests_leave_namespace_and_user_to_the_cluster() {
    let fields = "namespace|runAsUser|runAsGroup|fsGroup|supplementalGroups|seLinuxOptions";
    assert_eq!(matches(&format!("(?m)^[ -]*({fields}):"), &objects::text()), BTreeSet::new());
}

/// The server fills in what is missing, as a part of the object that `kubectl create` owns, and
/// `kubectl apply --server-side` conflicts with it. (On Kubernetes 1.36 there were no others.)
#[test]
fn every_field_reference_has_its_api_version() {
    let references = matches(r"fieldRef:\s+(\w.*)", &objects::text());
    assert_eq!(references, ["apiVersion: v1".to_owned()].into());
}

/// A Deployment owns every pod that its selector matches. A Service reaches each by the name of its
/// port.
#[test]
fn selectors_match_the_pods_they_should_and_no_others() {
    let deployments = of_kind("Deployment");
    let selected = |selector: &Value| -> Vec<&Value> {
        let is_selected = |other: &&Value| selects(selector, &other["spec"]["template"]);
        deployments.iter().filter(is_selected).collect()
    };
    for owner in &deployments {
        assert_eq!(selected(&owner["spec"]["selector"]["matchLabels"]), [owner]);
    }
    for (name, count) in [("appinfo", 3), ("prometheus", 1)] {
        let service = &named(&format!("service/{name}"))["spec"];
        let pods = selected(&service["selector"]);
        assert_eq!(pods.len(), count, "{name}");
        for pod in pods {
            let port = &pod["spec"]["template"]["spec"]["containers"][0]["ports"][0];
            assert_eq!(service["ports"][0]["targetPort"], port["name"], "{}", id(pod));
            assert_eq!(service["ports"][0]["port"], port["containerPort"], "{}", id(pod));
        }
    }
}

/// The releases are compared, so nothing else may make a difference.
#[test]
fn canaries_differ_from_stable_in_name_labels_and_image() {
    let rest = |name: &str| {
        let mut spec = named(name)["spec"].take();
        let labels = ["/selector/matchLabels", "/template/metadata/labels"];
        for place in labels.into_iter().chain(["/template/spec/containers/0/image"]) {
            spec.pointer_mut(place).expect("it has one").take();
        }
        spec
    };
    for canary in ["deployment/appinfo-canary-broken", "deployment/appinfo-canary-fixed"] {
        assert_eq!(rest(canary), rest("deployment/appinfo"), "{canary}");
    }
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
    let pods =
        json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]);
    assert_eq!(named("role/prometheus")["rules"], pods);
    assert_eq!(of_kind("Role").len(), 1);
    assert!(!objects::text().contains("kind: Cluster"), "no role in other namespaces");
    assert_eq!(named("serviceaccount/prometheus")["automountServiceAccountToken"], false);
}
