//! Clusters of every kind: their nodes' names and addresses, their policies, and objects that were
//! changed before. The real kubectl runs the pages' commands on a make-believe cluster.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::{have, not_asked_for, repository, run};
use crate::objects::named;
use crate::tutorial::make_believe::{Cluster, node};
use crate::tutorial::namespace::Namespace;
use crate::tutorial::steps;

/// The commands of the block that contains these words.
fn block(words: &str) -> String {
    let found = steps().into_iter().find(|step| step.commands.contains(words));
    found.unwrap_or_else(|| panic!("no block says {words}")).commands
}

/// Acts in a namespace of its own, first with bash, then with zsh.
fn in_both_shells(act: impl Fn(&Namespace)) {
    if !have(&["bash", "zsh", "kubectl"]) {
        return;
    }
    for shell in ["bash", "zsh"] {
        let mut access = Cluster::start(node(&["127.0.0.1"])).access();
        access.shell = shell;
        act(&Namespace::create(&access));
    }
}

/// Runs the commands in the namespace's shell, and returns what they print.
fn types(namespace: &Namespace, commands: &str) -> String {
    run(&mut namespace.shell(&format!("set -euo pipefail\n{commands}")))
}

/// An object as the cluster has it.
fn get(namespace: &Namespace, name: &str) -> Value {
    let told = namespace.kubectl(&format!("get {name} -o json"));
    serde_json::from_str(&told).expect("it tells JSON")
}

/// The addresses are kind's.
#[test]
fn the_url_is_right_for_every_kind_of_node_address() {
    if !have(&["bash", "zsh", "kubectl"]) {
        return;
    }
    let (four, six) = ("172.18.0.2", "fc00:f853:ccd:e793::2");
    for (addresses, host) in [
        (vec![four], "172.18.0.2"),
        (vec![four, six], "172.18.0.2"),
        (vec![six, four], "[fc00:f853:ccd:e793::2]"),
        (vec![six], "[fc00:f853:ccd:e793::2]"),
    ] {
        let mut access = Cluster::start(node(&addresses)).access();
        for shell in ["bash", "zsh"] {
            access.shell = shell;
            let namespace = Namespace::create(&access);
            namespace.kubectl("create -f manifests/appinfo-service.yaml");
            let port = get(&namespace, "service/appinfo")["spec"]["ports"][0]["nodePort"].clone();
            let said = types(&namespace, &format!("{}echo $URL $no_proxy", block("NODE=")));
            let expected = format!("http://{host}:{port} {},\n", addresses[0]);
            assert_eq!(said, expected, "{addresses:?} in {shell}");
        }
    }
}

/// kind: `pkg/cluster/internal/providers` sets the provider's ID; k3s: its own cloud controller.
#[test]
fn just_knows_a_cluster_by_its_nodes() {
    if !have(&["bash", "just", "kubectl"]) {
        return;
    }
    let provider = |id: &str| json!({"spec": {"providerID": id}});
    let label = |key: &str, value: &str| json!({"metadata": {"labels": {key: value}}});
    for (context, says, cluster) in [
        ("kind-canary", provider("kind://docker/canary/canary-control-plane"), "kind canary"),
        ("work", provider("kind://podman/canary/canary-worker"), "kind canary"),
        ("docker-desktop", provider("kind://docker/desktop/desktop-worker"), "docker"),
        ("docker-desktop", json!({}), "docker"),
        ("colima-class", provider("k3s://colima-class"), "docker"),
        ("k3d-a", provider("k3s://k3d-a-server-0"), "k3d a"),
        ("work", provider("k3s://k3d-a-b-agent-1"), "k3d a-b"),
        ("default", provider("k3s://laptop"), "k3s"),
        ("class", label("minikube.k8s.io/name", "class"), "minikube class"),
        ("work", label("microk8s.io/cluster", "true"), "microk8s"),
        ("gke_canary", provider("gce://canary/europe-west4-a/gke-1"), "unknown"),
        // Without access to the nodes, by the usual names.
        ("kind-canary", Value::Null, "kind canary"),
        ("k3d-a-b", Value::Null, "k3d a-b"),
        ("minikube", Value::Null, "minikube minikube"),
        ("orbstack", Value::Null, "docker"),
        ("default", Value::Null, "unknown"),
    ] {
        let access = Cluster::start(says.clone()).access();
        let at = |program: &str| {
            let mut command = Command::new(program);
            command.env("KUBECONFIG", access.kubeconfig.as_ref().expect("it has one"));
            command.current_dir(repository());
            command
        };
        if context != access.context {
            run(at("kubectl").args(["config", "rename-context", &access.context, context]));
        }
        assert_eq!(run(at("just").args(["cluster", context])).trim(), cluster, "{context}: {says}");
    }
}

