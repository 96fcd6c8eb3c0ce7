//! A cluster, and a namespace of the tutorial's own in it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::{self, Folder};

/// How to reach a cluster, and what the tutorial's commands find on the machine.
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
    pub programs: Folder,
    /// A folder with a release's files, to run the commands in; else it is the repository.
    pub release: Option<Folder>,
    /// The shell for the commands.
    pub shell: &'static str,
    /// Variables that are set in it at first.
    pub variables: Vec<(&'static str, String)>,
}

impl Access {
    pub fn new(context: String) -> Access {
        Access {
            context,
            kubeconfig: None,
            node: None,
            outside_images: false,
            programs: Folder::new(),
            release: None,
            shell: "bash",
            variables: Vec::new(),
        }
    }

    /// The cluster that the environment names.
    pub fn from_environment() -> Option<Access> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let mut access = Access::new(variable("APPINFO_KUBE_CONTEXT")?);
        access.node = variable("APPINFO_NODE_ADDRESS");
        access.outside_images = variable("APPINFO_OUTSIDE_IMAGES").as_deref() != Some("0");
        Some(access)
    }

    /// Adds a shell script to the programs that take precedence.
    pub fn add_program(&self, name: &str, script: &str) {
        let path = self.programs.path().join(name);
        std::fs::write(&path, format!("#!/usr/bin/env bash\n{script}")).expect("it can be written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, executable).expect("the file is ours");
    }
}

/// A namespace with the strictest pod policy, and a kubeconfig for it alone. Deleted at the end; after a
/// failure it first prints its pods, events and logs.
pub struct Namespace<'a> {
    pub access: &'a Access,
    pub folder: Folder,
    pub name: String,
}

impl Namespace<'_> {
    pub fn create(access: &Access) -> Namespace<'_> {
        let name = format!("appinfo-tutorial-{}", std::process::id());
        let namespace = Namespace { access, folder: Folder::new(), name };

        let mut view = Command::new("kubectl");
        view.args(["config", "view", "--raw", "--flatten", "--minify", "--output=json"]);
        view.args(["--context", &access.context]);
        view.envs(access.kubeconfig.iter().map(|file| ("KUBECONFIG", file)));
        let config = common::run(&mut view);
        let mut config: Value = serde_json::from_str(&config).expect("kubectl prints JSON");
        config["current-context"] = json!(access.context);
        config["contexts"][0]["context"]["namespace"] = json!(namespace.name);
        std::fs::write(namespace.kubeconfig(), config.to_string()).expect("it can be written");

        let policy = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"name": namespace.name, "labels": policy});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        common::run(&mut namespace.shell(&format!("kubectl create -f - <<<'{object}'")));
        namespace
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Runs kubectl with arguments separated by white space.
    pub fn kubectl(&self, arguments: &str) -> String {
        common::run(self.command("kubectl").args(arguments.split(' ')))
    }

    /// A shell that runs these commands, without the user's start-up files.
    pub fn shell(&self, commands: &str) -> Command {
        let mut shell = self.command(self.access.shell);
        if self.access.shell == "zsh" {
            shell.arg("-f");
        }
        // Readers may have it or not; the tests' shells fail if a variable is unset.
        shell.args(["-c", commands]).env("no_proxy", std::env::var("no_proxy").unwrap_or_default());
        shell.envs(self.access.variables.iter().map(|(name, value)| (name, value)));
        shell
    }

    /// A program that knows only this namespace of this cluster.
    fn command(&self, program: &str) -> Command {
        let Access { programs, release, .. } = self.access;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command.current_dir(release.as_ref().map_or(common::repository(), Folder::path));
        command.env("PATH", format!("{}:{path}", programs.path().display())).stdin(Stdio::null());
        command.env("KUBECONFIG", self.kubeconfig());
        command.env("KUBECACHEDIR", self.folder.path().join("cache"));
        command
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for arguments in ["get pods -o wide", "get events", "logs -l app=appinfo --prefix"] {
                let output = self.command("kubectl").args(arguments.split(' ')).output();
                let printed = output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
                eprintln!("kubectl {arguments}\n{}", printed.unwrap_or_default());
            }
        }
        let _ = self.command("kubectl").args(["delete", "namespace", &self.name]).output();
    }
}
