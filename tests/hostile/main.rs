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
    let table = include_str!("../../src/guard/mod.rs");
    let named: Vec<_> = table.lines().filter_map(|line| line.split_once("`: `")).collect();
    assert!(named.len() >= 7, "each defect has a test: {named:?}");
    for (before, after) in named {
        let file = before.rsplit('`').next().expect("a file is named");
        let test = after.split('`').next().expect("a test is named");
        let text = common::text(format!("tests/{file}"));
        assert!(text.contains(&format!("fn {test}()")), "{file} has no test {test}");
    }
}
