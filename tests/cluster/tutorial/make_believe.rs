//! A simulated cluster: as much of the Kubernetes API as the tutorial's kubectl uses, with real appinfo
//! processes as pods. An image is the program with a variant, the labels' volume is swapped as by the
//! kubelet, and the Service distributes connections at random, as kube-proxy does, and learns a moment
//! late that a pod ends.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tiny_http::{Header, Request, Response, Server};

use super::api::{discovery, failure, merge, table};
use super::namespace::Access;
use crate::common::{self, Folder, SIGTERM, pod::Pod, service::Service};
use crate::pod::{self, text};

/// How long a pod still gets connections after it was told to end: the reason for the program's drain.
const ENDPOINTS_LAG: Duration = Duration::from_secs(1);

/// The time of every event there.
const NOW: &str = "2026-11-22T00:00:00Z";

/// The node's path.
const NODE: &str = "/api/v1/nodes/node";

/// The running cluster.
#[derive(Clone)]
pub struct Cluster {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The API's objects by their paths: `/api/v1/namespaces/default/pods/appinfo-…`.
    objects: BTreeMap<String, Value>,
    /// The processes, by the paths of their pods.
    pods: BTreeMap<String, Pod>,
    /// How many pods there have been.
    started: usize,
    /// What distributes connections, once the node's port works.
    service: Option<Service>,
}

/// A node that has these addresses.
pub fn node(addresses: &[&str]) -> Value {
    let address = |address| json!({"type": "InternalIP", "address": address});
    let mut addresses: Vec<_> = addresses.iter().map(address).collect();
    addresses.insert(0, json!({"type": "Hostname", "address": "node"}));
    json!({"metadata": {"name": "node"}, "status": {"addresses": addresses}})
}

impl Cluster {
    /// A cluster of one node.
    pub fn start(mut node: Value) -> Cluster {
        let server = Server::http("127.0.0.1:0").expect("there is a free port");
        let address = server.server_addr().to_ip().expect("it has an address");
        let cluster = Cluster { address, state: Arc::default() };
        // Without a node, listing nodes is refused.
        if !node.is_null() {
            merge(&mut node, &json!({"apiVersion": "v1", "kind": "Node"}));
            cluster.state().objects.insert(NODE.to_owned(), node);
        }
        let api = cluster.clone();
        thread::spawn(move || server.incoming_requests().for_each(|request| api.answer(request)));
        cluster
    }

