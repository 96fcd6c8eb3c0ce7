//! The manifests: that Kubernetes takes them, and that they fit each other, the image and the
//! program, which no schema can tell.
//!
//! A check is a function from the manifests to its complaints. [`holds`] asks that it has none,
//! and that it has some once a manifest is spoilt, so that no check is there for show.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Folder, Start, have, repository, run};
use serde_json::{Value, json};

/// A Kubernetes object.
#[derive(Clone)]
struct Object {
    /// Its manifest, relative to the repository.
    file: PathBuf,
    content: Value,
}

impl Object {
    /// `kind/name`, as kubectl has it.
    fn id(&self) -> String {
        format!("{}/{}", self.text("/kind").to_lowercase(), self.text("/metadata/name"))
    }

    /// What stands at a JSON pointer; null where nothing does, which is the same for Kubernetes.
    fn at(&self, pointer: &str) -> &Value {
        at(&self.content, pointer)
    }

    fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap_or_default()
    }

    fn is(&self, kind: &str) -> bool {
        self.text("/kind") == kind
    }

    /// The containers of a Deployment's pods, those of all three sorts.
    fn containers(&self) -> impl Iterator<Item = &Value> {
        ["containers", "initContainers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|sort| list(self.at(&format!("/spec/template/spec/{sort}"))))
    }
}

/// What stands at a JSON pointer in `value`; null where nothing does.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The items of a list; none where there is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The key-value pairs of labels or of a selector.
fn pairs(value: &Value) -> Vec<(&str, &str)> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())).collect()
}

