//! The program and its clients: those that people use, slow or broken ones, and hostile ones. An
//! ordinary client is served during each attack.

#[path = "../common/mod.rs"]
mod common;

mod abuse;
mod attack;
mod clients;
mod delayed;
mod generator;
mod memory;
mod self_probe;
mod stack;

#[test]
fn every_test_in_the_table_of_defects_exists() {
    let row = common::Regex::new(r"\| `(.*\.rs)`: `(.*)` \|").expect("the pattern is right");
    let table = common::text("src/guard/mod.rs");
    let named: Vec<_> = row.captures_iter(&table).map(|row| row.extract().1).collect();
    assert!(named.len() >= 7, "each defect has a test: {named:?}");
    for [file, test] in named {
        let is_there = common::text(format!("tests/{file}")).contains(&format!("fn {test}()"));
        assert!(is_there, "{file} has no test {test}");
    }
}
