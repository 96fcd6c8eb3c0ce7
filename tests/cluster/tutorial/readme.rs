//! The pages as scripts: their command blocks, the output that they show, and the notes that a
//! reader does not see.

use super::matches;
use crate::common::{self, *};

/// The front page, the tutorial, and what follows from it.
pub const PAGES: [&str; 4] =
    ["README.md", TUTORIAL, "manifests/TRAINING.md", "manifests/BEYOND.md"];
pub const TUTORIAL: &str = "manifests/README.md";

/// A block of commands, or a note that stands alone and has none.
#[derive(Debug, Default)]
pub struct Step {
    /// Its line on the page.
    pub line: usize,
    /// How to run it: see the top of this folder's mod.rs.
    pub note: String,
    pub commands: String,
    /// The output that the page shows.
    pub output: Option<String>,
}

impl Step {
    /// Whether its note says this.
    pub fn is(&self, word: &str) -> bool {
        self.note.split([':', ',']).any(|it| it.trim() == word)
    }
}

/// The blocks of commands of all pages.
pub fn blocks() -> Vec<Step> {
    PAGES.map(script).into_iter().flatten().filter(|step| !step.commands.is_empty()).collect()
}

/// The first block of commands that contains these words.
pub fn block(words: &str) -> Step {
    let found = blocks().into_iter().find(|step| step.commands.contains(words));
    found.unwrap_or_else(|| panic!("no block says {words}"))
}

/// The text of all pages.
pub fn text() -> String {
    PAGES.map(common::text).concat()
}

/// The text without fenced blocks and notes.
pub fn prose(text: &str) -> String {
    let hidden = Regex::new(r"(?ms)^```.*?^```$|^<!--.*?-->$").expect("the pattern is right");
    hidden.replace_all(text, "").into_owned()
}

/// The whole script of a page. Panics if it breaks the rules.
pub fn script(name: &str) -> Vec<Step> {
    let text = common::text(name);
    let step = [
        r"(?m)^<!-- (?<alone>load: on|load: off|stop: [a-z-]+) -->$",
        r"|(?:^<!-- (?<how>not run: .*|background: [a-z-]+",
        r"|(?:soon|aside|release|outside image)(?:, (?:soon|aside))*) -->\n)?",
        r"^```sh\n(?<commands>(?s:.*?))^```$(?:\n\n```text\n(?<output>(?s:.*?))^```$)?",
    ];
    let step = Regex::new(&step.concat()).expect("the pattern is right");
    // Excerpts of a manifest, and a query to paste.
    let known = ["```yaml", "```promql"].map(str::to_owned).into();
    let rest = matches(r"(?m)^(<!--.*|```\w+)$", &step.replace_all(&text, ""));
    assert!(rest.is_subset(&known), "{name}: what is {rest:?}?");
    let steps = step.captures_iter(&text).map(|found| {
        let group = |name| found.name(name).map(|group| group.as_str().to_owned());
        let before = &text[..found.get(0).expect("it is found").start()];
        Step {
            line: before.lines().count() + 1,
            note: group("alone").or(group("how")).unwrap_or_default(),
            commands: group("commands").unwrap_or_default(),
            output: group("output"),
        }
    });
    steps.collect()
}
