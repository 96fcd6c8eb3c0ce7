//! How kubectl and the Kubernetes API speak to each other, as far as the tutorial goes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

/// A request to the API, on a connection of its own.
pub struct Request {
    pub method: String,
    pub path: String,
    query: String,
    /// Whether kubectl wants to print the answer as a table.
    pub as_table: bool,
    pub body: Value,
    client: TcpStream,
}

impl Request {
    pub fn read(client: TcpStream) -> Request {
        let mut reader = BufReader::new(client.try_clone().expect("a descriptor is left"));
        let mut lines = reader.by_ref().lines().map_while(Result::ok);
        let line = lines.next().unwrap_or_default();
        let mut words = line.split(' ').map(str::to_owned);
        let [method, target] = [words.next(), words.next()].map(Option::unwrap_or_default);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        let header = |name| head.iter().find_map(|line| line.strip_prefix(name));
        let length = header("Content-Length: ").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("the whole body comes");
        Request {
            method,
            path: target.split('?').next().unwrap_or_default().to_owned(),
            query: target.split('?').nth(1).unwrap_or_default().to_owned(),
            as_table: header("Accept: ").is_some_and(|accept| accept.contains("as=Table")),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            client,
        }
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(value.replace("%3D", "=").replace("%2C", ","))
    }

    /// The answer ends with the connection: when this request is dropped.
    pub fn respond(&self, status: u16, body: &str) {
        let head = format!("HTTP/1.1 {status} Made Up\r\nContent-Type: application/json");
        // kubectl may have ended meanwhile.
        let _ = write!(&self.client, "{head}\r\nConnection: close\r\n\r\n{body}");
    }

    /// Begins an answer that ends when the client goes away.
    pub fn respond_without_end(&self, body: &str) {
        self.respond(200, body);
        let _ = (&self.client).read_exact(&mut [0]);
    }
}

pub fn failure(code: u16, reason: &str) -> String {
    let message = format!("{reason}, says the make-believe cluster");
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
    .to_string()
}

/// What the API says about itself.
pub fn discovery(path: &str) -> Option<Value> {
    let resources = |group: &str, resources: &[(&str, &str, bool)]| {
        let resource = |(name, kind, namespaced): &(&str, &str, bool)| {
            let singular = kind.to_lowercase();
            let verbs = ["create", "delete", "get", "list", "patch", "watch"];
            json!({
                "name": name, "singularName": singular, "kind": kind,
                "namespaced": namespaced, "verbs": verbs,
            })
        };
        let resources: Vec<_> = resources.iter().map(resource).collect();
        json!({"kind": "APIResourceList", "groupVersion": group, "resources": resources})
    };
    let apps = json!({"groupVersion": "apps/v1", "version": "v1"});
    let groups = json!([{"name": "apps", "versions": [apps], "preferredVersion": apps}]);
    Some(match path {
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}),
        "/api/v1" => {
            let namespaced = [("pods", "Pod", true), ("services", "Service", true)];
            let others = [("nodes", "Node", false), ("namespaces", "Namespace", false)];
            resources("v1", &[namespaced, others].concat())
        }
        "/apis/apps/v1" => {
            let scale = ("deployments/scale", "Scale", true);
            resources("apps/v1", &[("deployments", "Deployment", true), scale])
        }
        _ => return None,
    })
}

/// Objects as the table that `kubectl get` prints.
pub fn table(answer: &Value) -> Value {
    let one = vec![answer.clone()];
    let objects = answer["items"].as_array().unwrap_or(&one);
    let kind = objects.first().map_or("Pod", |object| object["kind"].as_str().unwrap());
    let columns = match kind {
        "Service" => ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"].as_slice(),
        _ => &["Name", "Ready", "Status", "Restarts", "Age"],
    };
    let row = |object: &Value| {
        let name = &object["metadata"]["name"];
        let ending = !object["metadata"]["deletionTimestamp"].is_null();
        let port = format!("8080:{}/TCP", object["spec"]["ports"][0]["nodePort"]);
        let (kind, address) = (&object["spec"]["type"], &object["spec"]["clusterIP"]);
        let cells = match object["kind"].as_str() {
            Some("Service") => json!([name, kind, address, "<none>", port, "1s"]),
            _ => json!([name, "1/1", if ending { "Terminating" } else { "Running" }, "0", "1s"]),
        };
        let metadata = &object["metadata"];
        let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
        json!({"cells": cells, "object": object})
    };
    let column = |name: &&str| json!({"name": name, "type": "string", "format": "", "priority": 0});
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table",
        "columnDefinitions": columns.iter().map(column).collect::<Vec<_>>(),
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// Merges a strategic patch: objects key by key, lists item by item as their names say.
pub fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch.iter().filter(|(key, _)| !key.starts_with('$')) {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(patches)) => {
            for patch in patches {
                let named = items.iter().position(|item| item["name"] == patch["name"]);
                match named {
                    Some(index) if patch["$patch"] == "delete" => _ = items.remove(index),
                    Some(index) => merge(&mut items[index], patch),
                    None => items.push(patch.clone()),
                }
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}
