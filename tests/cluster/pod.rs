//! A pod of the manifests as a process, told what Kubernetes would tell it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::common::{Appinfo, DownwardApi, Start};
use crate::tutorial::readme;

pub struct Pod {
    pub appinfo: Appinfo,
    volume: DownwardApi,
}

impl Pod {
    /// Starts the container of a pod's object, and waits until the pod is ready.
    pub fn start(pod: &Value) -> Pod {
        let container = &pod["spec"]["containers"][0];
        let volume = DownwardApi::with(labels_file(pod));
        let mut start = Start::new().env("APPINFO_LABELS", volume.file());
        start = start.env("APPINFO_VARIANT", variant(text(&container["image"])));
        for variable in container["env"].as_array().expect("it has variables") {
            let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
            let field = field.map(|field| format!("/{}", field.replace('.', "/")));
            let value = field.map_or(&variable["value"], |field| pod.pointer(&field).unwrap());
            start = start.env(text(&variable["name"]), text(value));
        }
        let appinfo = start.spawn();
        let probe = text(&container["readinessProbe"]["httpGet"]["path"]);
        assert_eq!(appinfo.get(probe).status, 200, "a pod gets ready");
        Pod { appinfo, volume }
    }

    /// Lets it see the labels that its object has now.
    pub fn relabel(&mut self, pod: &Value) {
        self.volume.swap(labels_file(pod));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("it is a text")
}

/// The labels as the kubelet writes them into a downward API volume.
fn labels_file(pod: &Value) -> String {
    let labels: BTreeMap<_, _> = pod["metadata"]["labels"].as_object().unwrap().iter().collect();
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
}

/// The variant in an image, as README.md's table has it.
fn variant(image: &str) -> String {
    let rows = readme::table("image");
    rows.iter().find(|row| row[0] == image).expect("the image is known")[1].clone()
}
