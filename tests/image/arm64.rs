//! The program for ARM, built as for the image, passes the HTTP tests too, emulated.

use std::process::Command;

use crate::common::{have, release_binary, repository};

#[test]
fn the_arm64_program_passes_the_http_tests_under_qemu() {
    if !have(&["qemu-aarch64"]) {
        return;
    }
    let binary = release_binary("aarch64-unknown-linux-musl");
    let tests = Command::new(env!("CARGO"))
        .args(["test", "--locked", "--test", "program", "http::"])
        .current_dir(repository())
        .env("APPINFO_TEST_BINARY", format!("qemu-aarch64 {}", binary.display()))
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&tests.stdout);
    let errors = String::from_utf8_lossy(&tests.stderr);
    assert!(tests.status.success(), "{said}\n{errors}");
    let passed: usize = said
        .split_once("test result: ok. ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .expect("cargo tells how many tests have passed");
    assert!(passed > 0, "the HTTP tests have run: {said}");
}
