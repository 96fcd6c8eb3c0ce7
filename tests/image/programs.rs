//! The programs that go into the images pass the HTTP tests, too.

use crate::common::*;

#[test]
fn this_machines_program_passes_the_http_tests() {
    needs!("just");
    just("build");
    passes_the_http_tests(&musl_target(), "");
}

#[test]
#[ignore = "compiles for another architecture, and emulates it"]
fn the_arm64_program_passes_the_http_tests_under_qemu() {
    needs!("just", "qemu-aarch64");
    just("ARCH=arm64 build");
    // In a session of its own, so that it has a share of the processors.
    passes_the_http_tests("aarch64-unknown-linux-musl", "setsid qemu-aarch64 ");
}

#[track_caller]
fn passes_the_http_tests(target: &str, emulator: &str) {
    let binary = repository().join("target").join(target).join("release/appinfo");
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--locked", "--test", "program", "http::"]).current_dir(repository());
    let output = run(tests.env("APPINFO_TEST_BINARY", format!("{emulator}{}", binary.display())));
    assert!(output.contains("test result: ok. ") && !output.contains(" ok. 0 passed"), "{output}");
}
