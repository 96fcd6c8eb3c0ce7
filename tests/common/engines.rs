//! The container engines: their images and containers.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A container engine that can start containers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Engine(&'static str);

impl Engine {
    /// Docker or podman by its name; asks the test to skip if it, or just, cannot be used here.
    pub fn of(name: &'static str) -> Option<Engine> {
        static DEFECTS: Mutex<BTreeMap<&str, Option<String>>> = Mutex::new(BTreeMap::new());
        needs!("just", name);
        let mut defects = DEFECTS.lock().unwrap_or_else(PoisonError::into_inner);
        let defect = defects.entry(name).or_insert_with(|| Engine(name).defect()).clone();
        drop(defects);
        if let Some(why) = &defect {
            skip(&format!("needs {name}, which cannot start a container: {why}"));
        }
        defect.is_none().then_some(Engine(name))
    }

    /// Why it cannot start a container that publishes a port. Tries it with an empty image: where all else
    /// works, its program is not found, which has status 127 (docker-run(1), podman-run(1)).
    fn defect(self) -> Option<String> {
        let images = Images::none(self);
        let (engine, image) = (self.0, images.name(0));
        let script = format!(
            "tar -cf - -T /dev/null | {engine} import - {image} >&2 && \
             {engine} run --rm --publish 127.0.0.1::8080 {image} /none"
        );
        let tried = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        let stderr = String::from_utf8_lossy(&tried.stderr);
        let error = stderr.lines().find(|line| line.contains("rror")).unwrap_or(stderr.trim());
        let is_started = tried.status.code() == Some(127) && error.contains("/none");
        (!is_started).then(|| error.to_owned())
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    /// The engine's own command, with arguments separated by white space.
    pub fn command(self, arguments: &str) -> Command {
        let mut command = Command::new(self.0);
        command.args(arguments.split_whitespace());
        command
    }

    /// Runs that and returns what it prints.
    pub fn run(self, arguments: &str) -> String {
        run(&mut self.command(arguments)).trim().to_owned()
    }

    /// What `inspect` prints about an image or a container.
    pub fn inspect(self, name: &str) -> Value {
        let output = self.run(&format!("inspect {name}"));
        serde_json::from_str::<Value>(&output).expect("it prints JSON")[0].take()
    }
}

/// One at a time: runs of just, since the recipes lay images out in one folder, and what gives images names or
/// takes them away, since podman may remove an image that is just getting another name.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs just in the repository with arguments separated by white space, and returns what it prints.
pub fn just(arguments: &str) -> String {
    let _turn = alone();
    run(Command::new("just").args(arguments.split_whitespace()).current_dir(repository()))
}

/// Images under a name of their own, which are removed when this is dropped.
#[derive(Debug, PartialEq)]
pub struct Images {
    pub engine: Engine,
    pub repository: String,
}

impl Images {
    /// None so far: just builds them when it is given [`Images::variables`].
    pub fn none(engine: Engine) -> Images {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let repository = format!("localhost/appinfo-test-{}-{number}", std::process::id());
        Images { engine, repository }
    }

    /// The images that a recipe builds.
    pub fn of(engine: Engine, recipe: &str) -> Images {
        let images = Images::none(engine);
        just(&format!("{} {recipe}", images.variables()));
        images
    }

    /// The variables that give just the engine and the name.
    pub fn variables(&self) -> String {
        format!("ENGINE={} REPOSITORY={}", self.engine.name(), self.repository)
    }

    /// The name of the image of a tag.
    pub fn name(&self, tag: usize) -> String {
        format!("{}:{tag}", self.repository)
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // Not while just builds one: podman gives all images of the same content one ID, and removes
        // that image with its last name. Hence also by their names.
        let _turn = alone();
        let list = format!("images --format {{{{.Repository}}}}:{{{{.Tag}}}} {}", self.repository);
        let Ok(list) = self.engine.command(&list).output() else { return };
        let list = String::from_utf8_lossy(&list.stdout);
        // podman also lists an image's other names, which another test, or the user, needs.
        let ours = format!("{}:", self.repository);
        for name in list.lines().filter(|name| name.starts_with(&ours)) {
            let _ = self.engine.command("rmi").arg(name).output();
        }
    }
}

/// A container, removed when dropped.
pub struct Container {
    pub engine: Engine,
    pub id: String,
}

impl Container {
    /// Starts one with these options and this image, separated by white space.
    pub fn start(engine: Engine, arguments: &str) -> Container {
        // In two steps, so that one that cannot be started is removed as well.
        let container = Container { engine, id: engine.run(&format!("create {arguments}")) };
        container.run("start");
        container
    }

    /// Runs a command of the engine on it and returns what it prints.
    pub fn run(&self, command: &str) -> String {
        self.engine.run(&format!("{command} {}", self.id))
    }

    /// What `inspect` prints about it.
    pub fn inspect(&self) -> Value {
        self.engine.inspect(&self.id)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // podman's `rm` alone would stop it first, which takes the whole drain time.
        let _ = self.engine.command("kill --signal KILL").arg(&self.id).output();
        let _ = self.engine.command("rm --force").arg(&self.id).output();
    }
}
