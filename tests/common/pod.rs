//! Pods as processes of this machine: the real program with a name and a volume of labels that is
//! swapped as the kubelet does it. And the tutorial's releases, to start pods of.

use super::*;

/// The process, and the volume with its labels.
pub struct Pod {
    pub name: String,
    pub appinfo: Appinfo,
    labels: BTreeMap<String, String>,
    volume: DownwardApi,
}

impl Pod {
    /// Starts one in the namespace `default`.
    pub fn new(start: Start, name: &str, variant: &str, labels: &[(&str, &str)]) -> Pod {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        let labels = labels.iter().map(owned).collect();
        let volume = DownwardApi::with(file(&labels));
        let appinfo = start
            .args(&format!("--variant {variant}"))
            .env("APPINFO_LABELS", volume.file())
            .env("MY_POD_NAME", name)
            .env("MY_POD_NAMESPACE", "default")
            .spawn();
        Pod { name: name.to_owned(), appinfo, labels, volume }
    }

    /// Sets a label, as `kubectl label` does.
    pub fn label(&mut self, key: &str, value: &str) {
        self.labels.insert(key.to_owned(), value.to_owned());
        self.volume.swap(file(&self.labels));
    }
}

/// The labels as the kubelet writes them: quoted as Go does, which for labels is as Rust does.
fn file(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

/// A version of the tutorial's program in its Deployment.
pub struct Release {
    deployment: &'static str,
    variant: &'static str,
    /// The label `pod-template-hash`.
    hash: &'static str,
    labels: &'static [(&'static str, &'static str)],
}

/// The first stable release.
pub const STABLE: Release = Release {
    deployment: "appinfo",
    variant: "baseline",
    hash: "5d8c7b9f4d",
    labels: &[("app", "appinfo"), ("release", "stable")],
};

/// The broken canary.
pub const BROKEN_CANARY: Release = Release {
    deployment: "appinfo-canary-broken",
    variant: "broken",
    hash: "6f7d9c8b5c",
    labels: &[("app", "appinfo"), ("canary", "broken"), ("release", "canary")],
};

/// The fixed canary.
pub const FIXED_CANARY: Release = Release {
    deployment: "appinfo-canary-fixed",
    variant: "namespace",
    hash: "7b46cc95b8",
    labels: &[("app", "appinfo"), ("canary", "fixed"), ("release", "canary")],
};

/// The stable release after the fix.
pub const ACCEPTED: Release = Release { variant: "namespace", hash: "84f6d5c79b", ..STABLE };

impl Release {
    /// The start of its pods' names.
    pub fn prefix(&self) -> String {
        format!("{}-{}", self.deployment, self.hash)
    }

    /// Starts a pod whose name ends with `suffix`.
    pub fn pod(&self, start: Start, suffix: &str) -> Pod {
        let name = format!("{}-{suffix}", self.prefix());
        let mut labels = self.labels.to_vec();
        labels.push(("pod-template-hash", self.hash));
        Pod::new(start, &name, self.variant, &labels)
    }
}
