//! What Prometheus scrapes, in its text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Written by hand: the client
//! library would add 70 kB to the image. Only the server's loop counts, so nothing is locked.
//! The series are bounded: methods, paths and statuses are all from fixed lists.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tiny_http::Method;

use crate::web::answer::Answer;
use crate::web::route::Route;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The histogram's upper bounds, in microseconds and as Prometheus shows them, in seconds.
const BOUNDS: [(u64, &str); 18] = [
    (10, "0.00001"),
    (25, "0.000025"),
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
];

/// All counts since the start.
pub struct Metrics {
    variant: &'static str,
    /// When the process started, since the Unix epoch.
    started: Duration,
    /// Requests by path, method and status, sorted.
    requests: Vec<((Route, &'static str, u16), u64)>,
    /// One for each path, in the order of [`Route`].
    durations: [Histogram; Route::ALL.len()],
}

/// How long the answers of one path took.
#[derive(Default)]
struct Histogram {
    /// Answers in each bucket, those above the last bound at the end.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

/// The method's name, as metrics know it.
pub fn method(method: &Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::NonStandard(_) => "other",
    }
}

impl Metrics {
    pub fn new(variant: &'static str) -> Metrics {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // From the start, so that Prometheus sees the first error as a rise from zero
        // (<https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics>).
        let requests = [200, 500].map(|status| ((Route::AppInfo, "GET", status), 0)).to_vec();
        Metrics { variant, started, requests, durations: Default::default() }
    }

    /// Counts one answered request.
    pub fn count(&mut self, method: &'static str, route: Route, status: u16, took: Duration) {
        let series = (route, method, status);
        match self.requests.binary_search_by_key(&series, |(series, _)| *series) {
            Ok(known) => self.requests[known].1 += 1,
            Err(place) => self.requests.insert(place, (series, 1)),
        }
        let histogram = &mut self.durations[route as usize];
        let nanoseconds = took.as_nanos() as u64;
        let bucket = BOUNDS.partition_point(|(bound, _)| *bound * 1_000 < nanoseconds);
        histogram.buckets[bucket] += 1;
        histogram.sum += took;
    }

    /// The answer of `/metrics`.
    pub fn answer(&self) -> Answer {
        Answer::new(200, TEXT_FORMAT, self.to_string().into_bytes())
    }
}

impl Display for Metrics {
    fn fmt(&self, text: &mut Formatter) -> fmt::Result {
        text.write_str(
            "# HELP http_requests_total Requests answered.\n\
             # TYPE http_requests_total counter\n",
        )?;
        for ((route, method, code), count) in &self.requests {
            let path = route.name();
            writeln!(
                text,
                "http_requests_total{{method=\"{method}\",path=\"{path}\",code=\"{code}\"}} {count}"
            )?;
        }
        text.write_str(
            "# HELP http_request_duration_seconds Time from taking a request up to having sent \
             its answer, or to having begun to refuse its body.\n\
             # TYPE http_request_duration_seconds histogram\n",
        )?;
        for (route, Histogram { buckets, sum }) in Route::ALL.iter().zip(&self.durations) {
            let path = route.name();
            let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            let mut count = 0;
            for (bound, bucket) in bounds.zip(buckets) {
                count += bucket;
                writeln!(
                    text,
                    "http_request_duration_seconds_bucket{{path=\"{path}\",le=\"{bound}\"}} {count}"
                )?;
            }
            let (seconds, nanoseconds) = (sum.as_secs(), sum.subsec_nanos());
            writeln!(
                text,
                "http_request_duration_seconds_sum{{path=\"{path}\"}} {seconds}.{nanoseconds:09}\n\
                 http_request_duration_seconds_count{{path=\"{path}\"}} {count}"
            )?;
        }
        let (version, variant) = (env!("CARGO_PKG_VERSION"), self.variant);
        let (seconds, milliseconds) = (self.started.as_secs(), self.started.subsec_millis());
        writeln!(
            text,
            "# HELP appinfo_build_info The program's version and the variant it runs.\n\
             # TYPE appinfo_build_info gauge\n\
             appinfo_build_info{{version=\"{version}\",variant=\"{variant}\"}} 1\n\
             # HELP process_start_time_seconds When the process started, since the Unix epoch.\n\
             # TYPE process_start_time_seconds gauge\n\
             process_start_time_seconds {seconds}.{milliseconds:03}"
        )
    }
}
