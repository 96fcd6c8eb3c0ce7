//! The file with the pod's labels, as the kubelet keeps it: never edited, but swapped as a whole
//! by renaming a symlink on its path
//! (<https://kubernetes.io/docs/concepts/storage/volumes/#downwardapi>).
//!
//! It is read after a request has come and before it is answered, once for all that have come by then:
//! a change by any means shows in the answer to whoever asks after it.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::log;
use crate::pod::labels::{self, Labels};

/// The most that a labels file may hold, in bytes.
const LARGEST: u64 = 1 << 20;

/// How often to look again for a file that has gone. A swap removes the old version, so that a path
/// which was followed into it just before leads nowhere.
const RETRIES: usize = 10;

/// The labels file, and what was last read there.
pub struct LabelsFile {
    path: PathBuf,
    /// Its text, or a sentence that says why it cannot be used. No file is like an empty one: the
    /// program runs on a laptop, too. `None` before the first look.
    last: Option<Result<String, String>>,
}

/// Warns when there is no file at the start: right on a laptop, a mistake in a pod.
pub fn warn_if_absent(path: &Path) {
    if matches!(path.metadata(), Err(error) if error.kind() == ErrorKind::NotFound) {
        let path = path.display();
        log::line(format_args!("no labels file at {path}: all labels are empty"));
    }
}

impl LabelsFile {
    pub fn at(path: &Path) -> LabelsFile {
        LabelsFile { path: path.to_owned(), last: None }
    }

    /// Reads the file. `None` if it is as at the last look; else its labels, or a sentence that says
    /// why it cannot be used.
    pub fn changed(&mut self) -> Option<Result<Labels, String>> {
        let path = self.path.display();
        let text = self.read().map_err(|why| format!("cannot use the labels file {path}: {why}"));
        if self.last.as_ref() == Some(&text) {
            return None;
        }
        // One line when the trouble begins and one when it is over, not one per request.
        match (&self.last, &text) {
            (_, Err(sentence)) => log::line(sentence),
            (Some(Err(_)), Ok(_)) => {
                log::line(format_args!("can use the labels file {path} again, or do without it"));
            }
            _ => {}
        }
        Some(self.last.insert(text).as_ref().map(|text| labels::parse(text)).map_err(Clone::clone))
    }

    /// The file's text; nothing when it is not there, this time and when looked for again.
    fn read(&self) -> Result<String, String> {
        for _ in 0..=RETRIES {
            match read(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error.to_string()),
                Ok(text) => {
                    return String::from_utf8(text).map_err(|_| "it is not UTF-8 text".to_owned());
                }
            }
        }
        Ok(String::new())
    }
}

/// Reads one version of the file: whatever is swapped meanwhile, what is open stays what it was.
/// Refuses what could block a reader or fill its memory.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // NONBLOCK: opening a FIFO must not wait for whoever writes to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // All of it in one read, and its end in the next.
    let mut text = Vec::with_capacity(metadata.len().min(LARGEST) as usize + 1);
    file.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    Ok(text)
}
