//! The command line and its environment variables.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use crate::common::{self, DownwardApi, Start};

/// Runs the program with these arguments to its end.
fn output(args: &str) -> Output {
    Start::new().args(args).output()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

/// The one sentence with which a start was refused.
fn refusal(output: &Output) -> String {
    let stderr = std::str::from_utf8(&output.stderr).expect("UTF-8");
    assert!(!output.status.success(), "{stderr}");
    assert!(output.stdout.is_empty());
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(lines[0].starts_with("appinfo: ") && lines[0].ends_with('.'), "{stderr}");
    lines[0].to_owned()
}

#[test]
fn the_start_line_tells_version_variant_address_and_labels_file() {
    let appinfo = Start::new().args("--variant namespace --labels /some/labels").spawn();
    let expected = format!(
        "appinfo 0.1.0: variant namespace, listening on {}, labels from /some/labels",
        appinfo.address
    );
    assert_eq!(appinfo.stderr.all()[0], expected);
    assert_ne!(appinfo.address.port(), 0);
}

#[test]
fn a_flag_beats_its_variable_and_both_ways_to_write_a_flag_work() {
    for args in ["--variant namespace", "--variant=namespace"] {
        let appinfo = Start::new().args(args).env("APPINFO_VARIANT", "broken").spawn();
        assert_eq!(appinfo.get("/v1/appinfo").status, 200, "{args}");
    }
    let volume = DownwardApi::with("app=\"from=flag\"");
    let appinfo = Start::new()
        .arg(format!("--labels={}", volume.file().display()))
        .env("APPINFO_LABELS", "/nowhere")
        .spawn();
    assert_eq!(appinfo.get("/v1/appinfo").json()["AppName"], "from=flag");
}

#[test]
fn every_setting_can_come_from_its_variable() {
    let volume = DownwardApi::with("app=\"from-variable\"");
    let mut appinfo = Start::new()
        .env("APPINFO_VARIANT", "namespace")
        .env("APPINFO_LISTEN", "127.0.0.1:0")
        .env("APPINFO_LABELS", volume.file())
        .env("APPINFO_DRAIN", "0")
        .env("APPINFO_ACCESS_LOG", "true")
        .env("MY_POD_NAMESPACE", "default")
        .spawn();
    let document = appinfo.get("/v1/appinfo").json();
    assert_eq!(document["AppName"], "from-variable");
    assert_eq!(document["Namespace"], "default");
    common::eventually("the request is logged", || {
        (!appinfo.stdout.all().is_empty()).then_some(())
    });
    let start = std::time::Instant::now();
    appinfo.signal(15);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed().as_secs() < 4, "the drain of 5 seconds is the default only");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let mut start = Start::new();
    for name in ["VARIANT", "LABELS", "DRAIN", "ACCESS_LOG", "LISTEN"] {
        start = start.env(&format!("APPINFO_{name}"), "");
    }
    let appinfo = start.spawn();
    let line = &appinfo.stderr.all()[0];
    assert!(line.contains("variant baseline") && line.ends_with("/etc/labels"), "{line}");
}

#[test]
fn the_switch_of_the_access_log_can_be_off_by_variable() {
    for off in ["0", "false"] {
        let appinfo = Start::new().env("APPINFO_ACCESS_LOG", off).spawn();
        appinfo.get("/healthz");
        assert!(appinfo.stdout.all().is_empty());
    }
}

#[test]
fn nothing_is_read_from_the_variables_that_kubernetes_sets_for_the_service() {
    let mut start = Start::new().args("--listen 127.0.0.1:0");
    for (name, value) in [
        ("APPINFO_PORT", "tcp://10.32.0.232:8080"),
        ("APPINFO_PORT_8080_TCP", "tcp://10.32.0.232:8080"),
        ("APPINFO_PORT_8080_TCP_ADDR", "10.32.0.232"),
        ("APPINFO_PORT_8080_TCP_PORT", "8080"),
        ("APPINFO_PORT_8080_TCP_PROTO", "tcp"),
        ("APPINFO_SERVICE_HOST", "10.32.0.232"),
        ("APPINFO_SERVICE_PORT", "8080"),
        ("APPINFO_SERVICE_PORT_HTTP", "8080"),
    ] {
        start = start.env(name, value);
    }
    let appinfo = start.spawn();
    let line = &appinfo.stderr.all()[0];
    let expected =
        format!("variant baseline, listening on {}, labels from /etc/labels", appinfo.address);
    assert!(line.ends_with(&expected), "{line}");
    assert_eq!(appinfo.get("/v1/appinfo").status, 200);
}

