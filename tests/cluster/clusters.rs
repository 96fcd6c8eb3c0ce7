//! Clusters of every kind: their nodes' names and addresses, their policies, and objects that were
//! changed before. The real kubectl runs the pages' commands on a simulated cluster.

use crate::common::*;
use crate::objects::named;
use crate::tutorial::matches;
use crate::tutorial::namespace::{Access, Namespace};
use crate::tutorial::readme::block;
use crate::tutorial::simulated::Cluster;

/// Acts with bash, then with zsh, in a cluster whose node has these addresses.
fn in_both_shells(addresses: &[&str], act: impl Fn(&Namespace)) {
    needs!("bash", "zsh", "kubectl");
    for zsh in [false, true] {
        let access = Access { zsh, ..Cluster::with_addresses(addresses).access() };
        act(&Namespace::create(&access));
    }
}

/// Runs the commands in the namespace's shell, and returns what they print.
fn shell(namespace: &Namespace, commands: &str) -> String {
    run(&mut namespace.shell(&format!("set -euo pipefail\n{commands}")))
}

/// An object as the cluster has it.
fn get(namespace: &Namespace, name: &str) -> Value {
    let printed = namespace.kubectl(&format!("get {name} -o json"));
    serde_json::from_str(&printed).expect("it prints JSON")
}

/// The addresses are kind's.
#[test]
fn the_url_has_the_nodes_first_address() {
    let (four, six) = ("172.18.0.2", "fc00:f853:ccd:e793::2");
    for (addresses, host) in [([four, six], four), ([six, four], "[fc00:f853:ccd:e793::2]")] {
        in_both_shells(&addresses, |namespace| {
            namespace.kubectl("create -f manifests/appinfo-service.yaml");
            let port = &get(namespace, "service/appinfo")["spec"]["ports"][0]["nodePort"];
            let printed =
                shell(namespace, &format!("{}echo $URL $no_proxy", block("NODE=").commands));
            assert_eq!(printed, format!("http://{host}:{port} {},\n", addresses[0]));
        });
    }
}

/// kind: `pkg/cluster/internal/providers` sets the provider's ID; k3s: its own cloud controller.
#[test]
fn just_knows_a_cluster_by_its_nodes() {
    needs!("bash", "just", "kubectl");
    let folder = Folder::new();
    let file = folder.path().join("kubeconfig");
    for (context, provider, label, cluster) in [
        ("work", "kind://podman/canary/canary-worker", "", "kind canary"),
        ("docker-desktop", "kind://docker/desktop/desktop-worker", "", "docker"),
        ("colima-class", "k3s://colima-class", "", "docker"),
        ("work", "k3s://k3d-a-b-agent-1", "", "k3d a-b"),
        ("default", "k3s://laptop", "", "k3s"),
        ("class", "", "minikube.k8s.io/name", "minikube it"),
        ("work", "", "microk8s.io/cluster", "microk8s"),
        ("gke_canary", "gce://canary/europe-west4-a/gke-1", "", "unknown"),
        // Where the nodes do not tell, by the usual names.
        ("kind-canary", "", "", "kind canary"),
        ("k3d-a-b", "", "", "k3d a-b"),
        ("minikube", "", "", "minikube minikube"),
    ] {
        let labels = json!({"labels": {label: "it"}});
        let node = json!({"metadata": labels, "spec": {"providerID": provider}});
        let kubeconfig = Cluster::with_node(node).kubeconfig(context);
        fs::write(&file, kubeconfig.to_string()).expect("the folder can be written");
        let mut just = command(&format!("just cluster {context}"));
        just.current_dir(repository()).env("KUBECONFIG", &file);
        assert_eq!(run(&mut just).trim(), cluster, "{context}");
    }
}

/// TRAINING.md's commands.
#[test]
fn catching_up_and_starting_over_clear_what_was_set() {
    in_both_shells(&["127.0.0.1"], |namespace| {
        let catch_up = block("kubectl replace -f manifests\n").commands;
        let with_canary = catch_up.replace("-f manifests", "-f manifests/canary/fixed.yaml");
        let with_canary = with_canary.lines().take(2).collect::<Vec<_>>().join("\n");

        // With nothing there, all of it is created.
        shell(namespace, &catch_up);

        // What was created can be applied and replaced: its pod stays.
        namespace.kubectl("create -f manifests/canary/fixed.yaml");
        let pods = namespace.kubectl("get pods -o name");
        shell(namespace, &with_canary);
        assert_eq!(namespace.kubectl("get pods -o name"), pods);

        namespace.kubectl("set env deployment -l app=appinfo APPINFO_ERROR_RATE=8");
        let image = "appinfo-containers=localhost/appinfo:3";
        namespace.kubectl(&format!("set image deployment/appinfo {image}"));
        namespace.kubectl("scale --replicas=5 deployment -l app=appinfo");
        shell(namespace, &catch_up);
        shell(namespace, &with_canary);
        for (name, replicas) in [("deployment/appinfo", 3), ("deployment/appinfo-canary-fixed", 1)]
        {
            let mut expected = named(name)["spec"].take();
            expected["replicas"] = json!(replicas);
            assert_eq!(get(namespace, name)["spec"], expected, "{name}");
        }

        shell(namespace, &block("kubectl wait --for=delete").commands);
        assert_eq!(namespace.kubectl("get deployments,services,pods -o name"), "");
    });
}

/// README.md's advice for clusters whose policy forbids NodePort, or that have a quota.
#[test]
fn the_manifests_can_be_adapted_to_a_policy_and_a_quota() {
    let readme = text("README.md");
    let limit =
        matches("`(kubectl set resources [^`]*)`", &readme).pop_first().expect("it is there");
    in_both_shells(&["127.0.0.1"], |namespace| {
        namespace.kubectl("create -f manifests/appinfo.yaml");
        shell(namespace, &block("sed 's/NodePort/ClusterIP/'").commands);
        assert_eq!(get(namespace, "service/appinfo")["spec"]["type"], "ClusterIP");
        shell(namespace, &limit);
        let deployment = get(namespace, "deployment/appinfo");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["resources"]["limits"], json!({"cpu": "500m", "memory": "96Mi"}));
    });
}
