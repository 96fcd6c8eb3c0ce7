//! AppInfo, the document that the tutorial is about.

use std::env;

use serde::{Serialize, Serializer};

use crate::pod::labels::Labels;

/// How a pod is deployed. What is unknown is an empty string.
#[derive(Debug, Serialize)]
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

impl AppInfo {
    /// All that is known about this pod, with these labels.
    pub fn new(mut labels: Labels) -> AppInfo {
        let mut take = |key| match labels.iter().position(|(other, _)| other == key) {
            Some(place) => labels.remove(place).1,
            None => String::new(),
        };
        AppInfo {
            pod_name: pod_name(),
            app_name: take("app"),
            namespace: variable("MY_POD_NAMESPACE"),
            release: take("release"),
            labels,
        }
    }
}

/// This pod's name, which the manifest sets through the downward API; empty if it does not.
pub fn pod_name() -> String {
    variable("MY_POD_NAME")
}

fn variable(name: &str) -> String {
    env::var_os(name).unwrap_or_default().to_string_lossy().into_owned()
}

fn as_map<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(key, value)| (key, value)))
}