/// The YAML files right in a folder of the repository, as `kubectl create -f FOLDER` takes them.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository().join(folder)).expect("the folder can be read");
    let mut files: Vec<_> = entries
        .map(|entry| Path::new(folder).join(entry.expect("an entry can be read").file_name()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

/// The objects in a file.
fn read(file: &Path) -> Vec<Object> {
    let text = std::fs::read_to_string(repository().join(file)).expect("a manifest can be read");
    let contents: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|why| panic!("{file:?}: {why}"));
    contents.into_iter().map(|content| Object { file: file.to_owned(), content }).collect()
}

/// The objects that `kubectl create -f FOLDER` creates.
fn created_by(folder: &str) -> Vec<Object> {
    files(folder).iter().flat_map(|file| read(file)).collect()
}

/// All our objects.
fn everything() -> Vec<Object> {
    ["manifests", "manifests/canary", "manifests/monitoring"]
        .into_iter()
        .flat_map(created_by)
        .collect()
}

/// The objects of a kind.
fn all<'a>(objects: &'a [Object], kind: &'a str) -> impl Iterator<Item = &'a Object> + Clone {
    objects.iter().filter(move |object| object.is(kind))
}

/// The Deployments of appinfo itself.
fn releases(objects: &[Object]) -> impl Iterator<Item = &Object> + Clone {
    all(objects, "Deployment").filter(|object| object.text(LABELS_APP) == "appinfo")
}

const LABELS: &str = "/spec/template/metadata/labels";
const LABELS_APP: &str = "/spec/template/metadata/labels/app";
const SELECTOR: &str = "/spec/selector/matchLabels";
const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// One thing that a check must find: in this object, at this JSON pointer, this value.
type Spoilt<'a> = (&'a str, &'a str, Value);

/// Asserts that a check finds nothing in the manifests, and something in each spoilt one.
fn holds(check: impl Fn(&[Object]) -> Vec<String>, spoilt: &[Spoilt]) {
    let objects = everything();
    assert_eq!(check(&objects), Vec::<String>::new());
    assert!(!spoilt.is_empty(), "a check that was never seen to fail is none");
    for (id, pointer, value) in spoilt {
        let mut objects = objects.clone();
        let object = objects.iter_mut().find(|object| object.id() == *id);
        put(&mut object.unwrap_or_else(|| panic!("there is no {id}")).content, pointer, value);
        assert!(!check(&objects).is_empty(), "{id} passes with {value} at {pointer}");
    }
}

/// Puts `new` at a JSON pointer, making the objects on the way there.
fn put(value: &mut Value, pointer: &str, new: &Value) {
    let place = pointer.split('/').skip(1).fold(value, |value, key| match value {
        Value::Array(items) => &mut items[key.parse::<usize>().expect("a list has numbers")],
        value => &mut value[key],
    });
    *place = new.clone();
}

/// Runs kubernetes-validate, which carries the schemas of the Kubernetes API, and returns its
/// lines that tell of success.
fn passes_the_schemas(version: &str, files: &[PathBuf]) -> Result<usize, String> {
    let output = Command::new("kubernetes-validate")
        .args(["--strict", "--kubernetes-version", version])
        .args(files)
        .current_dir(repository())
        .output()
        .expect("kubernetes-validate runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // It only warns of a kind that it has no schema for.
    if !output.status.success() || !said.lines().all(|line| line.starts_with("INFO ")) {
        return Err(said + &String::from_utf8_lossy(&output.stderr));
    }
    Ok(said.lines().count())
}

#[test]
fn kubernetes_schemas_old_and_new_accept_every_manifest() {
    if !have(&["kubernetes-validate"]) {
        return;
    }
    let objects = everything();
    let mut files: Vec<_> = objects.iter().map(|object| object.file.clone()).collect();
    files.dedup();
    for version in ["1.30", "1.37"] {
        assert_eq!(passes_the_schemas(version, &files), Ok(objects.len()), "Kubernetes {version}");
    }
    // A misspelt field, a wrong type, an unknown kind: each is found.
    let folder = Folder::new();
    for (pointer, value) in [
        ("/spec/template/spec/automountServiceAccountTokens", json!(false)),
        ("/spec/replicas", json!("one")),
        ("/apiVersion", json!("apps/v1beta2")),
    ] {
        let mut content = objects.iter().find(|it| it.is("Deployment")).unwrap().content.clone();
        put(&mut content, pointer, &value);
        let file = folder.path().join("spoilt.yaml");
        std::fs::write(&file, content.to_string()).expect("a file can be written");
        passes_the_schemas("1.37", &[file]).expect_err(&format!("{value} at {pointer} is found"));
    }
}

#[test]
fn creating_the_manifests_folder_starts_the_healthy_system_and_nothing_else() {
    let ids = |folder| created_by(folder).iter().map(Object::id).collect::<Vec<_>>();
    assert_eq!(ids("manifests"), ["service/appinfo", "deployment/appinfo"]);
    assert_eq!(
        ids("manifests/canary"),
        ["deployment/appinfo-canary-broken", "deployment/appinfo-canary-fixed"]
    );
    assert_eq!(
        ids("manifests/monitoring"),
        [
            "configmap/prometheus",
            "serviceaccount/prometheus",
            "role/prometheus",
            "rolebinding/prometheus",
            "deployment/prometheus",
            "service/prometheus"
        ]
    );
}

#[test]
fn each_tutorial_step_has_a_file_of_its_own() {
    for (file, id) in [
        ("manifests/appinfo.yaml", "deployment/appinfo"),
        ("manifests/appinfo-service.yaml", "service/appinfo"),
        ("manifests/canary/broken.yaml", "deployment/appinfo-canary-broken"),
        ("manifests/canary/fixed.yaml", "deployment/appinfo-canary-fixed"),
    ] {
        let ids: Vec<_> = read(Path::new(file)).iter().map(Object::id).collect();
        assert_eq!(ids, [id], "{file}");
    }
}

/// `kubectl` puts them into its current namespace, and so they work in any.
#[test]
fn no_manifest_names_a_namespace() {
    fn names_one(value: &Value) -> bool {
        match value {
            Value::Object(fields) => {
                fields.iter().any(|(key, value)| key == "namespace" || names_one(value))
            }
            Value::Array(items) => items.iter().any(names_one),
            _ => false,
        }
    }
    let check = |objects: &[Object]| {
        objects.iter().filter(|it| names_one(&it.content)).map(Object::id).collect()
    };
    holds(
        check,
        &[
            ("deployment/appinfo", "/metadata/namespace", json!("default")),
            ("rolebinding/prometheus", "/subjects/0/namespace", json!("default")),
        ],
    );
}

/// Two selectors overlap if some pod could match both: if no label sets them apart.
#[test]
fn a_selector_matches_its_own_pods_and_overlaps_with_no_other() {
    let check = |objects: &[Object]| {
        let mut complaints = Vec::new();
        let deployments: Vec<_> = all(objects, "Deployment").collect();
        for (number, one) in deployments.iter().enumerate() {
            let (selector, labels) = (pairs(one.at(SELECTOR)), pairs(one.at(LABELS)));
            if selector.is_empty() || !selector.iter().all(|pair| labels.contains(pair)) {
                complaints.push(format!("{} does not select its own pods", one.id()));
            }
            for other in &deployments[number + 1..] {
                let theirs = pairs(other.at(SELECTOR));
                let apart = |(key, value): &(&str, &str)| {
                    theirs.iter().any(|(their_key, theirs)| key == their_key && value != theirs)
                };
                if !selector.iter().any(apart) {
                    complaints.push(format!("{} overlaps with {}", one.id(), other.id()));
                }
            }
        }
        complaints
    };
    holds(
        check,
        &[
            ("deployment/appinfo", "/spec/template/metadata/labels/release", json!("stble")),
            ("deployment/appinfo", SELECTOR, json!({})),
            ("deployment/appinfo", SELECTOR, json!({"app": "appinfo"})),
            ("deployment/appinfo", SELECTOR, json!({"app": "appinfo", "tier": "web"})),
            (
                "deployment/appinfo-canary-fixed",
                "/spec/selector/matchLabels/canary",
                json!("broken"),
            ),
            ("deployment/appinfo-canary-fixed", SELECTOR, json!({"release": "canary"})),
        ],
    );
}

/// The answer lists a pod's own labels: exactly those that the tutorial explains.
#[test]
fn the_pods_have_the_tutorials_labels_and_no_others() {
    let check = |objects: &[Object]| {
        let labels: Vec<_> = releases(objects).map(|it| (it.id(), it.at(LABELS).clone())).collect();
        let expected = [
            ("deployment/appinfo", json!({"app": "appinfo", "release": "stable"})),
            (
                "deployment/appinfo-canary-broken",
                json!({"app": "appinfo", "release": "canary", "canary": "broken"}),
            ),
            (
                "deployment/appinfo-canary-fixed",
                json!({"app": "appinfo", "release": "canary", "canary": "fixed"}),
            ),
        ]
        .map(|(id, labels)| (id.to_owned(), labels));
        if labels == expected { vec![] } else { vec![format!("{labels:?}")] }
    };
    holds(
        check,
        &[("deployment/appinfo", "/spec/template/metadata/labels/tier", json!("backend"))],
    );
}

/// What the story compares is the release: nothing else may make a difference.
#[test]
fn a_canary_differs_from_the_stable_release_in_its_name_labels_and_image_alone() {
    let check = |objects: &[Object]| {
        let bare = |object: &Object| {
            let mut content = object.content.clone();
            for pointer in ["/metadata", SELECTOR, LABELS, &format!("{CONTAINER}/image")] {
                put(&mut content, pointer, &Value::Null);
            }
            content
        };
        let stable = objects.iter().find(|it| it.id() == "deployment/appinfo").map(bare);
        let differs = |object: &&Object| Some(bare(object)) != stable;
        releases(objects).filter(differs).map(|it| it.id()).collect()
    };
    holds(
        check,
        &[
            ("deployment/appinfo", "/spec/template/spec/terminationGracePeriodSeconds", json!(60)),
            ("deployment/appinfo-canary-fixed", "/spec/replicas", json!(2)),
        ],
    );
}

/// `kubectl set image deployment/appinfo appinfo-containers=...` accepts a canary.
#[test]
fn the_container_has_the_name_that_the_tutorial_types() {
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                let names: Vec<_> = it.containers().map(|container| &container["name"]).collect();
                names != ["appinfo-containers"]
            })
            .map(Object::id)
            .collect()
    };
    holds(check, &[("deployment/appinfo", &format!("{CONTAINER}/name"), json!("appinfo"))]);
}

