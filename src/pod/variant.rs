//! The three behaviours of the tutorial. A fourth is one more row in [`VARIANTS`] and the function that
//! it names, its name in the justfile's `variants`, which gives it an image, and a row in the README's
//! table of images; the command line, its help and its errors read the table here.

use crate::pod::appinfo::AppInfo;

/// One behaviour, chosen at the start by `--variant` or `APPINFO_VARIANT`.
#[derive(Debug)]
pub struct Variant {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it does, for `--help`.
    pub summary: &'static str,
    /// Makes the answer out of the facts about the pod, or out of the sentence that says why
    /// its labels cannot be read. An error is answered with status 500. Called once for each version of
    /// the labels, not once for each answer.
    pub behaviour: fn(Result<AppInfo, String>) -> Result<AppInfo, String>,
}

/// Every variant; the first is the default.
pub static VARIANTS: [Variant; 3] = [
    Variant {
        name: "baseline",
        summary: "forgets the namespace: the bug that the story is about",
        behaviour: baseline,
    },
    Variant {
        name: "broken",
        summary: "always errs: the failed attempt at a fix",
        behaviour: broken,
    },
    Variant { name: "namespace", summary: "fills the namespace in: the fix", behaviour: namespace },
];

fn baseline(facts: Result<AppInfo, String>) -> Result<AppInfo, String> {
    facts.map(|facts| AppInfo { namespace: String::new(), ..facts })
}

/// Always errs, whatever is known.
pub fn broken(_: Result<AppInfo, String>) -> Result<AppInfo, String> {
    Err("something went wrong".to_owned())
}

fn namespace(facts: Result<AppInfo, String>) -> Result<AppInfo, String> {
    facts
}

impl Variant {
    /// The variant of that name.
    pub fn named(name: &str) -> Option<&'static Variant> {
        VARIANTS.iter().find(|variant| variant.name == name)
    }
}
