//! The pages as scripts: their command blocks, the output that they show, and the notes that a reader
//! does not see.

use regex_lite::Regex;

use crate::common;

/// The front page, the tutorial, and what follows from it.
pub const PAGES: [&str; 4] =
    ["README.md", TUTORIAL, "manifests/TRAINING.md", "manifests/BEYOND.md"];
pub const TUTORIAL: &str = "manifests/README.md";

/// What a page tells the reader or the test to do.
#[derive(Debug)]
pub enum Item {
    Step(Step),
    /// Stops the background step of that name.
    Stop(String),
    /// Starts counting every request, or stops it.
    Load(bool),
}

/// A block of commands.
#[derive(Debug, Default)]
pub struct Step {
    /// Its line on the page.
    pub line: usize,
    pub commands: String,
    /// The output that the page shows.
    pub output: Option<String>,
    /// How to run it: see the top of this folder's mod.rs.
    pub note: String,
}

impl Step {
    /// Whether its note says this.
    pub fn is(&self, word: &str) -> bool {
        self.note.split([':', ',']).any(|it| it.trim() == word)
    }

    /// The name under which it keeps running.
    pub fn background(&self) -> Option<&str> {
        self.note.strip_prefix("background: ")
    }
}

/// The steps of all pages.
pub fn steps() -> Vec<Step> {
    let step = |item| match item {
        Item::Step(step) => Some(step),
        Item::Stop(_) | Item::Load(_) => None,
    };
    PAGES.map(script).into_iter().flatten().filter_map(step).collect()
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
pub fn script(name: &str) -> Vec<Item> {
    let text = common::text(name);
    let block = r"(?m)^<!-- (?<note>.*) -->$|^```(?<language>\w*)\n(?<block>(?s:.*?))^```$";
    let blocks = Regex::new(block).expect("the pattern is right");
    let how =
        r"^(not run: .*|background: [a-z-]+|(soon|aside|release|outside image)(, (soon|aside))*)$";
    let how = Regex::new(how).expect("the pattern is right");
    let (mut items, mut note) = (Vec::new(), String::new());
    // Where the last block of commands ends.
    let mut commands_end = 0;
    for found in blocks.captures_iter(&text) {
        let place = found.get(0).expect("it is found").range();
        let line = text[..place.start].lines().count() + 1;
        let group = |name| found.name(name).map(|group| group.as_str());
        let block = || group("block").unwrap_or_default().to_owned();
        match (group("note"), group("language")) {
            (Some("load: on"), _) => items.push(Item::Load(true)),
            (Some("load: off"), _) => items.push(Item::Load(false)),
            (Some(stop), _) if stop.starts_with("stop: ") => {
                items.push(Item::Stop(stop["stop: ".len()..].to_owned()));
            }
            (Some(other), _) => {
                assert!(how.is_match(other), "line {line}: what is a note that says {other:?}?");
                assert_eq!(note, "", "line {line}: one note for a block");
                other.clone_into(&mut note);
            }
            (None, Some("sh")) => {
                let note = std::mem::take(&mut note);
                items.push(Item::Step(Step { line, commands: block(), output: None, note }));
                commands_end = place.end;
            }
            (None, Some("text")) => {
                let between = text[commands_end..place.start].trim();
                assert_eq!(between, "", "line {line}: an output follows its commands");
                let Some(Item::Step(step)) = items.last_mut() else { unreachable!("just pushed") };
                step.output = Some(block());
            }
            // An excerpt of a manifest, or a query to paste.
            (None, Some("yaml" | "promql" | "") | None) => {}
            (None, Some(other)) => panic!("line {line}: what is a block of {other:?}?"),
        }
    }
    items
}
