//! The volume of labels, swapped as the kubelet does it.

use std::os::unix::fs::symlink;

use super::*;

/// A downward API volume as the kubelet keeps it: `labels` is a symlink to `..data/labels`, and
/// `..data` one to a folder named by the time, which is swapped as a whole. (AtomicWriter in
/// k8s.io/kubernetes/pkg/volume/util.)
pub struct DownwardApi {
    folder: Folder,
    version: u64,
}

impl DownwardApi {
    /// A volume whose labels file holds `content`.
    pub fn with(content: impl AsRef<[u8]>) -> DownwardApi {
        let mut volume = DownwardApi { folder: Folder::new(), version: 0 };
        volume.swap(content);
        symlink("..data/labels", volume.file()).expect("a symlink can be made");
        volume
    }

    /// The path of the labels file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("labels")
    }

    /// Swaps the whole volume for one whose labels file holds `content`: a new folder, a new
    /// symlink to it renamed over `..data`, then the old folder is removed.
    pub fn swap(&mut self, content: impl AsRef<[u8]>) {
        let root = self.folder.path();
        let old = root.join(format!("..2026_11_22_00_00_00.{}", self.version));
        self.version += 1;
        let name = format!("..2026_11_22_00_00_00.{}", self.version);
        fs::create_dir(root.join(&name)).expect("a folder can be made");
        fs::write(root.join(&name).join("labels"), content).expect("a file can be written");
        let new_link = root.join("..data_tmp");
        symlink(&name, &new_link).expect("a symlink can be made");
        fs::rename(&new_link, root.join("..data")).expect("a symlink can be renamed");
        let _ = fs::remove_dir_all(old);
    }
}
