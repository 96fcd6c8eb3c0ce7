//! A simulated cluster: as much of the Kubernetes API as the tutorial's kubectl uses, with real
//! appinfo processes as pods. An image is the program with a variant, the labels' volume is swapped
//! as by the kubelet, and the Service distributes connections at random, as kube-proxy does, and
//! learns a moment late that a pod ends.

use tiny_http::{Request, Response, Server};

use super::api::{discovery, is_ending, merge, selects, table};
use super::namespace::Access;
use crate::common::*;
use crate::pod::{self, text};

/// How long a pod still gets connections after SIGTERM: the reason for the program's drain.
const ENDPOINTS_LAG: Duration = Duration::from_millis(500);

/// The running cluster.
#[derive(Clone)]
pub struct Cluster {
    address: SocketAddr,
    /// Distributes connections, at a port of 127.0.0.1.
    service: Service,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The API's objects by their paths: `/api/v1/namespaces/default/pods/appinfo-…`.
    objects: BTreeMap<String, Value>,
    /// The processes, by the paths of their pods.
    pods: BTreeMap<String, Pod>,
}

impl Cluster {
    /// A cluster of one node that has these addresses.
    pub fn with_addresses(addresses: &[&str]) -> Cluster {
        let address = |address| json!({"type": "InternalIP", "address": address});
        let mut addresses: Vec<_> = addresses.iter().map(address).collect();
        addresses.insert(0, json!({"type": "Hostname", "address": "node"}));
        Cluster::with_node(json!({"status": {"addresses": addresses}}))
    }

