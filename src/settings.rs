//! The command line and its environment variables. A flag overrides its variable.

use std::env;
use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use argh::FromArgs;

use crate::log::NAME_AND_VERSION;
use crate::pod::variant::{VARIANTS, Variant};
use crate::web::faults::{ALL, Faults, Ppm};

/// How the program is to run.
pub struct Settings {
    pub variant: &'static Variant,
    /// Where to listen. `[::]` is every address: IPv6 and IPv4, or IPv4 alone where the kernel has no IPv6.
    pub listen: SocketAddr,
    /// The downward API file with the pod's labels.
    pub labels: PathBuf,
    /// How long to go on serving after SIGTERM.
    pub drain: Duration,
    /// Whether to write a line per request to stdout.
    pub access_log: bool,
    /// What is to be wrong with the responses.
    pub faults: Faults,
}

/// What the command line asks for.
pub enum Invocation {
    Run(Settings),
    /// Check the health of the program that listens there.
    Check(Settings),
    /// Print this and exit with 0: the help, the version.
    Print(String),
    /// Exit with 2; the sentence says why.
    Invalid(String),
}

/// Tells, as JSON, how its Kubernetes pod is deployed.
///
/// The environment variable in brackets sets the same; the flag overrides it.
#[derive(FromArgs)]
struct CommandLine {
    /// how to respond: one of the variants below [APPINFO_VARIANT; default: baseline]
    #[argh(option, arg_name = "name")]
    variant: Option<String>,

    /// where to listen, such as 127.0.0.1:8080; port 0 picks a free one
    /// [APPINFO_LISTEN; default: every address, port 8080]
    #[argh(option, arg_name = "address:port")]
    listen: Option<String>,

    /// the downward API file with the pod's labels [APPINFO_LABELS; default: /etc/labels]
    #[argh(option, arg_name = "path")]
    labels: Option<String>,

    /// seconds to go on serving after SIGTERM [APPINFO_DRAIN; default: 5]
    #[argh(option, arg_name = "seconds")]
    drain: Option<String>,

    /// write a line per request to stdout: method, path, status, microseconds
    /// [APPINFO_ACCESS_LOG, 1 or 0; default: 0]
    #[argh(switch)]
    access_log: bool,

    /// percentage of /v1/appinfo's responses that fail as the broken variant's do, such as 5 or 0.5
    /// [APPINFO_ERROR_RATE; default: 0]
    #[argh(option, arg_name = "percentage")]
    error_rate: Option<String>,

    /// milliseconds by which delayed responses of /v1/appinfo are late [APPINFO_DELAY; default: 0]
    #[argh(option, arg_name = "milliseconds")]
    delay: Option<String>,

    /// percentage of /v1/appinfo's responses that are delayed [APPINFO_DELAY_RATE; default: 100]
    #[argh(option, arg_name = "percentage")]
    delay_rate: Option<String>,

    /// ask the program that listens at --listen whether it is ready; exit with 0 if so, else with 1
    #[argh(switch)]
    check: bool,

    /// print the version
    #[argh(switch)]
    version: bool,
}

impl Invocation {
    /// Reads the command line and the environment.
    pub fn read() -> Invocation {
        let arguments = arguments(env::args_os().skip(1));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        match CommandLine::from_args(&["appinfo"], &arguments) {
            Ok(line) if line.version => Invocation::Print(format!("{NAME_AND_VERSION}\n")),
            Ok(line) => {
                let run = if line.check { Invocation::Check } else { Invocation::Run };
                Settings::read(line).map_or_else(Invocation::Invalid, run)
            }
            Err(early) if early.status.is_ok() => Invocation::Print(help(&early.output)),
            Err(early) => {
                let why = early.output.trim_end().trim_end_matches('.');
                Invocation::Invalid(format!("{why}. `appinfo --help` lists what is possible."))
            }
        }
    }
}

impl Settings {
    /// How the program runs, for the start line.
    pub fn summary(&self, listener: &TcpListener) -> String {
        let (variant, labels) = (self.variant.name, self.labels.display());
        // With the real port where 0 was given.
        let address = listener.local_addr().expect("a bound socket has an address");
        format!("variant {variant}, listening on {address}, labels from {labels}")
    }

    #[rustfmt::skip] // A row for each setting.
    fn read(line: CommandLine) -> Result<Settings, String> {
        let access_log = line.access_log.then(|| "1".to_owned());
        let (zero, five) = (Duration::ZERO, Duration::from_secs(5));
        let every = (Ipv6Addr::UNSPECIFIED, 8080).into();
        Ok(Settings {
            listen: setting("--listen", "APPINFO_LISTEN", line.listen, listen, every)?,
            variant: setting("--variant", "APPINFO_VARIANT", line.variant, variant, &VARIANTS[0])?,
            labels: setting("--labels", "APPINFO_LABELS", line.labels, path, "/etc/labels".into())?,
            drain: setting("--drain", "APPINFO_DRAIN", line.drain, seconds, five)?,
            access_log: setting("--access-log", "APPINFO_ACCESS_LOG", access_log, switch, false)?,
            faults: Faults::new(
                setting("--error-rate", "APPINFO_ERROR_RATE", line.error_rate, percentage, Ppm(0))?,
                setting("--delay", "APPINFO_DELAY", line.delay, milliseconds, zero)?,
                setting("--delay-rate", "APPINFO_DELAY_RATE", line.delay_rate, percentage, ALL)?,
            ),
        })
    }
}

/// The arguments as text, with `--flag=value` split as argh wants it: `--flag value`. What is not UTF-8 is no
/// valid value, and not Kubernetes'.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<String> {
    let split = |argument: OsString| match argument.to_string_lossy().split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => vec![flag.to_owned(), value.to_owned()],
        _ => vec![argument.to_string_lossy().into_owned()],
    };
    given.flat_map(split).collect()
}

