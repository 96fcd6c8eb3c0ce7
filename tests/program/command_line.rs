//! The command line and its environment variables. Which values are valid is tested beside the code,
//! in `settings.rs`.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::time::Instant;

use crate::common::{self, DownwardApi, SIGTERM, Start, await_draining, get, until};

const VERSION: &str = env!("CARGO_PKG_VERSION");

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

/// What the program prints with these arguments, which only ask for that.
fn printed(args: &str) -> String {
    let output = Start::new().args(args).output();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// And an empty variable counts as unset.
#[test]
fn a_flag_beats_its_variable() {
    if TcpListener::bind("0.0.0.0:8080").is_err() {
        return common::skip("needs port 8080, which another program uses: the demo, perhaps");
    }
    let others = "APPINFO_VARIANT=broken APPINFO_LABELS=/nowhere";
    let empty = "APPINFO_VARIANT= APPINFO_LABELS= APPINFO_DRAIN= APPINFO_ACCESS_LOG= \
                 APPINFO_LISTEN=";
    // What Kubernetes sets for a Service of the name appinfo.
    let service = "APPINFO_PORT=tcp://10.32.0.232:8080 APPINFO_PORT_8080_TCP_PROTO=tcp \
                   APPINFO_SERVICE_HOST=10.32.0.232 APPINFO_SERVICE_PORT_HTTP=8080";
    for (args, variables, variant, labels) in [
        ("--variant namespace --labels=/some/labels", others, "namespace", "/some/labels"),
        ("", empty, "baseline", "/etc/labels"),
        ("", service, "baseline", "/etc/labels"),
    ] {
        let mut start = Start::new().args(args);
        for variable in variables.split(' ') {
            let (name, value) = variable.split_once('=').expect("a name and a value");
            start = start.env(name, value);
        }
        let line = start.spawn().stderr.all()[0].clone();
        let beginning = format!("appinfo {VERSION}: variant {variant}, listening on ");
        let end = format!(", labels from {labels}");
        assert!(line.starts_with(&beginning) && line.ends_with(&end), "{line}");
    }
}

#[test]
fn settings_can_come_from_their_variables() {
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
    let start = Instant::now();
    appinfo.signal(SIGTERM);
    assert_eq!(appinfo.wait().code(), Some(0));
    assert!(start.elapsed().as_secs() < 4, "the drain time is not the default of 5 seconds");
}

/// The sentence names the flag or the variable, its value, and what is allowed.
#[test]
fn a_bad_value_is_refused() {
    for (flag, value, allowed) in [
        ("variant", "blue", "baseline, broken, namespace"),
        ("listen", "8080", "127.0.0.1:8080"),
        ("drain", "3601", "0 to 3600"),
        ("error-rate", "100.1", "0 to 100, with at most four decimals"),
        ("delay", "300ms", "0 to 60000"),
        ("delay-rate", "-1", "0 to 100, with at most four decimals"),
    ] {
        let (flag, variable) = (format!("--{flag}"), variable(flag));
        let by_flag = refusal(Start::new().arg(&flag).arg(value));
        let by_variable = refusal(Start::new().env(&variable, value));
        assert!(by_flag.contains(&flag), "{by_flag}");
        assert!(by_variable.contains(&variable) && !by_variable.contains("--"), "{by_variable}");
        for refusal in [by_flag, by_variable] {
            assert!(refusal.contains(&format!("{value:?}")) && refusal.contains(allowed));
        }
    }
}

#[test]
fn what_cannot_be_used_is_refused() {
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
        (Start::new().env("APPINFO_LABELS", odd), ["APPINFO_LABELS", "br", "UTF-8"]),
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
    assert_eq!(printed("--version"), format!("appinfo {VERSION}\n"));
    let help = printed("--help");
    assert_eq!(help, printed("help"));
    for flag in "variant listen labels drain access-log error-rate delay delay-rate".split(' ') {
        assert!(help.contains(&format!("--{flag} ")), "{help}");
        assert!(help.contains(&variable(flag)), "{help}");
    }
    for variant in ["baseline", "broken", "namespace"] {
        assert!(help.lines().any(|line| line.trim().starts_with(variant)), "{help}");
    }
}

/// `--check` asks the program that listens there.
#[test]
fn a_health_check_tells_whether_the_program_is_ready() {
    let appinfo = Start::new().args("--drain 3600").spawn();
    let check =
        |address: SocketAddr| Start::new().args("--check").arg(format!("--listen={address}"));
    let output = check(appinfo.address).output();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    appinfo.signal(SIGTERM);
    await_draining(appinfo.address);
    let refused = refusal(check(appinfo.address));
    assert!(refused.contains("is not ready: /readyz says 503"), "{refused}");
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let refused = refusal(check(nobody.expect("a free port")));
    assert!(refused.contains("no response from") && refused.contains("--listen"), "{refused}");
}

#[test]
fn help_and_version_survive_a_closed_pipe() {
    for flag in ["--help", "--version"] {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Start::new().args(flag).to(writer, Stdio::piped());
        let output = command.output().expect("the program runs");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}