/// From the Service's named port through its pods to the container's port.
#[test]
fn a_service_reaches_a_named_port_of_each_of_its_pods() {
    let check = |objects: &[Object]| {
        let mut complaints = Vec::new();
        for service in all(objects, "Service") {
            // kubectl proxy and the tutorial name the port `http`.
            if list(service.at("/spec/ports")).len() != 1
                || service.text("/spec/ports/0/name") != "http"
            {
                complaints.push(format!("{} has not one port, http", service.id()));
            }
            let selector = pairs(service.at("/spec/selector"));
            let app = service.text("/metadata/name");
            if selector != [("app", app)] {
                complaints.push(format!("{} selects {selector:?}", service.id()));
            }
            let chosen: Vec<_> = all(objects, "Deployment")
                .filter(|it| selector.iter().all(|pair| pairs(it.at(LABELS)).contains(pair)))
                .collect();
            if chosen.len() != if app == "appinfo" { 3 } else { 1 } {
                complaints.push(format!("{} has the pods of {}", service.id(), chosen.len()));
            }
            for deployment in chosen {
                let ports = deployment.containers().flat_map(|it| list(&it["ports"]));
                let named: Vec<_> = ports
                    .filter(|port| port["name"] == *service.at("/spec/ports/0/targetPort"))
                    .collect();
                if named.len() != 1
                    || named[0]["containerPort"] != *service.at("/spec/ports/0/port")
                {
                    complaints.push(format!("{} misses {}", service.id(), deployment.id()));
                }
            }
        }
        complaints
    };
    holds(
        check,
        &[
            ("service/appinfo", "/spec/ports/0/name", json!("web")),
            ("service/appinfo", "/spec/ports/0/targetPort", json!("web")),
            ("service/appinfo", "/spec/ports/0/port", json!(80)),
            ("service/appinfo", "/spec/selector/release", json!("stable")),
            ("service/appinfo", "/spec/selector/app", json!("appinf")),
            ("service/prometheus", "/spec/ports/0/targetPort", json!(9090)),
            ("deployment/appinfo-canary-fixed", &format!("{CONTAINER}/ports/0/name"), json!("web")),
            ("deployment/appinfo-canary-fixed", LABELS_APP, json!("appinfo-canary")),
        ],
    );
}

