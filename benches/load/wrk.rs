//! The load: wrk, with a connection per request.

use std::process::Command;
use std::time::Duration;

/// What is told of a load, in the order of [`Report::figures`].
pub const FIGURES: [&str; 5] = [
    "CPU time per response, µs",
    "responses per second",
    "median latency, ms",
    "99th percentile latency, ms",
    ERRORS,
];

/// The one of them that is to be added up.
pub const ERRORS: &str = "errors";

/// What wrk reported.
#[derive(Debug, PartialEq)]
pub struct Report {
    answers: u64,
    answers_per_second: f64,
    median: Duration,
    percentile_99: Duration,
    /// Failed connects, reads and writes, time-outs, and answers that are neither 2xx nor 3xx.
    errors: u64,
}

impl Report {
    /// The values of [`FIGURES`]; `cpu` is the server's own over the run, where it is known.
    pub fn figures(&self, cpu: Option<Duration>) -> [Option<f64>; 5] {
        let milliseconds = |latency: Duration| Some(latency.as_secs_f64() * 1e3);
        [
            cpu.filter(|_| self.answers > 0)
                .map(|cpu| cpu.as_secs_f64() * 1e6 / self.answers as f64),
            Some(self.answers_per_second),
            milliseconds(self.median),
            milliseconds(self.percentile_99),
            Some(self.errors as f64),
        ]
    }
}

/// An error with a way out where it is not.
pub fn is_installed() -> Result<(), String> {
    match Command::new("wrk").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_) => Err("needs wrk, which this machine lacks (Debian: apt-get install wrk)".into()),
    }
}

/// Puts the load of so many clients on `url` for so many seconds.
///
/// Each request says `Connection: close`: so the server is the first to close, it has to keep the
/// closed connection in mind (TIME-WAIT, RFC 9293, 3.3.2), and the client does not run out of ports.
pub fn run(url: &str, clients: usize, seconds: u64) -> Result<Report, String> {
    let output = Command::new("wrk")
        .args(["--threads", "1", "--latency", "--header", "Connection: close"])
        .args(["--connections", &clients.to_string(), "--duration", &format!("{seconds}s"), url])
        .output()
        .map_err(|error| format!("wrk does not start: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    parse(&printed).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!("wrk on {url} printed no report, but: {printed}{complaint}")
    })
}

fn parse(printed: &str) -> Option<Report> {
    let mut report = Report {
        answers: 0,
        answers_per_second: 0.0,
        median: Duration::ZERO,
        percentile_99: Duration::ZERO,
        errors: 0,
    };
    let mut complete = false;
    for line in printed.lines().map(str::trim) {
        if let Some(counts) = line.strip_prefix("Socket errors:") {
            // connect 0, read 0, write 0, timeout 0
            report.errors +=
                counts.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            report.errors += count.trim().parse::<u64>().ok()?;
        } else if let Some(latency) = line.strip_prefix("50%") {
            report.median = duration(latency.trim())?;
        } else if let Some(latency) = line.strip_prefix("99%") {
            report.percentile_99 = duration(latency.trim())?;
        } else if let Some(rate) = line.strip_prefix("Requests/sec:") {
            report.answers_per_second = rate.trim().parse().ok()?;
            complete = true;
        } else if let Some((answers, _)) = line.split_once(" requests in ") {
            report.answers = answers.parse().ok()?;
        }
    }
    complete.then_some(report)
}

/// A time as wrk prints it: `84.00us`, `1.20ms`, `2.01s`, `1.00m`.
fn duration(printed: &str) -> Option<Duration> {
    let unit = printed.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = printed.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number.parse::<f64>().ok()? * seconds))
}
