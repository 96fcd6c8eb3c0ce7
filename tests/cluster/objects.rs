//! The manifests as Kubernetes reads them: a list of objects.

use crate::common::*;

/// The YAML files of all folders, each of which one `kubectl create -f` creates.
pub fn all_files() -> Vec<PathBuf> {
    let folders = ["manifests", "manifests/canary", "manifests/monitoring"];
    let entries = folders.map(|it| repository().join(it).read_dir().expect("it can be read"));
    let files = entries.into_iter().flatten().map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension() == Some("yaml".as_ref())).collect();
    files.sort();
    files
}

/// All objects.
pub fn all() -> Vec<Value> {
    let objects = |file: &PathBuf| -> Vec<Value> {
        let text = std::fs::read_to_string(file).expect("a manifest can be read");
        serde_saphyr::from_multiple(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
    };
    all_files().iter().flat_map(objects).collect()
}

/// The objects of a kind.
pub fn of_kind(kind: &str) -> Vec<Value> {
    all().into_iter().filter(|object| object["kind"] == kind).collect()
}

/// `kind/name`, as kubectl has it.
pub fn id(object: &Value) -> String {
    let text = |value: &Value| value.as_str().expect("an object has a kind and a name").to_owned();
    format!("{}/{}", text(&object["kind"]).to_lowercase(), text(&object["metadata"]["name"]))
}

/// The object of that name.
pub fn named(name: &str) -> Value {
    let object = all().into_iter().find(|object| id(object) == name);
    object.unwrap_or_else(|| panic!("there is no {name}"))
}

/// Every value as `/path/to/it=value`; what stands in a list has the list's path.
pub fn leaves(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| leaves(&format!("{path}/{key}"), value)).collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| leaves(path, item)).collect(),
        Value::String(text) => vec![format!("{path}={text}")],
        other => vec![format!("{path}={other}")],
    }
}

/// The rest of each leaf, in any manifest, that starts like this.
pub fn values_at(place: &str) -> BTreeSet<String> {
    let leaves = all().into_iter().flat_map(|object| leaves("", &object));
    leaves.filter_map(|leaf| leaf.strip_prefix(place).map(str::to_owned)).collect()
}
