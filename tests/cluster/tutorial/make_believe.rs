//! A make-believe cluster: as much of the Kubernetes API as the tutorial's kubectl asks for, over
//! real appinfo processes. The images are the program with their variant, the volume with the
//! labels is swapped as the kubelet does it, the Service deals out connections by chance as
//! kube-proxy does, and learns a moment late that a pod ends.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{Request, discovery, failure, merge, table};
use super::namespace::Access;
use crate::common::{self, Folder, pod::Pod, service::Service};
use crate::pod;

/// How long after its end began a pod still gets connections: the moment that the program's
/// drain is for.
const ENDPOINTS_LAG: Duration = Duration::from_secs(1);

/// How long after somebody first asks a node for a new Service it still refuses, since kube-proxy
/// has not programmed the port yet.
const PROGRAMMING: Duration = Duration::from_secs(1);

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
    /// What runs, by the paths of the pods, and whether it gets connections.
    pods: BTreeMap<String, (Pod, bool)>,
    /// What deals them out, once it is programmed.
    service: Option<Service>,
    /// The ports of the clients that a node has refused.
    refused: Vec<u16>,
}

impl Cluster {
    pub fn start() -> Cluster {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let cluster = Cluster { address, state: Arc::default() };
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"},
            "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]},
        });
        cluster.state().objects.insert("/api/v1/nodes/node".to_owned(), node);
        let api = cluster.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let api = api.clone();
                thread::spawn(move || api.answer(Request::read(client.expect("a connection"))));
            }
        });
        cluster
    }

    /// What a user would have in their kubeconfig; and, before the real kubectl, one that lets
    /// `port-forward` be done here: its protocol (SPDY) is no business of the tutorial.
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
             [ \"$1\" != port-forward ] || exec curl -sN \"http://{}/port-forward/$2/$3\"\n\
             PATH=${{PATH#*:}} exec kubectl \"$@\"\n",
            self.address
        );
        common::run(Command::new("chmod").arg("+x").arg(file("kubectl", &kubectl)));
        Access {
            context: "make-believe".to_owned(),
            kubeconfig: Some(file("kubeconfig", &kubeconfig.to_string())),
            node: None,
            outside_images: false,
            programs: Some(folder),
        }
    }

    /// How many connections to a node were refused, and how many of them from a port that another
    /// client may get later: a real node's conntrack would have that one refused as well.
    pub fn refused(&self) -> (usize, usize) {
        let refused = &self.state().refused;
        (refused.len(), refused.iter().filter(|port| **port >= 30_000).count())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no request panics while it holds the state")
    }

    /// Answers a request to the API.
    fn answer(&self, request: Request) {
        if let Some(rest) = request.path.strip_prefix("/port-forward/") {
            let (pod, ports) = rest.split_once('/').expect("kubectl was told a pod and its ports");
            return self.forward_port(&request, pod, ports);
        }
        if let Some((_, path)) = request.path.split_once("/services/appinfo:http/proxy") {
            let service = self.state().service.as_ref().expect("there is one").address;
            let answer = common::get(service, path);
            return request.respond(answer.status, answer.text());
        }
        if request.parameter("watch").is_some() {
            // Nothing happens but by kubectl's own doing, so a watch has nothing to tell, and a
            // list has to come before it.
            return match request.parameter("sendInitialEvents") {
                Some(_) => request.respond(422, &failure(422, "Invalid")),
                None => request.respond_without_end(""),
            };
        }
        if request.path == "/openapi/v2" {
            // Before 1.27 kubectl checks objects itself, by these schemas (protobuf): it has none.
            return request.respond(200, "");
        }
        let path = request.path.as_str();
        let answer = match request.method.as_str() {
            "GET" => self.get(&request),
            "POST" => Some(self.create(path, request.body.clone())),
            "PATCH" => self.patch(path, &request.body),
            "DELETE" => self.delete(path),
            other => panic!("no kubectl command of the tutorial sends {other} {path}"),
        };
        match answer {
            Some(answer) if request.as_table => request.respond(200, &table(&answer).to_string()),
            Some(answer) => request.respond(200, &answer.to_string()),
            None => request.respond(404, &failure(404, "NotFound")),
        }
    }

    /// An object, a list of objects, or what the API says about itself.
    fn get(&self, request: &Request) -> Option<Value> {
        let path = request.path.as_str();
        if let Some(discovery) = discovery(path) {
            return Some(discovery);
        }
        let state = self.state();
        if let Some(object) = state.objects.get(path) {
            return Some(object.clone());
        }
        let (_, resource) = path.rsplit_once('/')?;
        if !["services", "deployments", "pods", "nodes", "namespaces"].contains(&resource) {
            return None;
        }
        let labels = request.parameter("labelSelector").unwrap_or_default();
        let name = request.parameter("fieldSelector").unwrap_or_default();
        let name = name.strip_prefix("metadata.name=");
        let items = state.objects.iter().filter(|(other, object)| {
            let mut labels = labels.split(',').filter_map(|label| label.split_once('='));
            other.rsplit_once('/').is_some_and(|(collection, _)| collection == path)
                && labels.all(|(key, value)| object["metadata"]["labels"][key] == value)
                && name.is_none_or(|name| object["metadata"]["name"] == name)
        });
        let items: Vec<_> = items.map(|(_, object)| object).collect();
        let metadata = json!({"resourceVersion": "1"});
        Some(json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}))
    }

    fn create(&self, collection: &str, mut object: Value) -> Value {
        let name = object["metadata"]["name"].as_str().expect("it has a name").to_owned();
        let path = format!("{collection}/{name}");
        object["metadata"]["uid"] = json!(path);
        object["metadata"]["resourceVersion"] = json!("1");
        object["metadata"]["creationTimestamp"] = json!("2026-11-22T00:00:00Z");
        if collection.ends_with("/services") {
            object["spec"]["clusterIP"] = json!("10.96.0.10");
            object["spec"]["ports"][0]["nodePort"] = json!(self.open_node_port());
        }
        self.state().objects.insert(path.clone(), object.clone());
        if collection.ends_with("/deployments") {
            self.roll_out(&path);
        }
        self.state().objects[&path].clone()
    }

    /// Changes an object, and makes it so.
    fn patch(&self, path: &str, patch: &Value) -> Option<Value> {
        if let Some(path) = path.strip_suffix("/scale") {
            let mut scaled = self.patch(path, patch)?;
            scaled["apiVersion"] = json!("autoscaling/v1");
            scaled["kind"] = json!("Scale");
            return Some(scaled);
        }
        let object = {
            let mut state = self.state();
            let object = state.objects.get_mut(path)?;
            merge(object, patch);
            let object = object.clone();
            let labels = patch["metadata"]["labels"].as_object();
            for (key, value) in labels.into_iter().flatten() {
                state.pods.get_mut(path)?.0.label(key, value.as_str()?);
            }
            object
        };
        if object["kind"] == "Deployment" {
            self.roll_out(path);
        }
        Some(object)
    }

    /// Deletes an object; with a Deployment its pods, with a namespace all that is in it.
    fn delete(&self, path: &str) -> Option<Value> {
        self.state().objects.remove(path)?;
        for pod in self.pods_of(path) {
            self.end(&pod);
        }
        let within = format!("{path}/");
        self.state().objects.retain(|other, _| !other.starts_with(&within));
        self.state().pods.retain(|other, _| !other.starts_with(&within));
        Some(json!({"apiVersion": "v1", "kind": "Status", "status": "Success"}))
    }

    /// Starts as many pods of the Deployment's template as it wants, each before one of another
    /// template is ended: `maxUnavailable: 0`.
    fn roll_out(&self, path: &str) {
        let deployment = self.state().objects[path].clone();
        let template = &deployment["spec"]["template"];
        let hash = pod_template_hash(template);
        let replicas = deployment["spec"]["replicas"].as_u64().expect("it is a number");
        let (new, mut old): (Vec<_>, Vec<_>) = self.pods_of(path).into_iter().partition(|pod| {
            self.state().objects[pod]["metadata"]["labels"]["pod-template-hash"] == hash.as_str()
        });
        for _ in new.len() as u64..replicas {
            self.start_pod(path, &deployment, &hash);
            if let Some(pod) = old.pop() {
                self.end(&pod);
            }
        }
        let status = json!({
            "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
        });
        let mut state = self.state();
        let deployment = state.objects.get_mut(path).expect("it is there");
        deployment["status"] = status;
        deployment["metadata"]["generation"] = json!(1);
    }

    fn start_pod(&self, owner: &str, deployment: &Value, hash: &str) {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name =
            format!("{}-{hash}-{number:05}", deployment["metadata"]["name"].as_str().unwrap());
        let (namespace, _) = owner.split_once("/deployments/").expect("it is a Deployment");
        let namespace = namespace.rsplit_once('/').expect("it is in a namespace").1;

        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!(namespace);
        pod["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        pod["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": owner}]);
        let process = pod::start(&pod);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let mut state = self.state();
        state.objects.insert(path.clone(), pod);
        state.pods.insert(path, (process, true));
        state.deal();
    }

    /// Ends a pod as Kubernetes does: it is told at once, the Service a moment later.
    fn end(&self, pod: &str) {
        let (cluster, path) = (self.clone(), pod.to_owned());
        let mut state = self.state();
        state.objects.get_mut(pod).expect("it is there")["metadata"]["deletionTimestamp"] =
            json!("2026-11-22T00:00:00Z");
        state.pods[pod].0.appinfo.signal(15);
        drop(state);
        thread::spawn(move || {
            thread::sleep(ENDPOINTS_LAG);
            cluster.state().pods.entry(path.clone()).and_modify(|(_, endpoint)| *endpoint = false);
            cluster.state().deal();
            common::eventually("an ended pod is gone", || {
                match cluster.state().pods.get_mut(&path) {
                    Some((pod, _)) => (!pod.appinfo.is_alive()).then_some(()),
                    None => Some(()),
                }
            });
            let mut state = cluster.state();
            state.objects.remove(&path);
            state.pods.remove(&path);
        });
    }

    /// The paths of a Deployment's pods that are not about to end.
    fn pods_of(&self, deployment: &str) -> Vec<String> {
        let state = self.state();
        let pods = state.objects.iter().filter(|(_, object)| {
            let metadata = &object["metadata"];
            metadata["ownerReferences"][0]["uid"] == deployment
                && metadata["deletionTimestamp"].is_null()
        });
        pods.map(|(path, _)| path.clone()).collect()
    }

    /// Opens a port of the node for the Service. It is refused until it is programmed.
    fn open_node_port(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let cluster = self.clone();
        thread::spawn(move || {
            let mut first = None;
            while let Ok((_refused, client)) = listener.accept() {
                cluster.state().refused.push(client.port());
                if first.get_or_insert_with(Instant::now).elapsed() > PROGRAMMING {
                    break;
                }
            }
            let mut state = cluster.state();
            state.service = Some(Service::at(listener, "", None));
            state.deal();
        });
        port
    }

    /// `kubectl port-forward POD LOCAL:REMOTE`; says what kubectl says and never ends.
    fn forward_port(&self, request: &Request, pod: &str, ports: &str) {
        let (local, remote) = ports.split_once(':').expect("two ports");
        let listener = TcpListener::bind(format!("127.0.0.1:{local}")).expect("the port is free");
        let state = self.state();
        Service::at(
            listener,
            "",
            state.pods.values().map(|(it, _)| it).filter(|it| it.name == pod),
        );
        drop(state);
        let says = format!("Forwarding from 127.0.0.1:{local} -> {remote}\n");
        request.respond_without_end(&says);
    }
}

impl State {
    /// Lets the Service deal out connections to the pods that its selector matches.
    fn deal(&self) {
        let object = self.objects.values().find(|object| object["kind"] == "Service");
        let (Some(service), Some(object)) = (&self.service, object) else { return };
        let selector = object["spec"]["selector"].as_object().expect("it selects");
        let endpoints = self.pods.iter().filter(|(path, (_, endpoint))| {
            let labels = &self.objects[*path]["metadata"]["labels"];
            *endpoint && selector.iter().all(|(key, value)| labels[key] == *value)
        });
        service.set_pods(endpoints.map(|(_, (pod, _))| pod));
    }
}

/// What Kubernetes calls a Deployment's template, so that its pods can be told from older ones.
fn pod_template_hash(template: &Value) -> String {
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}