    /// A kubeconfig as users have it, and a kubectl that precedes the real one and lets this process do
    /// `port-forward`, whose protocol (SPDY) does not matter here.
    pub fn access(&self) -> Access {
        let folder = Folder::new();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("the folder can be written");
            path
        };
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "make-believe", "context": {"cluster": "c", "user": "u"}}],
        });
        let kubectl = format!(
            "#!/usr/bin/env bash\n\
             if [ \"$1\" = port-forward ]; then\n\
                 curl -s --noproxy '*' \"http://{}/port-forward/$2/$3\"\n\
                 exec tail -f /dev/null\n\
             fi\n\
             PATH=${{PATH#*:}} exec kubectl \"$@\"\n",
            self.address
        );
        common::run(Command::new("chmod").arg("+x").arg(file("kubectl", &kubectl)));
        Access {
            context: "make-believe".to_owned(),
            kubeconfig: Some(file("kubeconfig", &kubeconfig.to_string())),
            node: None,
            outside_images: false,
            shell: "bash",
            variables: Vec::new(),
            programs: Some(folder),
            release: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// Answers a request to the API.
    fn answer(&self, mut request: Request) {
        let mut body = Vec::new();
        request.as_reader().read_to_end(&mut body).expect("kubectl sends what it announces");
        let body =
            serde_json::from_slice(&body).unwrap_or_else(|_| copied_pod(request.url(), &body));
        let url = request.url().replace("%3D", "=").replace("%2C", ",");
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let (status, text) = if let Some(rest) = path.strip_prefix("/port-forward/") {
            (200, self.forward_port(rest))
        } else if let Some((_, path)) = path.split_once("/services/appinfo:http/proxy") {
            let service = self.state().service.as_ref().expect("there is one").address;
            let answer = common::get(service, path);
            (answer.status, answer.text().to_owned())
        } else if query.contains("sendInitialEvents=") {
            (422, failure(422, "Invalid").to_string())
        } else if query.contains("watch=") || path == "/openapi/v2" {
            // Nothing happens except by kubectl, so a watch has no events. And before 1.27 kubectl checks
            // objects itself, with these schemas (protobuf): there are none.
            (200, String::new())
        } else {
            let answer = match request.method().as_str() {
                "GET" => self.get(path, query),
                "POST" => Some(self.create(path, body)),
                "PATCH" => self.patch(path, &body),
                "PUT" => self.replace(path, body),
                "DELETE" => self.delete(path),
                other => panic!("no kubectl command of the tutorial sends {other} {path}"),
            };
            let as_table = |header: &Header| header.value.as_str().contains("as=Table");
            match answer {
                Some(it) if request.headers().iter().any(as_table) => (200, table(&it).to_string()),
                Some(it) => (200, it.to_string()),
                None => (404, failure(404, "NotFound").to_string()),
            }
        };
        let json: Header = "Content-Type: application/json".parse().expect("it is a header");
        let response = Response::from_string(text).with_status_code(status).with_header(json);
        // kubectl may have ended meanwhile.
        let _ = request.respond(response);
    }

    /// An object, a list of objects, or what the API says about itself.
    fn get(&self, path: &str, query: &str) -> Option<Value> {
        let state = self.state();
        if let Some(answer) = discovery(path).or_else(|| state.objects.get(path).cloned()) {
            return Some(answer);
        }
        let (_, resource) = path.rsplit_once('/')?;
        if !["services", "deployments", "pods", "nodes", "namespaces"].contains(&resource) {
            return None;
        }
        let parameter = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
        let selector = parameter("labelSelector=").unwrap_or_default();
        let selector: Value =
            selector.split(',').filter_map(|label| label.split_once('=')).collect();
        let name = parameter("fieldSelector=metadata.name=");
        let items = state.objects.iter().filter(|(other, object)| {
            other.rsplit_once('/').is_some_and(|(collection, _)| collection == path)
                && selects(&selector, object)
                && name.is_none_or(|name| object["metadata"]["name"] == name)
        });
        let items: Vec<_> = items.map(|(_, object)| object).collect();
        if resource == "nodes" && items.is_empty() {
            return None;
        }
        let metadata = json!({"resourceVersion": "1"});
        Some(json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}))
    }

    fn create(&self, collection: &str, mut object: Value) -> Value {
        let path = format!("{collection}/{}", text(&object["metadata"]["name"]));
        let metadata =
            json!({"uid": path, "resourceVersion": "1", "generation": 1, "creationTimestamp": NOW});
        merge(&mut object["metadata"], &metadata);
        match text(&object["kind"]) {
            "Service" if object["spec"]["type"] == "NodePort" => {
                object["spec"]["clusterIP"] = json!("10.96.0.10");
                object["spec"]["ports"][0]["nodePort"] = json!(self.open_node_port());
            }
            "Service" => {
                object["spec"]["clusterIP"] = json!("10.96.0.10");
                let mut state = self.state();
                state.service = Some(Service::new("", None));
                state.objects.insert(path.clone(), object.clone());
                state.deal();
            }
            // The tutorial's copy of a pod: its image has none of the program's endpoints.
            "Pod" => {
                let probed = object["spec"]["containers"][0].get("readinessProbe").is_some();
                let ready = if probed { "False" } else { "True" };
                let conditions = json!([{"type": "Ready", "status": ready}]);
                object["status"] = json!({"phase": "Running", "conditions": conditions});
            }
            _ => {}
        }
        self.state().objects.insert(path.clone(), object);
        self.roll_out(&path);
        self.state().objects[&path].clone()
    }

    /// Changes an object, and applies the change.
    fn patch(&self, path: &str, patch: &Value) -> Option<Value> {
        if let Some(path) = path.strip_suffix("/scale") {
            let mut scaled = self.patch(path, patch)?;
            merge(&mut scaled, &json!({"apiVersion": "autoscaling/v1", "kind": "Scale"}));
            return Some(scaled);
        }
        let mut state = self.state();
        merge(state.objects.get_mut(path)?, patch);
        for (key, value) in patch["metadata"]["labels"].as_object().into_iter().flatten() {
            state.pods.get_mut(path)?.label(key, text(value));
        }
        drop(state);
        self.roll_out(path);
        self.state().objects.get(path).cloned()
    }

    /// Replaces an object; what the server has chosen for it stays.
    fn replace(&self, path: &str, mut object: Value) -> Option<Value> {
        let mut state = self.state();
        let old = state.objects.get(path)?;
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp"] {
            object["metadata"][field] = old["metadata"][field].clone();
        }
        if object["kind"] == "Service" {
            for place in ["/spec/clusterIP", "/spec/ports/0/nodePort"] {
                let chosen = old.pointer(place).cloned().unwrap_or_default();
                let (object_place, field) = place.rsplit_once('/').expect("it has a parent");
                object.pointer_mut(object_place).expect("it is there")[field] = chosen;
            }
        }
        state.objects.insert(path.to_owned(), object);
        drop(state);
        self.roll_out(path);
        self.state().objects.get(path).cloned()
    }

    /// Deletes an object; with a Deployment its pods, with a namespace all that is in it.
    fn delete(&self, path: &str) -> Option<Value> {
        let mut state = self.state();
        let object = state.objects.remove(path)?;
        for pod in state.pods_of(&object) {
            self.end(&mut state, pod);
        }
        let within = format!("{path}/");
        state.objects.retain(|other, _| !other.starts_with(&within));
        state.pods.retain(|other, _| !other.starts_with(&within));
        Some(json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}))
    }

    /// If it is a Deployment, starts as many pods of its template as it wants, each before one of
    /// another template is ended: `maxUnavailable: 0`.
    fn roll_out(&self, path: &str) {
        let mut state = self.state();
        let deployment = state.objects[path].clone();
        let Some(replicas) = deployment["spec"]["replicas"].as_u64() else { return };
        let template = &deployment["spec"]["template"];
        // Distinguishes its pods from older ones. Digits sort before `canary`, as on the page.
        let mut hasher = DefaultHasher::new();
        template.to_string().hash(&mut hasher);
        let hash = format!("{:010}", hasher.finish() % 10_000_000_000);
        let is_new = |pod: &String| pod.contains(&format!("-{hash}-"));
        let (new, mut old): (Vec<_>, Vec<_>) =
            state.pods_of(&deployment).into_iter().partition(is_new);
        for _ in new.len() as u64..replicas {
            state.start_pod(&deployment, &hash);
            if let Some(pod) = old.pop() {
                self.end(&mut state, pod);
            }
        }
        let status = json!({
            "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
        });
        state.objects.get_mut(path).expect("it is there")["status"] = status;
    }

    /// Ends a pod as Kubernetes does: the pod gets SIGTERM at once, the Service learns of it later.
    fn end(&self, state: &mut State, path: String) {
        let object = state.objects.get_mut(&path).expect("it is there");
        object["metadata"]["deletionTimestamp"] = json!(NOW);
        state.pods[&path].appinfo.signal(SIGTERM);
        let cluster = self.clone();
        thread::spawn(move || {
            thread::sleep(ENDPOINTS_LAG);
            let pod = cluster.state().pods.remove(&path);
            cluster.state().deal();
            pod.map(|mut pod| pod.appinfo.wait());
            cluster.state().objects.remove(&path);
        });
    }

    /// Opens a port of the node for the Service. The first connection is refused, as before kube-proxy
    /// has programmed the port.
    fn open_node_port(&self) -> u16 {
        let here = IpAddr::from([127, 0, 0, 1]);
        let node = self.state().objects[NODE]["status"]["addresses"][1]["address"].clone();
        let node = node.as_str().and_then(|address| address.parse().ok()).unwrap_or(here);
        // Not every node is this machine.
        let listener = TcpListener::bind((node, 0)).or_else(|_| TcpListener::bind((here, 0)));
        let listener = listener.expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let cluster = self.clone();
        thread::spawn(move || {
            let (_refused, client) = listener.accept().expect("somebody asks");
            // A real node would have a later client from that port refused as well.
            assert!(client.port() < 30_000, "the first to ask is from a port that others may get");
            let mut state = cluster.state();
            state.service = Some(Service::at(listener, "", None));
            state.deal();
        });
        port
    }

    /// `kubectl port-forward POD LOCAL:REMOTE`, told as `POD/LOCAL:REMOTE`; what kubectl says.
    fn forward_port(&self, told: &str) -> String {
        let (pod, ports) = told.split_once('/').expect("a pod and its ports");
        let (local, remote) = ports.split_once(':').expect("two ports");
        let listener = TcpListener::bind(format!("127.0.0.1:{local}")).expect("the port is free");
        Service::at(listener, "", self.state().pods.values().filter(|it| it.name == pod));
        format!("Forwarding from 127.0.0.1:{local} -> {remote}\n")
    }
}