#[test]
fn a_bad_value_is_refused_by_a_sentence_that_names_flag_value_and_what_is_allowed() {
    for (args, parts) in [
        ("--variant blue", ["--variant", "\"blue\"", "baseline, broken, namespace"]),
        ("--variant=", ["--variant", "\"\"", "baseline, broken, namespace"]),
        ("--listen nowhere", ["--listen", "\"nowhere\"", "127.0.0.1:8080"]),
        ("--listen 127.0.0.1", ["--listen", "\"127.0.0.1\"", "a port"]),
        ("--listen :70000", ["--listen", "\":70000\"", "a port"]),
        ("--listen :+80", ["--listen", "\":+80\"", "a port"]),
        ("--labels=", ["--labels", "\"\"", "path"]),
        ("--drain soon", ["--drain", "\"soon\"", "0 to 3600"]),
        ("--drain -1", ["--drain", "\"-1\"", "0 to 3600"]),
        ("--drain 3601", ["--drain", "\"3601\"", "0 to 3600"]),
        ("--drain +5", ["--drain", "\"+5\"", "whole"]),
        ("--drain 1.5", ["--drain", "\"1.5\"", "whole"]),
        ("--error-rate 100.1", ["--error-rate", "\"100.1\"", "0 to 100"]),
        ("--error-rate 0.00001", ["--error-rate", "\"0.00001\"", "four decimals"]),
        ("--error-rate 5%", ["--error-rate", "\"5%\"", "0 to 100"]),
        ("--delay-rate -1", ["--delay-rate", "\"-1\"", "0 to 100"]),
        ("--delay-rate 9999999999", ["--delay-rate", "\"9999999999\"", "0 to 100"]),
        ("--delay 60001", ["--delay", "\"60001\"", "0 to 60000"]),
        ("--delay 0.5", ["--delay", "\"0.5\"", "whole"]),
    ] {
        let refusal = refusal(&output(args));
        for part in parts {
            assert!(refusal.contains(part), "{args}: {refusal}");
        }
    }
}

#[test]
fn a_bad_variable_is_refused_by_its_own_name() {
    for (name, value, allowed) in [
        ("APPINFO_VARIANT", "Baseline", "baseline, broken, namespace"),
        ("APPINFO_LISTEN", "8080", "127.0.0.1:8080"),
        ("APPINFO_DRAIN", "5s", "0 to 3600"),
        ("APPINFO_ACCESS_LOG", "yes", "1 or true"),
        ("APPINFO_ERROR_RATE", "1e1", "0 to 100"),
        ("APPINFO_DELAY", "300ms", "0 to 60000"),
        ("APPINFO_DELAY_RATE", "half", "0 to 100"),
    ] {
        let refusal = refusal(&Start::new().env(name, value).output());
        assert!(refusal.contains(name) && !refusal.contains("--"), "{refusal}");
        assert!(refusal.contains(&format!("{value:?}")) && refusal.contains(allowed), "{refusal}");
    }
}

#[test]
fn what_is_unknown_or_incomplete_is_refused() {
    for args in ["--colour blue", "serve", "--variant", "--variant broken --variant broken"] {
        let refusal = refusal(&output(args));
        assert!(refusal.contains("--help"), "{refusal}");
    }
}

#[test]
fn what_is_not_utf8_is_refused() {
    let odd = std::ffi::OsStr::from_bytes(b"br\xffken");
    let argument = refusal(&Start::new().args("--variant").arg(odd).output());
    assert!(argument.contains("UTF-8"), "{argument}");
    for name in ["APPINFO_VARIANT", "APPINFO_LABELS"] {
        let variable = refusal(&Start::new().env(name, odd).output());
        assert!(variable.contains(name) && variable.contains("UTF-8"), "{variable}");
    }
}

#[test]
fn an_address_in_use_is_refused_by_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refusal = refusal(&output(&format!("--listen {address}")));
    assert!(refusal.contains(&address) && refusal.contains("in use"), "{refusal}");
    assert!(refusal.contains("--listen"), "{refusal}");
}

#[test]
fn every_address_means_ipv6_and_ipv4() {
    let appinfo = Start::new().args("--listen :0").spawn();
    assert!(appinfo.stderr.all()[0].contains("listening on [::]:"), "{:?}", appinfo.stderr.all());
    for ip in ["127.0.0.1", "::1"] {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), appinfo.address.port());
        assert_eq!(common::get(address, "/healthz").status, 200, "{ip}");
    }
}

#[test]
fn the_version_is_printed() {
    let output = output("--version");
    assert!(output.status.success());
    assert_eq!(stdout(&output), "appinfo 0.1.0\n");
}

#[test]
fn the_help_names_every_flag_variable_and_variant() {
    for args in ["--help", "help"] {
        let output = output(args);
        assert!(output.status.success());
        let help = stdout(&output);
        for flag in [
            "variant",
            "listen",
            "labels",
            "drain",
            "access-log",
            "error-rate",
            "delay",
            "delay-rate",
        ] {
            assert!(help.contains(&format!("--{flag} ")), "{help}");
            let variable = format!("APPINFO_{}", flag.to_uppercase().replace('-', "_"));
            assert!(help.contains(&variable), "{help}");
        }
        for variant in ["baseline", "broken", "namespace"] {
            assert!(help.lines().any(|line| line.trim().starts_with(variant)), "{help}");
        }
    }
}

#[test]
fn help_and_version_survive_a_reader_that_has_gone() {
    for flag in ["--help", "--version"] {
        let program = common::program();
        let mut child = Command::new(&program[0])
            .args(&program[1..])
            .arg(flag)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        child.wait().unwrap();
        assert_eq!(stderr, "");
    }
    let shell = format!("{} --help | head -n 1", common::program().join(" "));
    let piped = Command::new("sh").args(["-c", &shell]).output().unwrap();
    assert!(piped.stderr.is_empty(), "{piped:?}");
}