/// kubectl up to 1.30 keeps the probes in it, so it runs but never gets ready.
#[test]
fn a_copied_pod_is_awaited_with_probes_or_without() {
    // Debian's kubectl, which .ci/run takes where there is no other, is older than the tutorial's.
    if have(&["kubectl"])
        && !run(Command::new("kubectl").args(["debug", "--help"])).contains("--profile")
    {
        return not_asked_for("needs kubectl 1.27, as the tutorial does");
    }
    in_both_shells(|namespace| {
        namespace.kubectl("create -f manifests/appinfo.yaml");
        let commands = block("--copy-to").replace("--timeout=2m", "--timeout=10s");
        let (commands, rest) =
            commands.split_once("kubectl exec ").expect("it looks into the copy");
        let delete = rest.lines().nth(1).expect("it deletes the copy");
        let said = types(namespace, &format!("{}{commands}{delete}", block("POD_NAME=$(")));
        assert!(said.starts_with("pod/variables condition met\n"), "{said}");
    });
}

/// Such as the excursion's errors, or another image.
#[test]
fn catching_up_and_starting_over_clear_what_was_set() {
    in_both_shells(|namespace| {
        let catch_up = block("kubectl replace -f manifests\n");
        let with_canary = catch_up.replace("-f manifests", "-f manifests/canary/fixed.yaml");
        let with_canary = with_canary.lines().take(2).collect::<Vec<_>>().join("\n");

        // With nothing there, all of it is created.
        types(namespace, &catch_up);
        types(namespace, &with_canary);
        let node_port =
            || get(namespace, "service/appinfo")["spec"]["ports"][0]["nodePort"].clone();
        let before = node_port();
        types(
            namespace,
            "kubectl set env deployment -l app=appinfo APPINFO_ERROR_RATE=8 APPINFO_DELAY=300
         kubectl set image deployment/appinfo appinfo-containers=localhost/appinfo:3
         kubectl scale --replicas=5 deployment/appinfo deployment/appinfo-canary-fixed",
        );
        types(namespace, &catch_up);
        types(namespace, &with_canary);
        for (name, replicas) in [("deployment/appinfo", 3), ("deployment/appinfo-canary-fixed", 1)]
        {
            let mut expected = named(name)["spec"].take();
            expected["replicas"] = json!(replicas);
            assert_eq!(get(namespace, name)["spec"], expected, "{name}");
        }
        assert_eq!(node_port(), before, "the URL stays");

        types(namespace, &block("kubectl wait --for=delete"));
        let left = namespace.kubectl("get deployments,services,pods -o name");
        assert_eq!(left, "", "nothing is left");
    });
}

/// create, apply and replace agree: none changes what another has made.
#[test]
fn what_was_created_can_be_applied_and_replaced() {
    if !have(&["kubectl"]) {
        return;
    }
    let namespace = Namespace::create(&Cluster::start(node(&["127.0.0.1"])).access());
    namespace.kubectl("create -f manifests");
    let pods = namespace.kubectl("get pods -o name");
    for command in ["apply", "replace", "apply"] {
        namespace.kubectl(&format!("{command} -f manifests"));
        assert_eq!(
            get(&namespace, "deployment/appinfo")["spec"],
            named("deployment/appinfo")["spec"]
        );
        assert_eq!(namespace.kubectl("get pods -o name"), pods, "no pod is replaced");
    }
}

#[test]
fn without_nodeport_the_service_works_through_the_proxy() {
    in_both_shells(|namespace| {
        namespace.kubectl("create -f manifests/appinfo.yaml");
        types(namespace, &block("sed 's/NodePort/ClusterIP/'"));
        assert_eq!(get(namespace, "service/appinfo")["spec"]["type"], "ClusterIP");
        let path = "services/appinfo:http/proxy/v1/appinfo";
        let path = format!("/api/v1/namespaces/{}/{path}", namespace.name);
        let response = namespace.kubectl(&format!("get --raw {path}"));
        assert!(response.contains(r#""AppName":"appinfo""#), "{response}");
    });
}

#[test]
fn a_limit_on_cpu_can_be_added_for_a_quota() {
    if !have(&["bash", "kubectl"]) {
        return;
    }
    let namespace = Namespace::create(&Cluster::start(node(&["127.0.0.1"])).access());
    namespace.kubectl("create -f manifests/appinfo.yaml");
    let readme = crate::common::text("README.md");
    let (_, command) = readme.split_once("`kubectl set resources ").expect("README has it");
    let (command, _) = command.split_once('`').expect("it ends");
    namespace.kubectl(&format!("set resources {command}"));
    let container =
        &get(&namespace, "deployment/appinfo")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"], json!({"cpu": "500m", "memory": "96Mi"}));
}

/// README's example for compose.
#[test]
fn the_health_check_of_compose_is_the_programs_own() {
    let readme = crate::common::text("README.md");
    let (_, example) = readme.split_once("```yaml\n").expect("README has it");
    let (example, _) = example.split_once("```").expect("it ends");
    let example: Value = serde_saphyr::from_str(example).expect("it is YAML");
    let service = &example["services"]["appinfo"];
    assert_eq!(
        service["image"],
        named("deployment/appinfo")["spec"]["template"]["spec"]["containers"][0]["image"]
    );
    assert_eq!(service["healthcheck"]["test"], json!(["CMD", "/appinfo", "--check"]));
    assert!(crate::common::text("Containerfile").contains("ENTRYPOINT [\"/appinfo\"]"));
}