/// argh's help, and what argh does not know.
fn help(usage: &str) -> String {
    let mut help = usage.trim_end().to_owned();
    help.push_str("\n\nThe pod's name and namespace are MY_POD_NAME and MY_POD_NAMESPACE.\n");
    help.push_str("\nVariants:\n");
    for Variant { name, summary, .. } in &VARIANTS {
        help.push_str(&format!("  {name:<16}  {summary}\n"));
    }
    help
}

/// A setting: the value of a flag, else of its variable, else the default. An empty variable counts as unset.
/// `read` says what is allowed if it does not accept the value.
fn setting<T>(
    flag: &str,
    variable: &str,
    given: Option<String>,
    read: fn(&str) -> Result<T, String>,
    default: T,
) -> Result<T, String> {
    let (source, value) = match (given, env::var_os(variable)) {
        (Some(value), _) => (flag, value),
        (None, Some(value)) if !value.is_empty() => {
            (variable, value.to_string_lossy().into_owned())
        }
        (None, _) => return Ok(default),
    };
    read(&value).map_err(|allowed| format!("{source} is {value:?}, but must be {allowed}."))
}

fn variant(value: &str) -> Result<&'static Variant, String> {
    VARIANTS.iter().find(|variant| variant.name == value).ok_or_else(|| {
        let names: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn listen(value: &str) -> Result<SocketAddr, String> {
    let address = match value.strip_prefix(':') {
        Some(port) => number(port).map(|port: u16| (Ipv6Addr::UNSPECIFIED, port).into()),
        None => value.parse().ok(),
    };
    address.ok_or_else(|| {
        "an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or, for every address, :8080"
            .to_owned()
    })
}

fn path(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err("the path of a file".to_owned());
    }
    Ok(value.into())
}

fn seconds(value: &str) -> Result<Duration, String> {
    match number(value) {
        Some(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("a whole number of seconds from 0 to 3600".to_owned()),
    }
}

fn milliseconds(value: &str) -> Result<Duration, String> {
    match number(value) {
        Some(milliseconds @ 0..=60_000) => Ok(Duration::from_millis(milliseconds)),
        _ => Err("a whole number of milliseconds from 0 to 60000".to_owned()),
    }
}

fn percentage(value: &str) -> Result<Ppm, String> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, "0"));
    let parts_per_million = || {
        let places = 4_u32.checked_sub(decimals.len().try_into().ok()?)?;
        let decimals = number::<u32>(decimals)? * 10_u32.pow(places);
        number::<u32>(whole)?.checked_mul(10_000)?.checked_add(decimals)
    };
    match parts_per_million() {
        Some(share) if share <= ALL.0 => Ok(Ppm(share)),
        _ => Err("a percentage from 0 to 100, with at most four decimals".to_owned()),
    }
}

/// A number in digits alone: `parse` accepts a sign as well.
fn number<T: FromStr>(value: &str) -> Option<T> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err("1 or true, 0 or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_at_most_four_decimals() {
        for (value, expected) in [
            ("0", Some(0)),
            ("5", Some(50_000)),
            ("0.3", Some(3_000)),
            ("33.3334", Some(333_334)),
            ("100", Some(1_000_000)),
            ("100.0000", Some(1_000_000)),
            ("100.0001", None),
            ("0.00001", None),
            ("5%", None),
            ("1e1", None),
            ("-1", None),
            ("+1", None),
            (".5", None),
            ("5.", None),
            ("9999999999", None),
            ("", None),
        ] {
            assert_eq!(percentage(value).ok(), expected.map(Ppm), "{value:?}");
        }
    }

    #[test]
    fn addresses_have_a_port_and_perhaps_an_ip() {
        for (value, expected) in [
            ("127.0.0.1:80", Some("127.0.0.1:80")),
            ("[::1]:0", Some("[::1]:0")),
            (":8080", Some("[::]:8080")),
            ("8080", None),
            ("127.0.0.1", None),
            (":70000", None),
            (":+80", None),
            ("localhost:80", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse().expect("an address"));
            assert_eq!(listen(value).ok(), expected, "{value:?}");
        }
    }

    #[test]
    fn times_are_whole_and_limited() {
        for (value, expected) in [
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("3601", None),
            ("-1", None),
            ("1.5", None),
            ("5s", None),
            ("", None),
        ] {
            assert_eq!(seconds(value).ok(), expected.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(milliseconds("60000"), Ok(Duration::from_secs(60)));
        assert!(milliseconds("60001").is_err());
    }

    #[test]
    fn switches_are_on_or_off() {
        for value in ["1", "true", "0", "false"] {
            assert_eq!(switch(value), Ok(value == "1" || value == "true"), "{value:?}");
        }
        assert!(switch("yes").is_err() && switch("").is_err());
    }

    #[test]
    fn paths_are_not_empty() {
        assert_eq!(path("labels"), Ok("labels".into()));
        assert!(path("").is_err());
    }

    #[test]
    fn numbers_are_digits_alone() {
        for (value, expected) in [("0", Some(0)), ("65535", Some(65_535)), ("+1", None), ("", None)]
        {
            assert_eq!(number::<u16>(value), expected, "{value:?}");
        }
        assert_eq!(number::<u16>("65536"), None);
    }

    #[test]
    fn an_equals_sign_separates_a_flag_from_its_value() {
        let given = ["--labels=/a=b", "name=value", "--drain", "5"].map(OsString::from);
        let expected = ["--labels", "/a=b", "name=value", "--drain", "5"].map(str::to_owned);
        assert_eq!(arguments(given.into_iter()), expected);
    }
}