#[test]
fn appinfo_is_reached_through_a_port_of_every_node() {
    let check = |objects: &[Object]| {
        let service = objects.iter().find(|it| it.id() == "service/appinfo").unwrap();
        let fit = service.text("/spec/type") == "NodePort"
            && *service.at("/spec/ports/0/port") == 8080
            // The cluster chooses: a fixed one may be taken.
            && service.at("/spec/ports/0/nodePort").is_null();
        if fit { vec![] } else { vec![service.at("/spec").to_string()] }
    };
    holds(
        check,
        &[
            ("service/appinfo", "/spec/type", json!("ClusterIP")),
            ("service/appinfo", "/spec/ports/0/port", json!(80)),
            ("service/appinfo", "/spec/ports/0/nodePort", json!(30000)),
        ],
    );
}

/// Readiness is asked each second, liveness with patience, both by the port's name.
#[test]
fn probes_ask_what_the_program_answers() {
    let appinfo = Start::new().spawn();
    let check = |objects: &[Object]| {
        let mut complaints = Vec::new();
        for deployment in releases(objects) {
            for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
                let probe = deployment.at(&format!("{CONTAINER}/{probe}"));
                let port = at(probe, "/httpGet/port");
                if *port != json!("http")
                    || *port != *deployment.at(&format!("{CONTAINER}/ports/0/name"))
                {
                    complaints.push(format!("{} probes port {port}", deployment.id()));
                }
                if at(probe, "/httpGet/path") != path || appinfo.get(path).status != 200 {
                    complaints.push(format!("{} has no probe of {path}", deployment.id()));
                }
            }
            if *deployment.at(&format!("{CONTAINER}/readinessProbe/periodSeconds")) != 1 {
                complaints.push(format!("{} is slow to be ready", deployment.id()));
            }
            let patience = ["periodSeconds", "failureThreshold"]
                .map(|it| deployment.at(&format!("{CONTAINER}/livenessProbe/{it}")).as_u64());
            if patience.iter().flatten().product::<u64>() < 30 {
                complaints.push(format!("{} is restarted hastily", deployment.id()));
            }
        }
        complaints
    };
    holds(
        check,
        &[
            (
                "deployment/appinfo",
                &format!("{CONTAINER}/readinessProbe/httpGet/path"),
                json!("/healthz"),
            ),
            ("deployment/appinfo", &format!("{CONTAINER}/livenessProbe"), Value::Null),
            (
                "deployment/appinfo",
                &format!("{CONTAINER}/livenessProbe/httpGet/port"),
                json!("web"),
            ),
            ("deployment/appinfo", &format!("{CONTAINER}/livenessProbe/periodSeconds"), json!(1)),
            ("deployment/appinfo", &format!("{CONTAINER}/readinessProbe/periodSeconds"), json!(10)),
            ("deployment/appinfo", &format!("{CONTAINER}/ports/0/name"), json!("web")),
        ],
    );
}

/// No request is lost in a rollout: a new pod is ready before an old one stops.
#[test]
fn a_rollout_never_has_fewer_pods_than_asked_for() {
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                let strategy = it.at("/spec/strategy");
                *strategy != json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})
            })
            .map(Object::id)
            .collect()
    };
    let max = |what| format!("/spec/strategy/rollingUpdate/{what}");
    holds(
        check,
        &[
            ("deployment/appinfo", &max("maxUnavailable"), json!(1)),
            ("deployment/appinfo", "/spec/strategy", Value::Null),
            ("deployment/appinfo", "/spec/strategy", json!({"type": "Recreate"})),
        ],
    );
}

#[test]
fn each_release_starts_with_one_pod() {
    let check = |objects: &[Object]| {
        releases(objects).filter(|it| *it.at("/spec/replicas") != 1).map(Object::id).collect()
    };
    holds(check, &[("deployment/appinfo", "/spec/replicas", json!(3))]);
}

/// The default that `appinfo --help` tells for a variable.
fn default_of(variable: &str) -> String {
    let help = Start::new().without_listen().args("--help").output().stdout;
    let help = String::from_utf8(help).expect("the help is UTF-8");
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    help.split_once(&format!("[{variable}; default: "))
        .and_then(|(_, rest)| rest.split_once(']'))
        .unwrap_or_else(|| panic!("the help tells the default of {variable}: {help}"))
        .0
        .to_owned()
}

