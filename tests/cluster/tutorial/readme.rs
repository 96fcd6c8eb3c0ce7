//! The pages as scripts: their command blocks, the output that they show, and the notes that a
//! reader does not see.

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

    /// What follows in its note after this word and a colon.
    pub fn name_of(&self, word: &str) -> Option<&str> {
        self.note.strip_prefix(word)?.strip_prefix(": ")
    }
}

/// The blocks of commands of all pages.
pub fn blocks() -> Vec<Step> {
    PAGES.map(script).into_iter().flatten().filter(|step| !step.commands.is_empty()).collect()
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

/// The whole script of a page. Panics with the line where it breaks the rules.
pub fn script(name: &str) -> Vec<Step> {
    let text = common::text(name);
    let blocks = r"(?m)^<!-- (?<note>.*) -->$|^```(?<language>\w*)\n(?<block>(?s:.*?))^```$";
    let blocks = Regex::new(blocks).expect("the pattern is right");
    let alone = Regex::new("^(load: on|load: off|stop: [a-z-]+)$").expect("the pattern is right");
    let how =
        r"^(not run: .*|background: [a-z-]+|(soon|aside|release|outside image)(, (soon|aside))*)$";
    let how = Regex::new(how).expect("the pattern is right");
    let (mut steps, mut note) = (Vec::new(), String::new());
    for found in blocks.captures_iter(&text) {
        let before = &text[..found.get(0).expect("it is found").start()];
        let line = before.lines().count() + 1;
        let group = |name| found.name(name).map_or("", |group| group.as_str()).to_owned();
        match (group("note"), group("language").as_str()) {
            (note, _) if alone.is_match(&note) => {
                steps.push(Step { line, note, ..Step::default() });
            }
            (other, _) if how.is_match(&other) => {
                assert_eq!(note, "", "line {line}: one note for a block");
                note = other;
            }
            (other, "sh") if other.is_empty() => {
                let (note, commands) = (std::mem::take(&mut note), group("block"));
                steps.push(Step { line, note, commands, output: None });
            }
            (_, "text") => {
                assert!(before.ends_with("```\n\n"), "line {line}: an output follows its commands");
                steps.last_mut().expect("there are commands").output = Some(group("block"));
            }
            // An excerpt of a manifest, or a query to paste.
            (_, "yaml" | "promql") => {}
            (note, language) => {
                panic!("line {line}: what is {note:?}, or a block of {language:?}?")
            }
        }
    }
    steps
}
