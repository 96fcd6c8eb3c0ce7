//! The manifests as Kubernetes reads them: a list of objects.

use crate::common::{self, *};

/// The YAML files of all folders, each of which one `kubectl create -f` creates.
pub fn all_files() -> Vec<PathBuf> {
    let list = "ls manifests/*.yaml manifests/*/*.yaml";
    let files = run(Command::new("sh").args(["-c", list]).current_dir(repository()));
    files.lines().map(|file| repository().join(file)).collect()
}

/// The text of all of them.
pub fn text() -> String {
    all_files().iter().map(common::text).collect()
}

/// All objects.
pub fn all() -> Vec<Value> {
    let objects = |file: &PathBuf| -> Vec<Value> {
        let objects = serde_saphyr::from_multiple(&common::text(file));
        objects.unwrap_or_else(|why| panic!("{}: {why}", file.display()))
    };
    all_files().iter().flat_map(objects).collect()
}

/// The objects of a kind.
pub fn of_kind(kind: &str) -> Vec<Value> {
    all().into_iter().filter(|object| object["kind"] == kind).collect()
}

/// `kind/name`, as kubectl has it.
pub fn id(object: &Value) -> String {
    let [kind, name] = [&object["kind"], &object["metadata"]["name"]].map(|it| it.as_str());
    format!("{}/{}", kind.expect("it has one").to_lowercase(), name.expect("it has one"))
}

/// The object of that name.
pub fn named(name: &str) -> Value {
    let object = all().into_iter().find(|object| id(object) == name);
    object.unwrap_or_else(|| panic!("there is no {name}"))
}