/// After the grace period Kubernetes kills: some seconds must be left when the drain is over.
#[test]
fn kubernetes_waits_for_longer_than_the_program_drains() {
    let drain: u64 = default_of("APPINFO_DRAIN").parse().expect("the drain is in whole seconds");
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                let grace = it.at("/spec/template/spec/terminationGracePeriodSeconds").as_u64();
                grace.is_none_or(|grace| grace < drain + 5)
            })
            .map(Object::id)
            .collect()
    };
    holds(
        check,
        &[("deployment/appinfo", &format!("{POD}/terminationGracePeriodSeconds"), json!(drain))],
    );
}

#[test]
fn a_pod_asks_for_little_and_is_held_to_it() {
    let asked = json!({"requests": {"cpu": "10m", "memory": "4Mi"}, "limits": {"memory": "96Mi"}});
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| *it.at(&format!("{CONTAINER}/resources")) != asked)
            .map(Object::id)
            .collect()
    };
    let limit = format!("{CONTAINER}/resources/limits/memory");
    holds(check, &[("deployment/appinfo", &limit, json!("64Mi"))]);
}

/// The images that `just images` builds, and none that a registry is asked for.
#[test]
fn the_images_are_those_that_just_builds() {
    if !have(&["just"]) {
        return;
    }
    let just = |arguments: &[&str]| {
        let mut just = Command::new("just");
        just.args(arguments).current_dir(repository()).env_remove("APPINFO_REPOSITORY");
        run(&mut just).trim().to_owned()
    };
    let repository = just(&["--evaluate", "REPOSITORY"]);
    assert_eq!(repository, "localhost/appinfo");
    let images = [
        ("deployment/appinfo", "baseline"),
        ("deployment/appinfo-canary-broken", "broken"),
        ("deployment/appinfo-canary-fixed", "namespace"),
    ]
    .map(|(id, variant)| (id, format!("{repository}:{}", just(&["tag", variant]))));
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                let expected = images.iter().find(|(id, _)| it.id() == *id);
                let container = it.at(CONTAINER);
                expected.is_none_or(|(_, image)| container["image"] != **image)
                    || container["imagePullPolicy"] != "IfNotPresent"
            })
            .map(Object::id)
            .collect()
    };
    let pull = format!("{CONTAINER}/imagePullPolicy");
    holds(
        check,
        &[
            ("deployment/appinfo", &format!("{CONTAINER}/image"), json!("localhost/appinfo:2")),
            ("deployment/appinfo-canary-broken", &pull, json!("Always")),
        ],
    );
}

/// The program is told nothing: it finds its labels by the image's link, and the rest by default.
#[test]
fn the_labels_volume_lies_where_the_images_link_points() {
    let justfile = std::fs::read_to_string(repository().join("justfile")).unwrap();
    let link = justfile
        .lines()
        .find_map(|line| line.trim().strip_prefix("ln -s ")?.strip_suffix(" \"$root/etc/labels\""))
        .expect("the justfile links /etc/labels in the image");
    assert_eq!(default_of("APPINFO_LABELS"), "/etc/labels");
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                let mount = it.at(&format!("{CONTAINER}/volumeMounts/0"));
                let volume = it.at(&format!("{POD}/volumes/0"));
                let file = at(volume, "/downwardAPI/items/0");
                let path = |folder: &Value, file: &Value| {
                    format!("{}/{}", folder.as_str().unwrap_or(""), file.as_str().unwrap_or(""))
                };
                mount["name"] != volume["name"]
                    || path(&mount["mountPath"], &file["path"]) != format!("/etc/{link}")
                    || !mount["subPath"].is_null()
                    || *at(file, "/fieldRef/fieldPath") != "metadata.labels"
            })
            .map(Object::id)
            .collect()
    };
    let mount = |field| format!("{CONTAINER}/volumeMounts/0/{field}");
    let file = |field| format!("{POD}/volumes/0/downwardAPI/items/0/{field}");
    holds(
        check,
        &[
            ("deployment/appinfo", &mount("mountPath"), json!("/etc")),
            ("deployment/appinfo", &mount("name"), json!("config")),
            ("deployment/appinfo", &mount("subPath"), json!("labels")),
            ("deployment/appinfo", &file("path"), json!("label")),
            ("deployment/appinfo", &file("fieldRef/fieldPath"), json!("metadata.annotations")),
        ],
    );
}

