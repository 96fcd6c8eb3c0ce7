//! AppInfo, the document that the tutorial is about.

use std::env;

use serde::{Serialize, Serializer};

use crate::pod::labels::Labels;

/// How a pod is deployed. What is unknown is an empty string.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppInfo {
    /// The pod's name, from `MY_POD_NAME`.
    pub pod_name: String,
    /// The value of the label `app`.
    pub app_name: String,
    /// The pod's namespace, from `MY_POD_NAMESPACE`.
    pub namespace: String,
    /// The value of the label `release`.
    pub release: String,
    /// The other labels, sorted by key.
    #[serde(serialize_with = "as_map")]
    pub labels: Labels,
}

/// What a pod knows about itself from the start: two environment variables that the manifest sets
/// through the downward API.
pub struct Pod {
    pub name: String,
    pub namespace: String,
}

impl Pod {
    /// Reads the environment variables; what is missing is empty.
    pub fn from_environment() -> Pod {
        let variable = |name| env::var_os(name).unwrap_or_default().to_string_lossy().into_owned();
        Pod { name: variable("MY_POD_NAME"), namespace: variable("MY_POD_NAMESPACE") }
    }
}

impl AppInfo {
    /// All that is known about a pod with these labels.
    pub fn new(pod: &Pod, labels: Labels) -> AppInfo {
        let mut appinfo = AppInfo {
            pod_name: pod.name.clone(),
            namespace: pod.namespace.clone(),
            ..AppInfo::default()
        };
        for (key, value) in labels {
            match key.as_str() {
                "app" => appinfo.app_name = value,
                "release" => appinfo.release = value,
                _ => appinfo.labels.push((key, value)),
            }
        }
        appinfo
    }
}

fn as_map<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(key, value)| (key, value)))
}
