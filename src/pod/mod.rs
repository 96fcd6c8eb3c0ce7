//! What a pod knows of itself: its labels, whether it drains, and how each variant reports it.

pub mod appinfo;
pub mod drain;
pub mod labels;
pub mod labels_file;
pub mod variant;
