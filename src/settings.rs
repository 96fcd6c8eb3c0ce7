//! The command line and its environment variables. A flag beats its variable.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use argh::FromArgs;

use crate::log::NAME_AND_VERSION;
use crate::pod::variant::{VARIANTS, Variant};
use crate::web::faults::{Faults, Percentage};

/// How the program was told to run.
pub struct Settings {
    pub variant: &'static Variant,
    pub listen: Listen,
    /// The downward API file with the pod's labels.
    pub labels: PathBuf,
    /// How long to go on serving after SIGTERM.
    pub drain: Duration,
    /// Whether to write a line per request to stdout.
    pub access_log: bool,
    /// How many of the answers fail.
    error_rate: Percentage,
    /// How much later the late answers are sent.
    delay: Duration,
    /// How many of the answers are late.
    delay_rate: Percentage,
}

/// Where to listen.
pub enum Listen {
    /// On this address, and no other.
    On(SocketAddr),
    /// On every address at this port: IPv6 and IPv4, or IPv4 alone where the kernel has no IPv6.
    Everywhere(u16),
}

/// What the command line asks for.
pub enum Start {
    With(Settings),
    /// Print this and end well: the help, the version.
    Print(String),
    /// End badly; a sentence says why.
    Refuse(String),
}

/// Tells, as JSON, how its Kubernetes pod is deployed.
///
/// Each flag has an environment variable, named in brackets; the flag beats it.
#[derive(FromArgs)]
struct CommandLine {
    /// how to answer: one of the variants below [APPINFO_VARIANT; default: baseline]
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

    /// how many of /v1/appinfo's answers fail as the broken variant's do, such as 5 or 0.5
    /// [APPINFO_ERROR_RATE; default: 0]
    #[argh(option, arg_name = "percentage")]
    error_rate: Option<String>,

    /// how much later its late answers are sent, in milliseconds [APPINFO_DELAY; default: 0]
    #[argh(option, arg_name = "milliseconds")]
    delay: Option<String>,

    /// how many of its answers are late, where there is a delay [APPINFO_DELAY_RATE; default: 100]
    #[argh(option, arg_name = "percentage")]
    delay_rate: Option<String>,

    /// print the version
    #[argh(switch)]
    version: bool,
}

impl Settings {
    /// Reads the command line and the environment.
    pub fn read() -> Start {
        let arguments = match arguments(env::args_os().skip(1)) {
            Ok(arguments) => arguments,
            Err(why) => return Start::Refuse(why),
        };
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        match CommandLine::from_args(&["appinfo"], &arguments) {
            Ok(line) if line.version => Start::Print(format!("{NAME_AND_VERSION}\n")),
            Ok(line) => Settings::of(line).map_or_else(Start::Refuse, Start::With),
            Err(early) if early.status.is_ok() => Start::Print(help(&early.output)),
            Err(early) => {
                let why = early.output.trim_end().trim_end_matches('.');
                Start::Refuse(format!("{why}. `appinfo --help` lists what it takes."))
            }
        }
    }

    /// How the program runs, for the start line.
    pub fn summary(&self, address: SocketAddr) -> String {
        let (variant, labels) = (self.variant.name, self.labels.display());
        format!("variant {variant}, listening on {address}, labels from {labels}")
    }

    /// What is to be wrong with the answers.
    pub fn faults(&self) -> Faults {
        Faults::new(self.error_rate, self.delay, self.delay_rate)
    }

    fn of(line: CommandLine) -> Result<Settings, String> {
        Ok(Settings {
            variant: choose("--variant", line.variant, variant)?.unwrap_or(&VARIANTS[0]),
            listen: choose("--listen", line.listen, listen)?.unwrap_or(Listen::Everywhere(8080)),
            labels: choose("--labels", line.labels, path)?.unwrap_or("/etc/labels".into()),
            drain: choose("--drain", line.drain, seconds)?.unwrap_or(Duration::from_secs(5)),
            access_log: line.access_log || choose("--access-log", None, switch)?.unwrap_or(false),
            error_rate: choose("--error-rate", line.error_rate, percentage)?.unwrap_or_default(),
            delay: choose("--delay", line.delay, milliseconds)?.unwrap_or_default(),
            delay_rate: choose("--delay-rate", line.delay_rate, percentage)?
                .unwrap_or(Percentage::ALL),
        })
    }
}

