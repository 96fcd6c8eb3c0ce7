//! The command line and its environment variables.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use crate::common::{self, DownwardApi, SIGTERM, Start, get, until};

/// The one sentence with which a start is refused.
fn refusal(start: Start) -> String {
    let output = start.output();
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success() && output.stdout.is_empty(), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("appinfo: ") && stderr.ends_with(".\n"), "{stderr}");
    stderr
}

/// The environment variable of a flag.
fn variable(flag: &str) -> String {
    format!("APPINFO_{}", flag.to_uppercase().replace('-', "_"))
}

/// What the program prints to whoever asks about itself.
fn printed(args: &str) -> String {
    let output = Start::new().args(args).output();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_start_line_tells_the_settings_and_a_flag_beats_its_variable_unless_that_is_empty() {
    if TcpListener::bind("0.0.0.0:8080").is_err() {
        return common::skip("needs the port 8080, which something has: the demo, perhaps");
    }
    let others = "APPINFO_VARIANT=broken APPINFO_LABELS=/nowhere";
    let empty = "APPINFO_VARIANT= APPINFO_LABELS= APPINFO_DRAIN= APPINFO_ACCESS_LOG= \
                 APPINFO_LISTEN=";
    // What Kubernetes sets because of a Service that is named appinfo.
    let service = "APPINFO_PORT=tcp://10.32.0.232:8080 APPINFO_PORT_8080_TCP_PROTO=tcp \
                   APPINFO_PORT_8080_TCP=tcp://10.32.0.232:8080 APPINFO_PORT_8080_TCP_PORT=8080 \
                   APPINFO_PORT_8080_TCP_ADDR=10.32.0.232 APPINFO_SERVICE_HOST=10.32.0.232 \
                   APPINFO_SERVICE_PORT=8080 APPINFO_SERVICE_PORT_HTTP=8080";
    for (args, variables, variant, labels) in [
        ("--variant namespace --labels /some/labels", others, "namespace", "/some/labels"),
        ("--variant=namespace --labels=/some/labels", others, "namespace", "/some/labels"),
        ("", empty, "baseline", "/etc/labels"),
        ("", service, "baseline", "/etc/labels"),
    ] {
        let mut start = Start::new().args(args).env("MY_POD_NAMESPACE", "default");
        for variable in variables.split(' ') {
            let (name, value) = variable.split_once('=').expect("a name and a value");
            start = start.env(name, value);
        }
        let appinfo = start.spawn();
        let line = &appinfo.stderr.all()[0];
        let beginning =
            format!("appinfo {}: variant {variant}, listening on ", env!("CARGO_PKG_VERSION"));
        let end = format!(", labels from {labels}");
        assert!(line.starts_with(&beginning) && line.ends_with(&end), "{line}");
        let namespace = if variant == "namespace" { "default" } else { "" };
        assert_eq!(appinfo.get("/v1/appinfo").json()["Namespace"], namespace, "{line}");
    }
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
    until("the request is logged", || !appinfo.stdout.all().is_empty());
    let start = std::time::Instant::now();
    appinfo.signal(SIGTERM);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed().as_secs() < 4, "the drain of 5 seconds is the default only");
}

