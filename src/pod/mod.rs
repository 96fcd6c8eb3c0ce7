//! What a pod knows of itself, that its end has begun included, and how each variant tells it.

pub mod appinfo;
pub mod drain;
pub mod labels;
pub mod labels_file;
pub mod variant;
