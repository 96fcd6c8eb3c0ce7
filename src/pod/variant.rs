//! The three behaviors of the tutorial. A fourth is one more row in [`VARIANTS`], its name in the
//! justfile's `variants`, which gives it an image, and a row in the table of images in
//! manifests/README.md; the command line, its help and its errors read the table here.

use crate::pod::appinfo::AppInfo;

/// One behavior, chosen at start by `--variant` or `APPINFO_VARIANT`.
#[derive(Debug)]
pub struct Variant {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it does, for `--help`.
    pub summary: &'static str,
    /// Makes the document out of the facts about the pod, or out of the sentence that says why its
    /// labels cannot be read. An error becomes a response with status 500. Called once for each version
    /// of the labels, not for each response.
    pub behavior: fn(Result<AppInfo, String>) -> Result<AppInfo, String>,
}

/// What the broken variant says.
pub const BROKEN: &str = "something went wrong";

/// Every variant; the first is the default.
pub static VARIANTS: [Variant; 3] = [
    Variant {
        name: "baseline",
        summary: "forgets the namespace: the bug",
        behavior: |facts| facts.map(|facts| AppInfo { namespace: String::new(), ..facts }),
    },
    Variant {
        name: "broken",
        summary: "always fails: the failed attempt at a fix",
        behavior: |_| Err(BROKEN.to_owned()),
    },
    Variant {
        name: "namespace",
        summary: "responds with the namespace: the fix",
        behavior: |facts| facts,
    },
];
