//! A pod of the manifests as a process, with what Kubernetes would give it.

use crate::common::*;
use crate::tutorial::{matches, readme};

/// Starts the container of a pod's object, and checks that it responds to its probes.
pub fn start(object: &Value) -> Pod {
    let container = &object["spec"]["containers"][0];
    // Shorter than its default of 5 s: a simulated Service learns sooner that a pod ends.
    let mut start = Start::new().env("APPINFO_DRAIN", "2");
    for variable in container["env"].as_array().expect("it has variables") {
        let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
        let field = field.map(|field| format!("/{}", field.replace('.', "/")));
        let value = field.map_or(&variable["value"], |field| object.pointer(&field).unwrap());
        start = start.env(text(&variable["name"]), text(value));
    }
    let labels = object["metadata"]["labels"].as_object().expect("it has labels");
    let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
    // The variant in the image, as the tutorial's table has it.
    let row = format!(r"(?m)^\| `{}` \| `(\w+)` \|", text(&container["image"]));
    let variant = matches(&row, &readme::text()).pop_first().expect("the image is known");
    let pod = Pod::new(start, text(&object["metadata"]["name"]), &variant, &labels);
    for probe in ["readinessProbe", "livenessProbe"] {
        let path = text(&container[probe]["httpGet"]["path"]);
        assert_eq!(pod.appinfo.get(path).status, 200, "{probe}");
    }
    pod
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("it is a text")
}