/// The two variables that the answer quotes, and Kubernetes' own for the Service, which the
/// tutorial looks at.
#[test]
fn a_pod_is_told_its_name_its_namespace_and_the_services_around() {
    let env = json!([
        {"name": "MY_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "MY_POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]);
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                *it.at(&format!("{CONTAINER}/env")) != env
                    || *it.at(&format!("{POD}/enableServiceLinks")) == false
            })
            .map(Object::id)
            .collect()
    };
    let first = format!("{CONTAINER}/env/0/valueFrom/fieldRef/fieldPath");
    holds(
        check,
        &[
            ("deployment/appinfo", &first, json!("metadata.uid")),
            ("deployment/appinfo", &format!("{POD}/enableServiceLinks"), json!(false)),
        ],
    );
}

/// The port that the program listens on, that the image says, and that the pod says.
#[test]
fn the_port_is_the_programs_own() {
    let containerfile = std::fs::read_to_string(repository().join("Containerfile")).unwrap();
    let exposed = containerfile.lines().find_map(|line| line.strip_prefix("EXPOSE "));
    let exposed: u64 = exposed.expect("the image tells its port").trim().parse().unwrap();
    assert_eq!(default_of("APPINFO_LISTEN"), format!("every address, port {exposed}"));
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                *it.at(&format!("{CONTAINER}/ports"))
                    != json!([{"name": "http", "containerPort": exposed}])
            })
            .map(Object::id)
            .collect()
    };
    let port = format!("{CONTAINER}/ports/0/containerPort");
    holds(check, &[("deployment/appinfo-canary-broken", &port, json!(80))]);
}

/// The image's user, so that what runs is what was tested.
#[test]
fn the_user_is_the_images_own() {
    let containerfile = std::fs::read_to_string(repository().join("Containerfile")).unwrap();
    let check = |objects: &[Object]| {
        releases(objects)
            .filter(|it| {
                let [user, group] = ["runAsUser", "runAsGroup"]
                    .map(|field| it.at(&format!("{POD}/securityContext/{field}")).to_string());
                !containerfile.contains(&format!("\nUSER {user}:{group}\n"))
            })
            .map(Object::id)
            .collect()
    };
    let user = format!("{POD}/securityContext/runAsUser");
    holds(check, &[("deployment/appinfo", &user, json!(1000))]);
}

/// What the policy `restricted` of Kubernetes 1.36 demands of a pod, control by control, in the
/// order of <https://kubernetes.io/docs/concepts/security/pod-security-standards/>. Where it
/// allows some values of a field beside its absence, we use none.
fn breaches_of_restricted(deployment: &Object) -> Vec<String> {
    let pod = deployment.at(POD);
    let mut breaches = Vec::new();
    let mut demand = |fulfilled: bool, control: &str| {
        if !fulfilled {
            breaches.push(format!("{}: {control}", deployment.id()));
        }
    };
    let absent = |value: &Value, pointer: &str| at(value, pointer).is_null();

    demand(absent(pod, "/securityContext/windowsOptions"), "HostProcess");
    for field in ["/hostNetwork", "/hostPID", "/hostIPC"] {
        demand(absent(pod, field), "Host Namespaces");
    }
    // Baseline forbids hostPath; restricted names the sorts that are left.
    for volume in list(&pod["volumes"]) {
        let sorts = volume.as_object().into_iter().flat_map(|it| it.keys());
        for sort in sorts.filter(|key| *key != "name") {
            demand(
                ["configMap", "downwardAPI", "emptyDir"].contains(&sort.as_str()),
                "Volume Types",
            );
        }
    }
    demand(absent(pod, "/securityContext/appArmorProfile"), "AppArmor");
    demand(absent(deployment.at("/spec/template/metadata"), "/annotations"), "AppArmor");
    demand(absent(pod, "/securityContext/seLinuxOptions"), "SELinux");
    demand(absent(pod, "/securityContext/sysctls"), "Sysctls");
    demand(*at(pod, "/securityContext/runAsNonRoot") == true, "Running as Non-root");
    demand(
        at(pod, "/securityContext/runAsUser").as_u64().is_some_and(|user| user > 0),
        "Running as Non-root user",
    );
    demand(*at(pod, "/securityContext/seccompProfile/type") == "RuntimeDefault", "Seccomp");

    for container in deployment.containers() {
        let own = &container["securityContext"];
        demand(absent(own, "/windowsOptions"), "HostProcess");
        demand(absent(own, "/privileged"), "Privileged Containers");
        for port in list(&container["ports"]) {
            demand(absent(port, "/hostPort"), "Host Ports");
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            for way in ["httpGet", "tcpSocket"] {
                demand(absent(container, &format!("/{probe}/{way}/host")), "Host Probes");
            }
        }
        demand(absent(container, "/lifecycle"), "Lifecycle Hooks");
        demand(absent(own, "/appArmorProfile"), "AppArmor");
        demand(absent(own, "/seLinuxOptions"), "SELinux");
        demand(absent(own, "/procMount"), "/proc Mount Type");
        demand(*at(own, "/allowPrivilegeEscalation") == false, "Privilege Escalation");
        // A container's own settings overrule its pod's.
        demand(absent(own, "/runAsNonRoot"), "Running as Non-root");
        demand(absent(own, "/runAsUser"), "Running as Non-root user");
        demand(absent(own, "/seccompProfile"), "Seccomp");
        demand(*at(own, "/capabilities") == json!({"drop": ["ALL"]}), "Capabilities");
    }
    breaches
}