#[test]
fn a_bad_value_is_refused_by_a_sentence_that_names_flag_or_variable_value_and_what_is_allowed() {
    let variants = "baseline, broken, namespace";
    for (flag, value, allowed) in [
        ("variant", "blue", variants),
        ("variant", "Baseline", variants),
        ("listen", "nowhere", "127.0.0.1:8080"),
        ("listen", "8080", "127.0.0.1:8080"),
        ("listen", "127.0.0.1", "a port"),
        ("listen", ":70000", "a port"),
        ("listen", ":+80", "a port"),
        ("drain", "soon", "0 to 3600"),
        ("drain", "-1", "0 to 3600"),
        ("drain", "3601", "0 to 3600"),
        ("drain", "5s", "0 to 3600"),
        ("drain", "+5", "whole"),
        ("drain", "1.5", "whole"),
        ("error-rate", "100.1", "0 to 100"),
        ("error-rate", "0.00001", "four decimals"),
        ("error-rate", "5%", "0 to 100"),
        ("error-rate", "1e1", "0 to 100"),
        ("delay-rate", "-1", "0 to 100"),
        ("delay-rate", "9999999999", "0 to 100"),
        ("delay-rate", "half", "0 to 100"),
        ("delay", "60001", "0 to 60000"),
        ("delay", "300ms", "0 to 60000"),
        ("delay", "0.5", "whole"),
    ] {
        let (flag, variable) = (format!("--{flag}"), variable(flag));
        let by_flag = refusal(Start::new().arg(&flag).arg(value));
        let by_variable = refusal(Start::new().env(&variable, value));
        assert!(by_flag.contains(&flag), "{by_flag}");
        assert!(by_variable.contains(&variable) && !by_variable.contains("--"), "{by_variable}");
        for refusal in [by_flag, by_variable] {
            let is_told = refusal.contains(&format!("{value:?}")) && refusal.contains(allowed);
            assert!(is_told, "{refusal}");
        }
    }
    let switch = refusal(Start::new().env("APPINFO_ACCESS_LOG", "yes"));
    for part in ["APPINFO_ACCESS_LOG", "\"yes\"", "1 or true"] {
        assert!(switch.contains(part) && !switch.contains("--"), "{switch}");
    }
}

#[test]
fn what_is_empty_unknown_incomplete_in_use_or_not_utf8_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it has an address").to_string();
    let odd = OsStr::from_bytes(b"br\xffken");
    let args = |args: &str| Start::new().args(args);
    for (start, parts) in [
        (args("--variant="), ["--variant", "\"\"", "baseline, broken, namespace"]),
        (args("--labels="), ["--labels", "\"\"", "path"]),
        (args("--colour blue"), ["Unrecognized", "--colour", "--help"]),
        (args("serve"), ["Unrecognized", "serve", "--help"]),
        (args("--variant"), ["No value", "--variant", "--help"]),
        (args("--variant broken --variant broken"), ["duplicate", "--variant", "--help"]),
        (args(&format!("--listen {taken}")), ["--listen", &taken, "in use"]),
        (args("--variant").arg(odd), ["argument", "br", "UTF-8"]),
        (Start::new().env("APPINFO_VARIANT", odd), ["APPINFO_VARIANT", "br", "UTF-8"]),
        (Start::new().env("APPINFO_LABELS", odd), ["APPINFO_LABELS", "br", "UTF-8"]),
    ] {
        let refusal = refusal(start);
        assert!(parts.iter().all(|part| refusal.contains(part)), "{parts:?}: {refusal}");
    }
}

#[test]
fn every_address_means_ipv6_and_ipv4() {
    let appinfo = Start::new().args("--listen :0").spawn();
    assert!(appinfo.stderr.all()[0].contains("listening on [::]:"), "{:?}", appinfo.stderr.all());
    for ip in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(ip.parse().unwrap(), appinfo.address.port());
        assert_eq!(get(address, "/healthz").status, 200, "{ip}");
    }
}

#[test]
fn the_version_is_printed_and_the_help_names_every_flag_variable_and_variant() {
    assert_eq!(printed("--version"), concat!("appinfo ", env!("CARGO_PKG_VERSION"), "\n"));
    for args in ["--help", "help"] {
        let help = printed(args);
        for flag in "variant listen labels drain access-log error-rate delay delay-rate".split(' ')
        {
            assert!(help.contains(&format!("--{flag} ")), "{help}");
            assert!(help.contains(&variable(flag)), "{help}");
        }
        for variant in ["baseline", "broken", "namespace"] {
            assert!(help.lines().any(|line| line.trim().starts_with(variant)), "{help}");
        }
    }
}

#[test]
fn help_and_version_survive_a_reader_that_has_gone() {
    for flag in ["--help", "--version"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Start::new().args(flag).to(writer, Stdio::piped());
        let output = command.output().expect("the program runs");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}
