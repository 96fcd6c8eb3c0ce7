//! The repository's files and other programs: whether they are there, and what they print.

use super::*;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The repository's top folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository, or of any other by its whole path.
pub fn text(file: impl AsRef<Path>) -> String {
    let file = repository().join(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Returns from a test, or from a function that makes something for one, where this machine lacks one of
/// these programs, or `root, "to do this"`. See [`skip`].
macro_rules! needs {
    (root, $purpose:literal) => {
        if !rustix::process::getuid().is_root() {
            skip(concat!("needs root, ", $purpose));
            return Default::default();
        }
    };
    ($($tool:expr),+) => {
        if let Err(missing) = have(&[$($tool),+]) {
            skip(&missing);
            return Default::default();
        }
    };
}
pub(crate) use needs;

/// Whether all of these programs are on the PATH; if not, an error says which are missing.
pub fn have(tools: &[&str]) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing =
        |tool: &&&str| !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let missing: Vec<_> = tools.iter().filter(is_missing).collect();
    let why = || format!("needs {missing:?}, which this machine lacks");
    missing.is_empty().then_some(()).ok_or_else(why)
}

/// Prints that the test is skipped, and why; fails where `CI=true`.
pub fn skip(why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI may not skip this: it {why}");
    not_asked_for(why);
}

/// Prints that the test does nothing, since it was not asked to.
pub fn not_asked_for(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // Not captured by the test harness: a skip must be seen although the test counts as passed.
    let _ = writeln!(io::stderr(), "\nSKIPPED {name}: it {why}\n");
}

/// A command, its words separated by white space.
pub fn command(words: &str) -> Command {
    let mut words = words.split_whitespace();
    let mut command = Command::new(words.next().expect("it names a program"));
    command.args(words);
    command
}

/// Runs a command and returns what it printed on stdout; panics with all of its output if it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{stdout}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    stdout
}

/// A folder of its own for a test, removed when dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        // The program may run as another user, in a container.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("appinfo-test-").permissions(open).tempdir();
        Folder(folder.expect("the temporary folder can be written"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
