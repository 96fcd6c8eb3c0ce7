//! A pod of the manifests as a process, told what Kubernetes would tell it.

use serde_json::Value;

use crate::common::{Start, pod::Pod};
use crate::tutorial::{matches, readme};

/// Starts the container of a pod's object, and waits until it is ready.
pub fn start(object: &Value) -> Pod {
    let container = &object["spec"]["containers"][0];
    let mut start = Start::new();
    for variable in container["env"].as_array().expect("it has variables") {
        let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
        let field = field.map(|field| format!("/{}", field.replace('.', "/")));
        let value = field.map_or(&variable["value"], |field| object.pointer(&field).unwrap());
        start = start.env(text(&variable["name"]), text(value));
    }
    let labels = object["metadata"]["labels"].as_object().expect("it has labels");
    let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), text(value))).collect();
    let variant = variant(text(&container["image"]));
    let pod = Pod::new(start, text(&object["metadata"]["name"]), &variant, &labels);
    let probe = text(&container["readinessProbe"]["httpGet"]["path"]);
    assert_eq!(pod.appinfo.get(probe).status, 200, "a pod gets ready");
    pod
}

pub fn text(value: &Value) -> &str {
    value.as_str().expect("it is a text")
}

/// The variant in an image, as the tutorial's table has it.
fn variant(image: &str) -> String {
    let row = format!(r"(?m)^\| `{image}` \| `(\w+)` \|");
    matches(&row, &readme::text()).pop_first().expect("the image is known")
}
