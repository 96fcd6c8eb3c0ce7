//! The metrics that Prometheus scrapes, in its text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>). Written by hand: the client
//! library would add 70 kB to the image. Only the server's loop counts, so nothing is locked.
//! The number of series is bounded: methods, paths and statuses are all from fixed lists.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tiny_http::Method;

use crate::web::route::{ROUTES, Route};

/// The content type of the text.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The histogram's upper bounds, in microseconds.
const BOUNDS: [u64; 18] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 5_000_000,
];

/// All counts since the server process started.
pub struct Metrics {
    variant: &'static str,
    /// How many server processes have ended before this one.
    restarts: u64,
    /// When this process started, since the Unix epoch.
    started: Duration,
    /// Requests by path, method and status, sorted.
    requests: Vec<((Route, &'static str, u16), u64)>,
    /// One for each path, in the order of [`Route`].
    durations: [Histogram; ROUTES.len()],
}

/// How long the responses of one path took.
#[derive(Default)]
struct Histogram {
    /// Responses in each bucket, those above the last bound at the end.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

/// The name of a method in metrics.
pub fn method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

impl Metrics {
    /// No counts yet, of a server that runs this variant after so many restarts.
    pub fn new(variant: &'static str, restarts: u64) -> Metrics {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // From the start, so that Prometheus sees the first error as a rise from zero
        // (<https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics>).
        let requests = [200, 500].map(|status| ((Route::AppInfo, "GET", status), 0)).to_vec();
        Metrics { variant, restarts, started, requests, durations: Default::default() }
    }

    /// Counts one response, and how long it took.
    pub fn count(&mut self, method: &'static str, route: Route, status: u16, took: Duration) {
        let series = (route, method, status);
        match self.requests.binary_search_by_key(&series, |(series, _)| *series) {
            Ok(known) => self.requests[known].1 += 1,
            Err(place) => self.requests.insert(place, (series, 1)),
        }
        let histogram = &mut self.durations[route as usize];
        histogram.buckets[bucket(took)] += 1;
        histogram.sum += took;
    }
}

/// The place of the first bucket whose bound is not exceeded: `le` means "less than or equal".
fn bucket(took: Duration) -> usize {
    let nanoseconds = took.as_nanos() as u64;
    BOUNDS.partition_point(|bound| bound * 1_000 < nanoseconds)
}

/// Microseconds as seconds, as Prometheus writes them: `0.0005`, `1`, `2.5`.
fn seconds(microseconds: u64) -> String {
    let seconds = format!("{}.{:06}", microseconds / 1_000_000, microseconds % 1_000_000);
    seconds.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Display for Metrics {
    fn fmt(&self, text: &mut Formatter) -> fmt::Result {
        text.write_str(
            "# HELP http_requests_total Responses sent.\n\
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
            "# HELP http_request_duration_seconds Time from handling a request to having sent its \
             response.\n\
             # TYPE http_request_duration_seconds histogram\n",
        )?;
        for ((_, path), Histogram { buckets, sum }) in ROUTES.iter().zip(&self.durations) {
            let bounds = BOUNDS.into_iter().map(seconds).chain(["+Inf".to_owned()]);
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
        let (version, variant, restarts) = (env!("CARGO_PKG_VERSION"), self.variant, self.restarts);
        let (seconds, milliseconds) = (self.started.as_secs(), self.started.subsec_millis());
        writeln!(
            text,
            "# HELP appinfo_build_info The program's version and the variant it runs.\n\
             # TYPE appinfo_build_info gauge\n\
             appinfo_build_info{{version=\"{version}\",variant=\"{variant}\"}} 1\n\
             # HELP appinfo_server_restarts_total How often the server process was restarted.\n\
             # TYPE appinfo_server_restarts_total counter\n\
             appinfo_server_restarts_total {restarts}\n\
             # HELP process_start_time_seconds When the server process started, since the Unix epoch.\n\
             # TYPE process_start_time_seconds gauge\n\
             process_start_time_seconds {seconds}.{milliseconds:03}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (microseconds, expected) in [(0, 0), (10, 0), (11, 1), (25, 1), (5_000_000, 17)] {
            let took = Duration::from_micros(microseconds);
            assert_eq!(bucket(took), expected, "{took:?}");
        }
        assert_eq!(bucket(Duration::from_nanos(10_001)), 1);
        assert_eq!(bucket(Duration::from_secs(6)), BOUNDS.len());
    }

    #[test]
    fn bounds_are_sorted_and_shown_in_seconds() {
        assert!(BOUNDS.is_sorted());
        for (microseconds, shown) in
            [(10, "0.00001"), (2_500, "0.0025"), (1_000_000, "1"), (2_500_000, "2.5")]
        {
            assert_eq!(seconds(microseconds), shown);
        }
    }

    #[test]
    fn unknown_methods_share_a_name() {
        assert_eq!(method(&Method::Post), "POST");
        assert_eq!(method(&"BREW".parse().expect("a method")), "other");
    }

    #[test]
    fn responses_are_counted_by_path_method_and_status() {
        let mut metrics = Metrics::new("broken", 7);
        for _ in 0..3 {
            metrics.count("GET", Route::AppInfo, 500, Duration::from_millis(3));
        }
        let text = metrics.to_string();
        for line in [
            r#"http_requests_total{method="GET",path="/v1/appinfo",code="200"} 0"#,
            r#"http_requests_total{method="GET",path="/v1/appinfo",code="500"} 3"#,
            r#"http_request_duration_seconds_bucket{path="/v1/appinfo",le="0.0025"} 0"#,
            r#"http_request_duration_seconds_bucket{path="/v1/appinfo",le="0.005"} 3"#,
            r#"http_request_duration_seconds_bucket{path="/v1/appinfo",le="+Inf"} 3"#,
            r#"http_request_duration_seconds_sum{path="/v1/appinfo"} 0.009000000"#,
            "appinfo_server_restarts_total 7",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
