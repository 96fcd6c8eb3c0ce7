//! What a pod knows of itself, and how each variant tells it.

pub mod appinfo;
pub mod labels;
pub mod labels_file;
pub mod variant;
