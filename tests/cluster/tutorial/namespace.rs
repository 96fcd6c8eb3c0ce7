//! A cluster, and a namespace of the tutorial's own in it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::common::{self, Folder};

/// How to reach a cluster.
pub struct Access {
    /// The only context that is ever used.
    pub context: String,
    /// Where the context is described, unless kubectl finds it by itself.
    pub kubeconfig: Option<PathBuf>,
    /// A node that can be reached from here, if the first one's InternalIP cannot.
    pub node: Option<String>,
    /// Whether the cluster can have images of other registries.
    pub outside_images: bool,
    /// A folder whose programs take precedence.
    pub programs: Option<Folder>,
    /// A folder with a release's files, to run the commands in; else it is the repository.
    pub release: Option<Folder>,
    /// The shell for the commands.
    pub shell: &'static str,
    /// Variables that are set in it at first.
    pub variables: Vec<(&'static str, String)>,
}

impl Access {
    /// The cluster that the environment names.
    pub fn from_environment() -> Option<Access> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Some(Access {
            context: variable("APPINFO_KUBE_CONTEXT")?,
            kubeconfig: None,
            node: variable("APPINFO_NODE_ADDRESS"),
            outside_images: variable("APPINFO_OUTSIDE_IMAGES").as_deref() != Some("0"),
            programs: None,
            release: None,
            shell: "bash",
            variables: Vec::new(),
        })
    }
}

/// A namespace with the strictest pod policy, and a kubeconfig for it alone. Deleted at the end; after a
/// failure it first prints its pods, events and logs.
pub struct Namespace {
    pub folder: Folder,
    pub name: String,
    path: String,
    place: PathBuf,
    shell: &'static str,
    variables: Vec<(&'static str, String)>,
}

impl Namespace {
    pub fn create(access: &Access) -> Namespace {
        let folder = Folder::new();
        let mut view = Command::new("kubectl");
        view.args(["config", "view", "--raw", "--flatten", "--minify", "--context"]);
        view.arg(&access.context).envs(access.kubeconfig.iter().map(|file| ("KUBECONFIG", file)));
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(kubeconfig, common::run(&mut view)).expect("the folder can be written");

        let programs = access.programs.iter().map(|folder| format!("{}:", folder.path().display()));
        let path = programs.collect::<String>() + &std::env::var("PATH").unwrap_or_default();
        let name = format!("appinfo-tutorial-{}", std::process::id());
        let (shell, variables) = (access.shell, access.variables.clone());
        let release = access.release.as_ref().map(|folder| folder.path().to_owned());
        let place = release.unwrap_or_else(|| common::repository().to_owned());
        let namespace = Namespace { folder, name, path, place, shell, variables };
        namespace.kubectl(&format!("config use-context {}", access.context));
        let policy = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"name": namespace.name, "labels": policy});
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        let file = namespace.folder.path().join("namespace.json");
        std::fs::write(&file, manifest.to_string()).expect("the folder can be written");
        namespace.kubectl(&format!("create -f {}", file.display()));
        namespace.kubectl(&format!("config set-context --current --namespace {}", namespace.name));
        namespace
    }

    /// Runs kubectl with arguments separated by white space.
    pub fn kubectl(&self, arguments: &str) -> String {
        common::run(self.command("kubectl").args(arguments.split(' ')))
    }

    /// A shell that runs these commands, without the user's start-up files.
    pub fn shell(&self, commands: &str) -> Command {
        let mut shell = self.command(self.shell);
        if self.shell == "zsh" {
            shell.arg("-f");
        }
        // Readers may have it or not; the tests' shells fail if a variable is unset.
        shell.args(["-c", commands]).env("no_proxy", std::env::var("no_proxy").unwrap_or_default());
        shell.envs(self.variables.iter().map(|(name, value)| (name, value)));
        shell
    }

    /// A program that knows only this namespace of this cluster.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.place).stdin(Stdio::null());
        command.env("PATH", &self.path).env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        command.env("KUBECACHEDIR", self.folder.path().join("cache"));
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for arguments in ["get pods -o wide", "get events", "logs -l app=appinfo --prefix"] {
                let output = self.command("kubectl").args(arguments.split(' ')).output();
                let told = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
                eprintln!("kubectl {arguments}\n{}", told.unwrap_or_default());
            }
        }
        let _ = self.command("kubectl").args(["delete", "namespace", &self.name]).output();
    }
}
