//! What the manifests name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::objects::{all, id, of_kind};

/// The objects' names, as `kind/name`.
pub fn names() -> BTreeSet<String> {
    all().iter().map(id).collect()
}

/// The templates of the pods that Deployments make.
pub fn pod_templates() -> Vec<Value> {
    of_kind("Deployment").iter().map(|it| it["spec"]["template"].clone()).collect()
}

/// The images of each container, by its name.
pub fn images() -> BTreeMap<String, BTreeSet<String>> {
    let mut images = BTreeMap::<_, BTreeSet<_>>::new();
    for container in pod_templates().iter().map(|pod| &pod["spec"]["containers"][0]) {
        let [name, image] =
            ["name", "image"].map(|key| container[key].as_str().unwrap().to_owned());
        images.entry(name).or_default().insert(image);
    }
    images
}

/// The values of all pods' labels.
pub fn label_values() -> BTreeSet<String> {
    let pods = pod_templates();
    let labels = pods.iter().flat_map(|pod| pod["metadata"]["labels"].as_object().unwrap());
    labels.map(|(_, value)| value.as_str().unwrap().to_owned()).collect()
}

/// The names of the recording rules and the alerts.
pub fn rules() -> BTreeSet<String> {
    let rules = crate::objects::named("configmap/prometheus")["data"]["rules.yml"].take();
    let rules: Value = serde_saphyr::from_str(rules.as_str().unwrap()).expect("it is YAML");
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    let names = rules.iter().flat_map(|rule| [&rule["record"], &rule["alert"]]);
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