#[test]
fn every_pod_passes_the_strictest_pod_policy() {
    let check = |objects: &[Object]| {
        all(objects, "Deployment").flat_map(breaches_of_restricted).collect::<Vec<_>>()
    };
    let pod = |field| format!("{POD}/{field}");
    let pods = |field| format!("{POD}/securityContext/{field}");
    let container = |field| format!("{CONTAINER}/{field}");
    let containers = |field| format!("{CONTAINER}/securityContext/{field}");
    let spoilt = [
        (pods("windowsOptions/hostProcess"), json!(true)),
        (containers("windowsOptions/hostProcess"), json!(true)),
        (pod("hostNetwork"), json!(true)),
        (pod("hostPID"), json!(true)),
        (pod("hostIPC"), json!(true)),
        (containers("privileged"), json!(true)),
        (containers("capabilities/add"), json!(["NET_ADMIN"])),
        (containers("capabilities/drop"), json!(["NET_RAW"])),
        (pod("volumes/0"), json!({"name": "podinfo", "hostPath": {"path": "/"}})),
        (container("ports/0/hostPort"), json!(8080)),
        (container("livenessProbe/httpGet/host"), json!("10.0.0.1")),
        (container("startupProbe/tcpSocket/host"), json!("10.0.0.1")),
        (container("lifecycle/preStop/httpGet/host"), json!("10.0.0.1")),
        (pods("appArmorProfile/type"), json!("Unconfined")),
        (containers("appArmorProfile/type"), json!("Unconfined")),
        (
            "/spec/template/metadata/annotations".to_owned(),
            json!({"container.apparmor.security.beta.kubernetes.io/prometheus": "unconfined"}),
        ),
        (pods("seLinuxOptions/type"), json!("spc_t")),
        (containers("seLinuxOptions/type"), json!("spc_t")),
        (containers("procMount"), json!("Unmasked")),
        (pods("seccompProfile/type"), json!("Unconfined")),
        (pods("seccompProfile"), Value::Null),
        (containers("seccompProfile/type"), json!("Unconfined")),
        (pods("sysctls"), json!([{"name": "kernel.msgmax", "value": "1"}])),
        (containers("allowPrivilegeEscalation"), json!(true)),
        (containers("allowPrivilegeEscalation"), Value::Null),
        (pods("runAsNonRoot"), json!(false)),
        (pods("runAsNonRoot"), Value::Null),
        (containers("runAsNonRoot"), json!(false)),
        (pods("runAsUser"), json!(0)),
        (pods("runAsUser"), Value::Null),
        (containers("runAsUser"), json!(0)),
        (pod("initContainers"), json!([{"name": "first", "image": "first"}])),
    ];
    let spoilt = spoilt
        .each_ref()
        .map(|(at, value)| ("deployment/appinfo-canary-fixed", at.as_str(), value.clone()));
    holds(check, &spoilt);
    let monitoring = spoilt.map(|(_, at, value)| ("deployment/prometheus", at, value));
    holds(check, &monitoring);
}

/// Beyond the policy: nothing to write on, and no token where none is used.
#[test]
fn pods_cannot_write_their_root_and_only_prometheus_has_a_token() {
    let check = |objects: &[Object]| {
        let mut complaints = Vec::new();
        for it in all(objects, "Deployment") {
            if it.containers().any(|it| *at(it, "/securityContext/readOnlyRootFilesystem") != true)
            {
                complaints.push(format!("{} may write", it.id()));
            }
            let monitors = it.text(LABELS_APP) == "prometheus";
            if *it.at(&format!("{POD}/automountServiceAccountToken")) != monitors {
                complaints.push(format!("{} has a token, or misses it", it.id()));
            }
        }
        for account in all(objects, "ServiceAccount") {
            if *account.at("/automountServiceAccountToken") != false {
                complaints.push(format!("{} hands its token out", account.id()));
            }
        }
        complaints
    };
    let root = format!("{CONTAINER}/securityContext/readOnlyRootFilesystem");
    let token = format!("{POD}/automountServiceAccountToken");
    holds(
        check,
        &[
            ("deployment/appinfo", &root, Value::Null),
            ("deployment/prometheus", &root, json!(false)),
            ("deployment/appinfo", &token, Value::Null),
            ("deployment/prometheus", &token, json!(false)),
            ("serviceaccount/prometheus", "/automountServiceAccountToken", Value::Null),
        ],
    );
}

