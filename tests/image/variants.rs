//! The variants, of which each has an image: the recipes know their names, and the rest agrees.

use std::process::Command;

use crate::common::{Start, have, repository, run};
use regex_lite::Regex;
use serde_json::Value;

/// Their names; the place of each is its image's tag, counted from 1.
pub fn variants() -> Vec<String> {
    let mut just = Command::new("just");
    let names = run(just.args(["--evaluate", "variants"]).current_dir(repository()));
    names.split(' ').map(str::to_owned).collect()
}

/// The images that the recipes build, in the order of their tags.
pub fn images() -> Vec<String> {
    (1..=variants().len()).map(|tag| format!("localhost/appinfo:{tag}")).collect()
}

/// An image's configuration without this variant, which must be the one thing that it sets.
pub fn without(variant: &str, config: &Value) -> Value {
    let mut config = config.clone();
    let env = config["Env"].as_array_mut().expect("there is an environment");
    let given = format!("APPINFO_VARIANT={variant}");
    let place = env.iter().position(|value| *value == *given);
    env.remove(place.unwrap_or_else(|| panic!("{given} is in {env:?}")));
    assert!(!config.to_string().contains("APPINFO_"), "another setting in {config}");
    config
}

#[test]
fn help_recipes_readme_and_manifests_have_the_same_variants() {
    if !have(&["just"]) {
        return;
    }
    let variants = variants();

    let help = Start::new().args("--help").output().stdout;
    let help = String::from_utf8(help).expect("the help is UTF-8");
    let (_, listed) = help.split_once("Variants:\n").expect("the help lists the variants");
    let listed: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, variants);

    let images = images();
    let readme =
        std::fs::read_to_string(repository().join("manifests/README.md")).expect("it is there");
    let row = Regex::new(r"(?m)^\| `(localhost/appinfo:.+)` \| `(.+?)` \|").expect("it is right");
    let rows: Vec<_> = row.captures_iter(&readme).map(|row| row.extract().1).collect();
    let expected =
        images.iter().zip(&variants).map(|(image, name)| [image.as_str(), name.as_str()]);
    assert_eq!(rows, expected.collect::<Vec<_>>());

    let mut grep = Command::new("grep");
    grep.args(["-rh", "--include=*.yaml", "image: .*/appinfo", "manifests"])
        .current_dir(repository());
    for line in run(&mut grep).lines() {
        let image = line.trim().strip_prefix("image: ").expect("a line of YAML");
        assert!(images.iter().any(|known| known == image), "{image} is one of {images:?}");
    }
}