impl State {
    fn start_pod(&mut self, deployment: &Value, hash: &str) {
        self.started += 1;
        let owner = &deployment["metadata"];
        let name = format!("{}-{hash}-{:05}", text(&owner["name"]), self.started);
        let namespace = text(&owner["namespace"]);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let mut pod = deployment["spec"]["template"].clone();
        let labels = json!({"pod-template-hash": hash});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        let more = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata});
        merge(&mut pod, &more);
        self.pods.insert(path.clone(), pod::start(&pod));
        self.objects.insert(path, pod);
        self.deal();
    }

    /// The paths of a Deployment's pods that are not about to end.
    fn pods_of(&self, deployment: &Value) -> Vec<String> {
        let selector = &deployment["spec"]["selector"]["matchLabels"];
        let pods = self.pods.keys().filter(|path| {
            let pod = &self.objects[*path];
            pod["metadata"]["deletionTimestamp"].is_null()
                && !selector.is_null()
                && selects(selector, pod)
        });
        pods.cloned().collect()
    }

    /// Lets the Service deal out connections to the pods that its selector matches.
    fn deal(&self) {
        let object = self.objects.values().find(|object| object["kind"] == "Service");
        let (Some(service), Some(object)) = (&self.service, object) else { return };
        let pods = self.pods.iter();
        let endpoints =
            pods.filter(|(path, _)| selects(&object["spec"]["selector"], &self.objects[*path]));
        service.set_pods(endpoints.map(|(_, pod)| pod));
    }
}

/// The pod in a body of protobuf, as `kubectl debug` sends it since 1.32: all that matters of it is
/// whether it has kept the probes. Nothing where the body is empty.
fn copied_pod(path: &str, body: &[u8]) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    let namespace = path.split('/').nth(4).expect("a pod is in a namespace");
    let is_probed = String::from_utf8_lossy(body).contains("/readyz");
    let container = if is_probed { json!({"readinessProbe": {}}) } else { json!({}) };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "variables", "namespace": namespace}, "spec": {"containers": [container]},
    })
}

/// Whether an object has all labels of a selector.
fn selects(selector: &Value, object: &Value) -> bool {
    let mut labels = selector.as_object().into_iter().flatten();
    labels.all(|(key, value)| object["metadata"]["labels"][key] == *value)
}
