//! The responses of the Kubernetes API, as far as the tutorial needs them.

use std::slice;

use crate::common::*;

/// What the API says about itself, as far as kubectl requests it.
pub fn discovery(path: &str) -> Option<Value> {
    let known: Value = serde_saphyr::from_str(include_str!("discovery.yaml")).expect("it is YAML");
    known.get(path).cloned()
}

/// Objects as the table that `kubectl get` prints.
pub fn table(found: &Value) -> Value {
    let objects = found["items"].as_array().map_or(slice::from_ref(found), Vec::as_slice);
    let is_service = objects.iter().any(|object| object["kind"] == "Service");
    let columns = match is_service {
        true => "Name Type Cluster-IP External-IP Port(s) Age",
        false => "Name Ready Status Restarts Age",
    };
    let column = |name| json!({"name": name, "type": "string"});
    let row = |object: &Value| {
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        let (name, port) = (&metadata["name"], &spec["ports"][0]);
        let ports = format!("{}:{}/TCP", port["port"], port["nodePort"]);
        let status = if is_ending(object) { "Terminating" } else { "Running" };
        json!({"cells": match is_service {
            true => json!([name, spec["type"], spec["clusterIP"], "<none>", ports, "1s"]),
            false => json!([name, "1/1", status, "0", "1s"]),
        }})
    };
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table",
        "columnDefinitions": columns.split(' ').map(column).collect::<Vec<_>>(),
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// Whether an object is being deleted.
pub fn is_ending(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// Whether there is a selector, and an object has all of its labels.
pub fn selects(selector: &Value, object: &Value) -> bool {
    let has = |(key, value): (&String, &Value)| object["metadata"]["labels"][key] == *value;
    selector.as_object().is_some_and(|labels| labels.iter().all(has))
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
                match items.iter().position(|item| item["name"] == patch["name"]) {
                    Some(index) if patch["$patch"] == "delete" => _ = items.remove(index),
                    Some(index) => merge(&mut items[index], patch),
                    None => items.push(patch.clone()),
                }
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}
