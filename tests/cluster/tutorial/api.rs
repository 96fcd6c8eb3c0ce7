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

/// What the API says about itself, as far as kubectl asks.
pub fn discovery(path: &str) -> Option<Value> {
    let answers: Value =
        serde_saphyr::from_str(include_str!("discovery.yaml")).expect("it is YAML");
    answers.get(path).cloned()
}

/// Objects as the table that `kubectl get` prints.
pub fn table(answer: &Value) -> Value {
    let one = vec![answer.clone()];
    let objects = answer["items"].as_array().unwrap_or(&one);
    let columns = match objects.first().and_then(|object| object["kind"].as_str()) {
        Some("Service") => "Name Type Cluster-IP External-IP Port(s) Age",
        _ => "Name Ready Status Restarts Age",
    };
    let column = |name| json!({"name": name, "type": "string", "format": "", "priority": 0});
    let row = |object: &Value| {
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        let state = if metadata["deletionTimestamp"].is_null() { "Running" } else { "Terminating" };
        let port = format!("8080:{}/TCP", spec["ports"][0]["nodePort"]);
        let name = &metadata["name"];
        let cells = match object["kind"].as_str() {
            Some("Service") => json!([name, spec["type"], spec["clusterIP"], "<none>", port, "1s"]),
            _ => json!([name, "1/1", state, "0", "1s"]),
        };
        let kind = "PartialObjectMetadata";
        let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": metadata});
        json!({"cells": cells, "object": object})
    };
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table",
        "columnDefinitions": columns.split(' ').map(column).collect::<Vec<_>>(),
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
