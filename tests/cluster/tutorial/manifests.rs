//! What the manifests define.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::common;

/// The objects in the YAML files of a folder, that of its sub-folders not among them.
pub fn manifests(folder: &str) -> Vec<Value> {
    let entries =
        std::fs::read_dir(common::repository().join(folder)).expect("the folder is there");
    let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files.flat_map(|file| documents(&std::fs::read_to_string(file).unwrap())).collect()
}

/// The documents of a YAML stream.
fn documents(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).expect("a manifest is YAML")
}

/// The objects of all manifests.
fn all() -> Vec<Value> {
    ["manifests", "manifests/canary", "manifests/monitoring"].map(manifests).concat()
}

/// The names of the objects of a kind, which is written in lower case.
pub fn names(kind: &str) -> BTreeSet<String> {
    let of_kind = |object: &Value| object["kind"].as_str().unwrap().to_lowercase() == kind;
    let objects = all().into_iter().filter(of_kind);
    objects.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The templates of the pods that Deployments make.
pub fn pod_templates() -> Vec<Value> {
    let deployments = all().into_iter().filter(|object| object["kind"] == "Deployment");
    deployments.map(|deployment| deployment["spec"]["template"].clone()).collect()
}

/// The images of each container, by its name.
pub fn images() -> BTreeMap<String, BTreeSet<String>> {
    let mut images = BTreeMap::<_, BTreeSet<_>>::new();
    for pod in pod_templates() {
        for container in pod["spec"]["containers"].as_array().unwrap() {
            let [name, image] =
                ["name", "image"].map(|key| container[key].as_str().unwrap().to_owned());
            images.entry(name).or_default().insert(image);
        }
    }
    images
}

/// The values of an object that are strings.
pub fn strings(object: &Value) -> Vec<String> {
    let values = object.as_object().into_iter().flat_map(|object| object.values());
    values.filter_map(|value| value.as_str().map(str::to_owned)).collect()
}