    /// A cluster of this node.
    pub fn with_node(mut node: Value) -> Cluster {
        let server = Server::http("127.0.0.1:0").expect("there is a free port");
        let address = server.server_addr().to_ip().expect("it has an address");
        let cluster = Cluster { address, service: Service::new("", None), state: Arc::default() };
        let kind = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}});
        merge(&mut node, &kind);
        cluster.state().objects.insert("/api/v1/nodes/node".to_owned(), node);
        let api = cluster.clone();
        thread::spawn(move || server.incoming_requests().for_each(|request| api.respond(request)));
        cluster
    }

    /// A kubeconfig as users have it, with a context of this name.
    pub fn kubeconfig(&self, context: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": context,
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        })
    }

    /// Access with a kubectl of its own.
    pub fn access(&self) -> Access {
        let programs = vec![repository().join("tests/cluster/tutorial/bin")];
        Access { kubeconfig: self.kubeconfig("simulated"), programs, ..Access::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }

    /// Responds to a request to the API.
    fn respond(&self, mut request: Request) {
        let mut body = Vec::new();
        request.as_reader().read_to_end(&mut body).expect("kubectl sends what it announces");
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let url = request.url().replace("%3D", "=");
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let (status, text) = if let Some(rest) = path.strip_prefix("/port-forward/") {
            (200, self.forward_port(rest))
        } else if let Some((_, path)) = path.split_once("/services/appinfo:http/proxy") {
            let response = get(self.service.address, path);
            (response.status, response.text().to_owned())
        } else if query.contains("sendInitialEvents=") {
            // Not every server can begin a watch with a list, so kubectl does without.
            (422, String::new())
        } else if query.contains("watch=") || path == "/openapi/v2" {
            // Nothing happens except by kubectl, so a watch has no events. And before 1.27 kubectl
            // checks objects itself, with these schemas (protobuf): there are none.
            (200, String::new())
        } else {
            let result = match request.method().as_str() {
                "GET" => self.get(path, query),
                "POST" => {
                    let path = format!("{path}/{}", text(&body["metadata"]["name"]));
                    Some(self.store(&path, body))
                }
                "PUT" => Some(self.store(path, body)),
                "PATCH" => self.patch(path, &body),
                "DELETE" => self.delete(path),
                other => panic!("no kubectl command of the tutorial sends {other} {path}"),
            };
            let is_table =
                request.headers().iter().any(|it| it.value.as_str().contains("as=Table"));
            let result = result.map(|it| if is_table { table(&it) } else { it });
            result.map_or((404, String::new()), |it| (200, it.to_string()))
        };
        // kubectl may have ended meanwhile.
        let _ = request.respond(Response::from_data(text).with_status_code(status));
    }

    /// An object, a list of objects, or what the API says about itself.
    fn get(&self, path: &str, query: &str) -> Option<Value> {
        let state = self.state();
        if let Some(found) = discovery(path).or_else(|| state.objects.get(path).cloned()) {
            return Some(found);
        }
        let (_, resource) = path.rsplit_once('/')?;
        if !["services", "deployments", "pods", "nodes"].contains(&resource) {
            return None;
        }
        let parameter = |name| query.split('&').find_map(|pair| pair.strip_prefix(name));
        let label = parameter("labelSelector=").and_then(|label| label.split_once('='));
        let selector: Value = label.into_iter().collect();
        let name = parameter("fieldSelector=metadata.name=");
        let items = state.objects.iter().filter(|(other, object)| {
            other.rsplit_once('/').is_some_and(|(collection, _)| collection == path)
                && selects(&selector, object)
                && name.is_none_or(|name| object["metadata"]["name"] == name)
        });
        let items: Vec<_> = items.map(|(_, object)| object).collect();
        let metadata = json!({"resourceVersion": "1"});
        Some(json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}))
    }

    /// Creates or replaces an object.
    fn store(&self, path: &str, mut object: Value) -> Value {
        let chosen = json!({"uid": path, "resourceVersion": "1", "generation": 1});
        merge(&mut object["metadata"], &chosen);
        let mut state = self.state();
        if object["kind"] == "Service" {
            object["spec"]["clusterIP"] = json!("10.96.0.10");
            object["spec"]["ports"][0]["nodePort"] = json!(self.service.address.port());
        }
        state.objects.insert(path.to_owned(), object);
        drop(state);
        self.roll_out(path)
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
        Some(self.roll_out(path))
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
        Some(object)
    }

    /// If it is a Deployment, starts as many pods of its template as it wants, each before one of
    /// another template is ended: `maxUnavailable: 0`. Returns the object.
    fn roll_out(&self, path: &str) -> Value {
        let mut state = self.state();
        let mut object = state.objects[path].clone();
        if let Some(replicas) = object["spec"]["replicas"].as_u64() {
            let pods = state.pods_of(&object).into_iter();
            let is_new =
                |pod: &String| state.objects[pod]["spec"] == object["spec"]["template"]["spec"];
            let (new, mut old): (Vec<_>, Vec<_>) = pods.partition(is_new);
            for _ in new.len() as u64..replicas {
                state.start_pod(&object);
                self.update_endpoints(&state);
                if let Some(pod) = old.pop() {
                    self.end(&mut state, pod);
                }
            }
            object["status"] = json!({
                "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas,
            });
            state.objects.insert(path.to_owned(), object.clone());
        }
        self.update_endpoints(&state);
        object
    }

    /// Lets the Service distribute connections to the pods that its selector matches.
    fn update_endpoints(&self, state: &State) {
        let service = state.objects.values().find(|object| object["kind"] == "Service");
        let Some(selector) = service.map(|service| &service["spec"]["selector"]) else { return };
        let is_endpoint = |path: &String| selects(selector, &state.objects[path]);
        let pods = state.pods.iter().filter(|(path, _)| is_endpoint(path));
        self.service.set_pods(pods.map(|(_, pod)| pod));
    }

    /// Ends a pod as Kubernetes does: the pod gets SIGTERM at once, the Service learns of it later.
    fn end(&self, state: &mut State, path: String) {
        let object = state.objects.get_mut(&path).expect("it is there");
        object["metadata"]["deletionTimestamp"] = json!("2026-11-22T00:00:00Z");
        state.pods[&path].appinfo.signal(SIGTERM);
        let cluster = self.clone();
        thread::spawn(move || {
            thread::sleep(ENDPOINTS_LAG);
            let pod = cluster.state().pods.remove(&path);
            cluster.update_endpoints(&cluster.state());
            pod.map(|mut pod| pod.appinfo.wait());
            cluster.state().objects.remove(&path);
        });
    }

    /// `kubectl port-forward POD LOCAL:REMOTE`, as `POD/LOCAL:REMOTE`; returns what kubectl prints.
    fn forward_port(&self, arguments: &str) -> String {
        let (pod, ports) = arguments.split_once('/').expect("a pod and its ports");
        let (local, remote) = ports.split_once(':').expect("two ports");
        let listener = TcpListener::bind(format!("127.0.0.1:{local}")).expect("the port is free");
        Service::at(listener, "", self.state().pods.values().filter(|it| it.name == pod));
        format!("Forwarding from 127.0.0.1:{local} -> {remote}\n")
    }
}

impl State {
    fn start_pod(&mut self, deployment: &Value) {
        let owner = &deployment["metadata"];
        // Digits sort before `canary`, as on the page.
        let hash = format!("{:010}", fastrand::u32(..));
        let name = format!("{}-{hash}-00000", text(&owner["name"]));
        let namespace = text(&owner["namespace"]);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let mut pod = deployment["spec"]["template"].clone();
        let labels = json!({"pod-template-hash": hash});
        let metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        merge(&mut pod, &json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}));
        self.pods.insert(path.clone(), pod::start(&pod));
        self.objects.insert(path, pod);
    }

    /// The paths of a Deployment's pods that are not about to end.
    fn pods_of(&self, deployment: &Value) -> Vec<String> {
        let selector = &deployment["spec"]["selector"]["matchLabels"];
        let is_own = |pod: &Value| selects(selector, pod) && !is_ending(pod);
        self.pods.keys().filter(|path| is_own(&self.objects[*path])).cloned().collect()
    }
}
