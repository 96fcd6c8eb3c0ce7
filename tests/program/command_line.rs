//! The command line and its environment variables. Which values are valid is tested beside the
//! code, in `settings.rs`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::common::*;

/// The one sentence with which a start is refused.
#[track_caller]
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

/// And an empty variable counts as unset.
#[test]
fn a_flag_beats_its_variable() {
    let given = [("APPINFO_VARIANT", "broken"), ("APPINFO_LABELS", "/nowhere")];
    // What Kubernetes sets for a Service of the name appinfo.
    let service = [("APPINFO_PORT", "tcp://10.32.0.232:80"), ("APPINFO_SERVICE_PORT_HTTP", "80")];
    let empty = [("APPINFO_VARIANT", ""), ("APPINFO_LABELS", "")];
    for (args, variables, variant, labels) in [
        ("--variant namespace --labels=/some/labels", given, "namespace", "/some/labels"),
        ("", empty, "baseline", "/etc/labels"),
        ("", service, "baseline", "/etc/labels"),
    ] {
        let start = Start::new().args(args);
        let start = variables.iter().fold(start, |start, (name, value)| start.env(name, value));
        let line = start.spawn().stderr.all()[0].clone();
        let beginning = format!("appinfo {VERSION}: variant {variant}, listening on ");
        let end = format!(", labels from {labels}");
        assert!(line.starts_with(&beginning) && line.ends_with(&end), "{line}");
    }
}

/// The sentence names the flag or the variable, its value, and what is allowed.
#[test]
fn an_invalid_value_is_refused() {
    for (flag, value, allowed) in [
        ("variant", "blue", "baseline, broken, namespace"),
        ("listen", "8080", "127.0.0.1:8080"),
        ("drain", "3601", "0 to 3600"),
        ("error-rate", "100.1", "0 to 100, with at most four decimals"),
        ("delay", "300ms", "0 to 60000"),
        ("delay-rate", "-1", "0 to 100, with at most four decimals"),
    ] {
        let by_flag = Start::new().arg(format!("--{flag}")).arg(value);
        let by_variable = Start::new().env(&variable(flag), value);
        for (source, start) in [(format!("--{flag}"), by_flag), (variable(flag), by_variable)] {
            let refusal = refusal(start);
            let expected = format!("{source} is {value:?}, but must be ");
            assert!(refusal.contains(&expected) && refusal.contains(allowed), "{refusal}");
        }
    }
}

#[test]
fn an_unusable_command_line_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it has an address").to_string();
    let odd = OsStr::from_bytes(b"br\xffken");
    let args = |args: &str| Start::new().args(args);
    for (start, parts) in [
        (args("--color blue"), ["Unrecognized", "--color", "--help"]),
        (args("serve"), ["Unrecognized", "serve", "--help"]),
        (args("--variant"), ["No value", "--variant", "--help"]),
        (args("--variant broken --variant broken"), ["duplicate", "--variant", "--help"]),
        (args(&format!("--listen {taken}")), ["--listen", &taken, "in use"]),
        (Start::new().env("APPINFO_VARIANT", odd), ["APPINFO_VARIANT", "br", "broken"]),
        (Start::new().env("APPINFO_ACCESS_LOG", "yes"), ["LOG is", "\"yes\"", "1 or true"]),
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
fn help_names_every_flag_variable_and_variant() {
    let [version, help] = ["--version", "--help"]
        .map(|flag| run(&mut Start::new().args(flag).to(Stdio::piped(), Stdio::piped())));
    assert_eq!(version, format!("appinfo {VERSION}\n"));
    for flag in "variant listen labels drain access-log error-rate delay delay-rate".split(' ') {
        assert!(help.contains(&format!("--{flag} ")) && help.contains(&variable(flag)), "{help}");
    }
    for variant in ["baseline", "broken", "namespace"] {
        assert!(help.lines().any(|line| line.trim().starts_with(variant)), "{help}");
    }
}

#[test]
fn help_and_version_survive_a_closed_pipe() {
    for flag in ["--help", "--version"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let output = Start::new().args(flag).to(writer, Stdio::piped()).output();
        let output = output.expect("the program runs");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}