/// The arguments as text, with `--flag=value` split as argh wants it: `--flag value`.
fn arguments(given: impl Iterator<Item = OsString>) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    for argument in given {
        let argument = argument
            .into_string()
            .map_err(|odd| format!("The argument {odd:?} is not UTF-8 text."))?;
        match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => {
                arguments.extend([flag.to_owned(), value.to_owned()]);
            }
            _ => arguments.push(argument),
        }
    }
    Ok(arguments)
}

/// argh's help, with what only the program knows.
fn help(usage: &str) -> String {
    let mut help = usage.trim_end().to_owned();
    help.push_str("\n\nThe pod's name and namespace are MY_POD_NAME and MY_POD_NAMESPACE.\n");
    help.push_str("\nVariants:\n");
    for Variant { name, summary, .. } in &VARIANTS {
        help.push_str(&format!("  {name:<16}  {summary}\n"));
    }
    help
}

/// The value of a flag, else of its variable, else `None`. `read` says what is allowed where it cannot
/// take the value.
fn choose<T>(
    flag: &str,
    given: Option<String>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    let Some((source, value)) = find(flag, given)? else { return Ok(None) };
    let wrong = |allowed| format!("{source} is {value:?}, but must be {allowed}.");
    read(&value).map(Some).map_err(wrong)
}

/// Where a value comes from, and the value: `--access-log` belongs to `APPINFO_ACCESS_LOG`. An empty
/// variable counts as unset.
fn find(flag: &str, given: Option<String>) -> Result<Option<(String, String)>, String> {
    if let Some(value) = given {
        return Ok(Some((flag.to_owned(), value)));
    }
    let name = flag.trim_start_matches('-').to_ascii_uppercase().replace('-', "_");
    let name = format!("APPINFO_{name}");
    match env::var_os(&name).filter(|value| !value.is_empty()).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some((name, value))),
        Some(Err(odd)) => Err(format!("{name} is {odd:?}, but must be UTF-8 text.")),
    }
}

fn variant(value: &str) -> Result<&'static Variant, String> {
    Variant::named(value).ok_or_else(|| {
        let names: Vec<_> = VARIANTS.iter().map(|variant| variant.name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn listen(value: &str) -> Result<Listen, String> {
    let allowed = || {
        "an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or, for every address, :8080"
            .to_owned()
    };
    match value.strip_prefix(':') {
        Some(port) => number(port).map(Listen::Everywhere).ok_or_else(allowed),
        None => value.parse().map(Listen::On).ok().ok_or_else(allowed),
    }
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

fn percentage(value: &str) -> Result<Percentage, String> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, "0"));
    let ten_thousandths = || {
        let places = 4_u32.checked_sub(decimals.len().try_into().ok()?)?;
        let decimals = number::<u32>(decimals)? * 10_u32.pow(places);
        number::<u32>(whole)?.checked_mul(10_000)?.checked_add(decimals)
    };
    match ten_thousandths() {
        Some(part) if part <= Percentage::ALL.0 => Ok(Percentage(part)),
        _ => Err("a percentage from 0 to 100, with four decimals at most".to_owned()),
    }
}

/// A number in digits alone: `parse` takes a sign as well.
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

impl Listen {
    /// The addresses to try, in this order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match *self {
            Listen::On(address) => vec![address],
            Listen::Everywhere(port) => {
                let (ipv6, ipv4) = (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from([0; 4]));
                vec![SocketAddr::new(ipv6, port), SocketAddr::new(ipv4, port)]
            }
        }
    }
}
