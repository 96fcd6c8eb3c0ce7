//! The responses of the Kubernetes API, as far as the tutorial needs them.

use std::slice;

use crate::common::*;

/// What the API says about itself, as far as kubectl requests it.
pub fn discovery(path: &str) -> Option<Value> {
    let known: Value = serde_saphyr::from_str(include_str!("discovery.yaml")).expect("it is YAML");
    known.get(path).cloned()
}

pub fn failure(code: u16, reason: &str) -> Value {
    let message = format!("{reason}, says the simulated cluster");
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}

/// Objects as the table that `kubectl get` prints.
pub fn table(found: &Value) -> Value {
    let objects = found["items"].as_array().map_or(slice::from_ref(found), Vec::as_slice);
    let column = |(name, _)| json!({"name": name, "type": "string", "format": "", "priority": 0});
    let row = |object: &Value| {
        let cells = cells(object).map(|(_, cell)| cell);
        let (kind, metadata) = ("PartialObjectMetadata", &object["metadata"]);
        let object = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": metadata});
        json!({"cells": cells.collect::<Vec<_>>(), "object": object})
    };
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table",
        "columnDefinitions": objects.iter().take(1).flat_map(cells).map(column).collect::<Vec<_>>(),
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// Each column's name, and an object's value in it.
fn cells(object: &Value) -> impl Iterator<Item = (&'static str, Value)> {
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let name = ("Name", metadata["name"].clone());
    let between = if object["kind"] == "Service" {
        vec![
            ("Type", spec["type"].clone()),
            ("Cluster-IP", spec["clusterIP"].clone()),
            ("External-IP", json!("<none>")),
            ("Port(s)", json!(format!("8080:{}/TCP", spec["ports"][0]["nodePort"]))),
        ]
    } else {
        let state = if metadata["deletionTimestamp"].is_null() { "Running" } else { "Terminating" };
        vec![("Ready", json!("1/1")), ("Status", json!(state)), ("Restarts", json!("0"))]
    };
    [name].into_iter().chain(between).chain([("Age", json!("1s"))])
}

/// Whether an object has all labels of a selector.
pub fn selects(selector: &Value, object: &Value) -> bool {
    let mut labels = selector.as_object().into_iter().flatten();
    labels.all(|(key, value)| object["metadata"]["labels"][key] == *value)
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
