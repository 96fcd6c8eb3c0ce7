//! A cluster, and a namespace of the tutorial's own in it.

use crate::common::*;

/// How to reach a cluster, and what the tutorial's commands find on the machine.
#[derive(Default)]
pub struct Access {
    /// A kubeconfig whose only context is the cluster's.
    pub kubeconfig: Value,
    /// A node that can be reached from here, if the first one's InternalIP cannot.
    pub node: Option<String>,
    /// Whether the cluster can have images of other registries.
    pub outside_images: bool,
    /// Folders whose programs take precedence.
    pub programs: Vec<PathBuf>,
    /// A folder with a release's files, to run the commands in; else it is the repository.
    pub release: Option<Folder>,
    /// Whether the shell is zsh; else it is bash.
    pub zsh: bool,
    /// Variables that are set in it at first.
    pub variables: Vec<(&'static str, String)>,
}

impl Access {
    /// The cluster that the environment names.
    pub fn from_environment() -> Option<Access> {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let context = variable("APPINFO_KUBE_CONTEXT")?;
        let mut view = command("kubectl config view --raw --flatten --minify --output=json");
        let kubeconfig = run(view.args(["--context", &context]));
        Some(Access {
            kubeconfig: serde_json::from_str(&kubeconfig).expect("kubectl prints JSON"),
            node: variable("APPINFO_NODE_ADDRESS"),
            outside_images: variable("APPINFO_OUTSIDE_IMAGES").as_deref() != Some("0"),
            ..Access::default()
        })
    }
}

/// A namespace with the strictest pod policy, and a kubeconfig for it alone. Deleted at the end;
/// after a failure it first prints its pods, events and logs.
pub struct Namespace<'a> {
    pub access: &'a Access,
    pub folder: Folder,
    pub name: String,
}

impl Namespace<'_> {
    pub fn create(access: &Access) -> Namespace<'_> {
        let name = format!("appinfo-tutorial-{}", std::process::id());
        let namespace = Namespace { access, folder: Folder::new(), name };
        let mut kubeconfig = access.kubeconfig.clone();
        kubeconfig["contexts"][0]["context"]["namespace"] = json!(namespace.name);
        let file = namespace.folder.path().join("kubeconfig");
        fs::write(file, kubeconfig.to_string()).expect("the folder can be written");
        let policy = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let metadata = json!({"name": namespace.name, "labels": policy});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
        run(&mut namespace.shell(&format!("kubectl create -f - <<<'{object}'")));
        namespace
    }

    /// Runs kubectl with these arguments.
    pub fn kubectl(&self, arguments: &str) -> String {
        run(&mut self.shell(&format!("kubectl {arguments}")))
    }

    /// A shell that runs these commands and knows only this namespace of this cluster, without the
    /// user's start-up files.
    pub fn shell(&self, commands: &str) -> Command {
        let Access { programs, release, zsh, variables, .. } = self.access;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = programs.iter().cloned().chain(std::env::split_paths(&path));
        let mut shell = command(if *zsh { "zsh -f -c" } else { "bash --norc -c" });
        shell.arg(commands).stdin(Stdio::null());
        shell.current_dir(release.as_ref().map_or(repository(), Folder::path));
        shell.env("PATH", std::env::join_paths(path).expect("no folder has a colon"));
        shell.env("KUBECONFIG", self.folder.path().join("kubeconfig"));
        shell.env("KUBECACHEDIR", self.folder.path().join("cache"));
        // Readers may have it or not; the tests' shells fail if a variable is unset.
        shell.env("no_proxy", std::env::var("no_proxy").unwrap_or_default());
        shell.envs(variables.iter().map(|(name, value)| (name, value)));
        shell
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let look = "kubectl get pods -o wide; kubectl get events; kubectl logs -l app=appinfo";
            let _ = self.shell(&format!("set -x; exec >&2; {look} --prefix")).status();
        }
        let _ = self.shell(&format!("kubectl delete namespace {}", self.name)).output();
    }
}
