//! The file with the pod's labels, as the kubelet keeps it: never edited, but swapped as a whole
//! by renaming a symlink on its path
//! (<https://kubernetes.io/docs/concepts/storage/volumes/#downwardapi>).
//!
//! It is looked at for every answer, so that a change shows in the very next one, but opened and
//! parsed only when it has changed: one `stat` in place of `open`, `read`, `close`.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};

use crate::labels::{self, Labels};
use crate::log;

/// The most that a labels file may hold, in bytes.
const SIZE_LIMIT: u64 = 1024 * 1024;

/// The time a file must have rested before its stamp is trusted. The kernel takes times of change
/// from a coarse clock: two changes within one tick leave the same time.
const SETTLED: Duration = Duration::from_secs(1);

/// How often to look again for a file that has gone. A swap removes the old version, so that a path
/// which was followed into it just before leads nowhere.
const RETRIES: usize = 10;

/// The labels file, and what was last seen of it.
pub struct LabelsFile {
    path: PathBuf,
    last: Seen,
}

/// What was found where the file should be.
#[derive(PartialEq)]
enum Seen {
    /// Nothing has been looked at, or what was seen may have changed unnoticed.
    Unsure,
    /// No file: not an error, so that the program runs on a laptop too.
    Absent,
    /// A file with this stamp, whose labels are known.
    File(Stamp),
    /// Something that cannot be used; the sentence says why.
    Unusable(String),
}

/// What differs between two versions of a file: device, inode, size, and the time of the last
/// change to content or inode, in seconds and nanoseconds, which no program can set.
#[derive(PartialEq)]
struct Stamp(u64, u64, u64, i64, i64);

impl LabelsFile {
    pub fn at(path: &Path) -> LabelsFile {
        LabelsFile { path: path.to_owned(), last: Seen::Unsure }
    }

    /// Warns when there is no file at the start: right on a laptop, a mistake in a pod.
    pub fn warn_if_absent(&self) {
        if matches!(self.path.metadata(), Err(error) if error.kind() == ErrorKind::NotFound) {
            let path = self.path.display();
            log::line(format_args!("no labels file at {path}: all labels are empty"));
        }
    }

    /// Looks at the file. `None` if it is as at the last look; else its labels, or a sentence
    /// that says why it cannot be used.
    pub fn changed(&mut self) -> Option<Result<Labels, String>> {
        let mut look = self.look();
        for _ in 0..RETRIES {
            if !matches!(look, Ok(Some((Seen::Absent, _)))) {
                break;
            }
            look = self.look();
        }
        let (seen, labels) = match look {
            Ok(None) => return None,
            Ok(Some((seen, labels))) => (seen, Ok(labels)),
            Err(why) => {
                let sentence = format!("cannot use the labels file {}: {why}", self.path.display());
                (Seen::Unusable(sentence.clone()), Err(sentence))
            }
        };
        if seen == self.last && labels.is_err() {
            return None;
        }
        // One line when the trouble begins and one when it is over, not one per request.
        match (&self.last, &labels) {
            (_, Err(sentence)) => log::line(sentence),
            (Seen::Unusable(_), Ok(_)) if seen == Seen::Absent => {
                let path = self.path.display();
                log::line(format_args!("the labels file {path} has gone: all labels are empty"));
            }
            (Seen::Unusable(_), Ok(_)) => {
                log::line(format_args!("can use the labels file {} again", self.path.display()));
            }
            _ => {}
        }
        self.last = seen;
        Some(labels)
    }

    /// What is there now, or `None` if that is what was there at the last look.
    fn look(&self) -> Result<Option<(Seen, Labels)>, String> {
        let absent = |error: io::Error| match error.kind() {
            ErrorKind::NotFound if self.last == Seen::Absent => Ok(None),
            ErrorKind::NotFound => Ok(Some((Seen::Absent, Labels::new()))),
            _ => Err(error.to_string()),
        };
        let metadata = match self.path.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return absent(error),
        };
        if self.last == Seen::File(Stamp::of(&metadata)) {
            return Ok(None);
        }
        check(&metadata)?;
        let (metadata, text) = match read(&self.path) {
            Ok(read) => read,
            Err(error) => return absent(error),
        };
        check(&metadata)?;
        if text.len() as u64 > SIZE_LIMIT {
            return Err(too_large());
        }
        let text = String::from_utf8(text).map_err(|_| "it is not UTF-8 text".to_owned())?;
        let seen =
            if has_settled(&metadata) { Seen::File(Stamp::of(&metadata)) } else { Seen::Unsure };
        Ok(Some((seen, labels::parse(&text))))
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        Stamp(metadata.dev(), metadata.ino(), metadata.size(), seconds, nanoseconds)
    }
}

/// Refuses what could block a reader or fill its memory.
fn check(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > SIZE_LIMIT {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> String {
    format!("it is larger than {} MiB", SIZE_LIMIT >> 20)
}

/// Reads one version of the file: whatever is swapped meanwhile, what is open stays what it was.
fn read(path: &Path) -> io::Result<(Metadata, Vec<u8>)> {
    // NONBLOCK: a FIFO that takes the file's place right now must not hold the server up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    let mut text = Vec::new();
    file.take(SIZE_LIMIT + 1).read_to_end(&mut text)?;
    Ok((metadata, text))
}

/// Whether the last change is long enough ago that another one would leave another time.
fn has_settled(metadata: &Metadata) -> bool {
    let (Ok(seconds), Ok(nanoseconds)) =
        (metadata.ctime().try_into(), metadata.ctime_nsec().try_into())
    else {
        return false;
    };
    let changed = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    SystemTime::now().duration_since(changed).is_ok_and(|age| age > SETTLED)
}