/// From Prometheus' pod by its account and the binding to the one thing that it may do.
#[test]
fn prometheus_may_read_the_pods_of_its_namespace_and_nothing_else() {
    let check = |objects: &[Object]| {
        let mut complaints = Vec::new();
        let one = |id: &str| objects.iter().find(|it| it.id() == id).unwrap();
        if one("deployment/prometheus").text(&format!("{POD}/serviceAccountName"))
            != one("serviceaccount/prometheus").text("/metadata/name")
        {
            complaints.push("Prometheus runs as another account".to_owned());
        }
        let binding = one("rolebinding/prometheus");
        if *binding.at("/subjects") != json!([{"kind": "ServiceAccount", "name": "prometheus"}]) {
            complaints.push("the binding is another account's".to_owned());
        }
        let role = json!({
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "prometheus"
        });
        if *binding.at("/roleRef") != role {
            complaints.push("the binding is to another role".to_owned());
        }
        let rules = json!([
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
        ]);
        if *one("role/prometheus").at("/rules") != rules {
            complaints.push("the role allows something else".to_owned());
        }
        complaints
    };
    let account = format!("{POD}/serviceAccountName");
    holds(
        check,
        &[
            ("deployment/prometheus", &account, json!("default")),
            ("rolebinding/prometheus", "/subjects/0/name", json!("default")),
            ("rolebinding/prometheus", "/roleRef/kind", json!("ClusterRole")),
            ("role/prometheus", "/rules/0/resources/0", json!("secrets")),
            ("role/prometheus", "/rules/0/verbs/0", json!("delete")),
        ],
    );
}

/// The files that the arguments name are the ConfigMap's, and what is written goes to a volume.
#[test]
fn prometheus_finds_its_configuration_and_a_place_for_its_data() {
    let check = |objects: &[Object]| {
        let one = |id: &str| objects.iter().find(|it| it.id() == id).unwrap();
        let (deployment, config) = (one("deployment/prometheus"), one("configmap/prometheus"));
        let mounted = |path: &str, sort: &str| {
            let mounts = list(deployment.at(&format!("{CONTAINER}/volumeMounts")));
            let mount = mounts.iter().find(|it| it["mountPath"] == path)?;
            let volumes = list(deployment.at(&format!("{POD}/volumes")));
            let volume = volumes.iter().find(|it| it["name"] == mount["name"])?;
            volume.get(sort).filter(|source| !source.is_null()).cloned()
        };
        let args = list(deployment.at(&format!("{CONTAINER}/args")));
        let fits = args.contains(&json!("--config.file=/etc/prometheus/prometheus.yml"))
            && args.contains(&json!("--storage.tsdb.path=/prometheus"))
            && mounted("/etc/prometheus", "configMap") == Some(json!({"name": "prometheus"}))
            && mounted("/prometheus", "emptyDir").is_some()
            && ["prometheus.yml", "rules.yml"].iter().all(|it| config.at("/data")[it].is_string());
        if fits { vec![] } else { vec![deployment.at(POD).to_string()] }
    };
    holds(
        check,
        &[
            ("deployment/prometheus", &format!("{CONTAINER}/args/0"), json!("--config.file=x")),
            ("deployment/prometheus", &format!("{CONTAINER}/args/1"), json!("--help")),
            ("deployment/prometheus", &format!("{POD}/volumes/0/configMap/name"), json!("x")),
            ("deployment/prometheus", &format!("{POD}/volumes/1/emptyDir"), Value::Null),
            ("deployment/prometheus", &format!("{CONTAINER}/volumeMounts/1/name"), json!("config")),
            ("configmap/prometheus", "/data/rules.yml", Value::Null),
        ],
    );
}

/// What is pinned stays what was tested.
#[test]
fn prometheus_is_the_upstream_image_at_a_pinned_version() {
    let check = |objects: &[Object]| {
        objects
            .iter()
            .filter(|it| it.id() == "deployment/prometheus")
            .filter(|it| {
                let image = it.text(&format!("{CONTAINER}/image"));
                let version = image.strip_prefix("docker.io/prom/prometheus:v").unwrap_or_default();
                let numbers: Vec<_> = version.split('.').collect();
                numbers.len() != 3 || numbers.iter().any(|it| it.parse::<u32>().is_err())
            })
            .map(Object::id)
            .collect()
    };
    let image = format!("{CONTAINER}/image");
    holds(
        check,
        &[
            ("deployment/prometheus", &image, json!("docker.io/prom/prometheus:latest")),
            ("deployment/prometheus", &image, json!("docker.io/prom/prometheus:v3")),
            ("deployment/prometheus", &image, json!("prom/prometheus")),
        ],
    );
}
