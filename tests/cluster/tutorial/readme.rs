//! The two pages as scripts: their command blocks, what they show of the output, and the notes that a
//! reader does not see.

use regex_lite::Regex;

use crate::common;

/// The front page, and the tutorial.
pub const PAGES: [&str; 2] = ["README.md", TUTORIAL];
pub const TUTORIAL: &str = "manifests/README.md";

/// What a page says to do, and to the runner alone.
#[derive(Debug)]
pub enum Item {
    Step(Step),
    /// End the background step of that name.
    Stop(String),
    /// Count every request from here on, or no longer.
    Load(bool),
}

/// A block of commands.
#[derive(Debug, Default)]
pub struct Step {
    /// Where it stands on the page.
    pub line: usize,
    pub commands: String,
    /// What the page shows it to print.
    pub output: Option<String>,
    /// Only checked, never run.
    pub not_run: bool,
    /// Needs an image of another registry.
    pub outside_image: bool,
    /// Repeated until it prints what is shown.
    pub soon: bool,
    /// What it sets is forgotten.
    pub aside: bool,
    /// Left running, under this name.
    pub background: Option<String>,
}

/// One page.
pub fn page(name: &str) -> String {
    let page = std::fs::read_to_string(common::repository().join(name));
    page.unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Both.
pub fn text() -> String {
    PAGES.map(page).concat()
}

/// The lines of a text that are neither in a fenced block nor a note.
pub fn prose(text: &str) -> String {
    let hidden = Regex::new(r"(?ms)^```.*?^```$|^<!--.*?-->$").expect("the pattern is right");
    hidden.replace_all(text, "").into_owned()
}

/// The rows of the table whose header begins with this cell, each cut into its cells, without the
/// backticks.
pub fn table(first_header: &str) -> Vec<Vec<String>> {
    let prose = prose(&text()).replace('`', "");
    let (_, table) = prose.split_once(&format!("\n| {first_header} | ")).expect("it has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect();
    rows.map(cells).collect()
}

/// The whole script of a page. Panics with the line where it breaks the rules.
pub fn script(name: &str) -> Vec<Item> {
    let text = page(name);
    let block = r"(?m)^<!-- (?<note>.*) -->$|^```(?<language>\w*)\n(?<block>(?s:.*?))^```$";
    let blocks = Regex::new(block).expect("the pattern is right");
    let (mut items, mut next) = (Vec::new(), Step::default());
    // Where the last block of commands ends.
    let mut commands_end = 0;
    for found in blocks.captures_iter(&text) {
        let place = found.get(0).expect("it is found").range();
        let line = text[..place.start].lines().count() + 1;
        let [note, block] =
            ["note", "block"].map(|name| found.name(name).map(|group| group.as_str().to_owned()));
        if let Some(note) = note {
            read_note(&note, &mut next, &mut items, line);
        }
        match found.name("language").map(|language| language.as_str()) {
            Some("sh") => {
                let commands = block.unwrap_or_default();
                items.push(Item::Step(Step { line, commands, ..std::mem::take(&mut next) }));
                commands_end = place.end;
            }
            Some("text") => {
                assert!(
                    text[commands_end..place.start].trim().is_empty(),
                    "line {line}: an output follows its commands"
                );
                let Some(Item::Step(step)) = items.last_mut() else { unreachable!("just pushed") };
                step.output = block;
            }
            // An excerpt of a manifest, a query to paste.
            Some("yaml" | "promql") | None => {}
            Some(other) => panic!("line {line}: what is a block of {other:?}?"),
        }
    }
    items
}

/// Takes a note: `stop` and `load` stand for themselves, the others speak of the next block.
fn read_note(note: &str, next: &mut Step, items: &mut Vec<Item>, line: usize) {
    match note.split_once(": ") {
        Some(("not run", _why)) => next.not_run = true,
        Some(("background", name)) => next.background = Some(name.to_owned()),
        Some(("stop", name)) => items.push(Item::Stop(name.to_owned())),
        Some(("load", "on")) => items.push(Item::Load(true)),
        Some(("load", "off")) => items.push(Item::Load(false)),
        _ => {
            for word in note.split(", ") {
                match word {
                    "soon" => next.soon = true,
                    "aside" => next.aside = true,
                    "outside image" => next.outside_image = true,
                    _ => panic!(
                        "line {line}: the note {note:?} means nothing to tests/cluster/tutorial"
                    ),
                }
            }
        }
    }
}
