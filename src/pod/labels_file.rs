//! The file with the pod's labels, as the kubelet keeps it: never edited, but swapped as a whole
//! by renaming a symlink on its path
//! (<https://kubernetes.io/docs/concepts/storage/volumes/#downwardapi>).
//!
//! It is read after a request has been received and before it is answered, once for a batch of them: a
//! change by any means shows in the response to every request that is sent after it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::log;
use crate::pod::labels::{self, Labels};

/// The size of the largest labels file that is read, in bytes.
const MAX_LABELS_BYTES: u64 = 1 << 20;

/// How often to open a file again that is not there. A swap removes the old version, so that a path
/// which was resolved into it just before leads nowhere.
const RETRIES: usize = 10;

/// The labels file, and what was last read there.
pub struct LabelsFile {
    path: PathBuf,
    /// Its text, or a sentence that says why it cannot be used. A missing file is like an empty one:
    /// the program runs on a laptop, too. `None` before it was first read.
    last: Option<Result<String, String>>,
}

/// Warns if there is no file at the start: fine on a laptop, a mistake in a pod.
pub fn warn_if_absent(path: &Path) {
    if matches!(path.metadata(), Err(error) if error.kind() == ErrorKind::NotFound) {
        let path = path.display();
        log::line(format_args!("no labels file at {path}: all labels are empty"));
    }
}

impl LabelsFile {
    /// The labels file at this path, not read yet.
    pub fn at(path: &Path) -> LabelsFile {
        LabelsFile { path: path.to_owned(), last: None }
    }

    /// Reads the file. `None` if it has not changed; else its labels, or a sentence that says why it
    /// cannot be used.
    pub fn read_if_changed(&mut self) -> Option<Result<Labels, String>> {
        let path = self.path.display();
        let text = self.read().map_err(|why| format!("cannot use the labels file {path}: {why}"));
        if self.last.as_ref() == Some(&text) {
            return None;
        }
        // One line when the trouble starts and one when it is over, not one per request.
        match (&self.last, &text) {
            (_, Err(sentence)) => log::line(sentence),
            (Some(Err(_)), Ok(_)) => {
                log::line(format_args!("can use the labels file {path} again, or do without it"));
            }
            _ => {}
        }
        Some(self.last.insert(text).as_ref().map(|text| labels::parse(text)).map_err(Clone::clone))
    }

    /// The file's text; empty if there is no file.
    fn read(&self) -> io::Result<String> {
        for _ in 0..=RETRIES {
            match read(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                text => return text,
            }
        }
        Ok(String::new())
    }
}

/// Reads the file, unless that could block the reader or fill its memory.
fn read(path: &Path) -> io::Result<String> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > MAX_LABELS_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_LABELS_BYTES >> 20)));
    }
    let text = fs::read(path)?;
    String::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8 text"))
}
