//! The variants, each of which has an image.

use crate::common::*;

/// Their names in the order of their images' tags, which start with 1.
pub const VARIANTS: [&str; 3] = ["baseline", "broken", "namespace"];

/// The images that the recipes build, in the order of their tags.
pub const IMAGES: [&str; 3] = ["localhost/appinfo:1", "localhost/appinfo:2", "localhost/appinfo:3"];

/// An image's configuration without its variant, which must be the only setting.
pub fn without(variant: &str, config: &Value) -> Value {
    let mut config = config.clone();
    let env = config["Env"].as_array_mut().expect("there is an environment");
    let given = format!("APPINFO_VARIANT={variant}");
    let place = env.iter().position(|value| *value == *given);
    env.remove(place.unwrap_or_else(|| panic!("{given} is in {env:?}")));
    // An earlier step of docker's legacy builder, which adds the labels last.
    config.as_object_mut().expect("it has fields").remove("Image");
    assert!(!config.to_string().contains("APPINFO_"), "another setting in {config}");
    config
}

#[test]
fn help_recipes_readme_and_manifests_have_the_same_variants() {
    needs!("just");
    let variants = (1..).zip(VARIANTS).map(|(tag, variant)| format!("{tag}:{variant}"));
    assert_eq!(just("--evaluate variants"), Vec::from_iter(variants).join(" "));

    let help = Start::new().args("--help").output().stdout;
    let help = String::from_utf8(help).expect("the help is UTF-8");
    let (_, listed) = help.split_once("Variants:\n").expect("the help lists the variants");
    let listed: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, VARIANTS);

    let readme = text("manifests/README.md");
    let row = Regex::new(r"(?m)^\| `(localhost/appinfo:.+)` \| `(.+?)` \|").expect("it is right");
    let rows: Vec<_> = row.captures_iter(&readme).map(|row| row.extract().1).collect();
    assert_eq!(rows, [0, 1, 2].map(|it| [IMAGES[it], VARIANTS[it]]));

    let mut grep = command("grep -rh --include=*.yaml image:.*/appinfo manifests");
    for line in run(grep.current_dir(repository())).lines() {
        let image = line.trim().strip_prefix("image: ").expect("a line of YAML");
        assert!(IMAGES.contains(&image), "{image} is one of {IMAGES:?}");
    }
}
