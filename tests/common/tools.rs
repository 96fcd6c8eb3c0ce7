//! The repository's files and other programs: whether they are there, and what they print.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

/// The repository's top folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository.
pub fn text(file: &str) -> String {
    let text = std::fs::read_to_string(repository().join(file));
    text.unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Whether all of `tools` are on the PATH. If not, the test has to return: see [`skip`].
pub fn have(tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = tools
        .iter()
        .filter(|tool| !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()))
        .collect();
    if missing.is_empty() {
        return true;
    }
    skip(&format!("needs {missing:?}, which this machine lacks"));
    false
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
