//! HTTP as clients see it: the three behaviours, the paths, the headers.

use std::io::{Read, Write};
use std::process::Command;

use crate::common::{self, Answer, DownwardApi, Start, connect};

const LABELS: &str = "app=\"appinfo\"\npod-template-hash=\"1236545534\"\nrelease=\"stable\"";

/// A pod of the tutorial that runs this variant.
fn pod(variant: &str, labels: &DownwardApi) -> common::Appinfo {
    Start::new()
        .args("--variant")
        .arg(variant)
        .arg("--labels")
        .arg(labels.file())
        .env("MY_POD_NAME", "appinfo-567b989978-vvzlg")
        .env("MY_POD_NAMESPACE", "default")
        .spawn()
}

fn error_of(answer: &Answer) -> String {
    let document = answer.json();
    let fields = document.as_object().expect("an error is an object");
    assert_eq!(fields.len(), 1, "{document}");
    fields["error"].as_str().expect("an error is a sentence").to_owned()
}

#[test]
fn the_baseline_answers_the_tutorials_document_and_forgets_the_namespace() {
    let labels = DownwardApi::with(LABELS);
    let answer = pod("baseline", &labels).get("/v1/appinfo");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "{\"PodName\":\"appinfo-567b989978-vvzlg\",\"AppName\":\"appinfo\",\"Namespace\":\"\",\
         \"Release\":\"stable\",\"Labels\":{\"pod-template-hash\":\"1236545534\"}}\n"
    );
}

#[test]
fn the_namespace_variant_fills_the_namespace_in() {
    let labels = DownwardApi::with(LABELS);
    let answer = pod("namespace", &labels).get("/v1/appinfo");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "{\"PodName\":\"appinfo-567b989978-vvzlg\",\"AppName\":\"appinfo\",\
         \"Namespace\":\"default\",\"Release\":\"stable\",\
         \"Labels\":{\"pod-template-hash\":\"1236545534\"}}\n"
    );
}

#[test]
fn the_broken_variant_always_errs_whatever_the_labels_file_is_like() {
    let mut labels = DownwardApi::with(LABELS);
    let broken = pod("broken", &labels);
    for content in [&b"app=\"appinfo\""[..], b"\xff not UTF-8", b""] {
        labels.swap(content);
        let answer = broken.get("/v1/appinfo");
        assert_eq!(answer.status, 500);
        assert_eq!(answer.text(), "{\"error\":\"something went wrong\"}\n");
    }
}

#[test]
fn the_default_variant_is_the_baseline() {
    let answer = Start::new().env("MY_POD_NAMESPACE", "default").spawn().get("/v1/appinfo");
    assert_eq!(answer.json()["Namespace"], "");
}

#[test]
fn what_is_unknown_is_an_empty_string() {
    let answer = Start::new().args("--labels /does/not/exist").spawn().get("/v1/appinfo");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.text(),
        "{\"PodName\":\"\",\"AppName\":\"\",\"Namespace\":\"\",\"Release\":\"\",\"Labels\":{}}\n"
    );
}

#[test]
fn labels_are_sorted_by_key() {
    let labels = DownwardApi::with("zone=\"z\"\nabc=\"1\"\nrelease=\"r\"\nABC=\"2\"\napp=\"a\"");
    let answer = pod("baseline", &labels).get("/v1/appinfo");
    let expected = "\"Labels\":{\"ABC\":\"2\",\"abc\":\"1\",\"zone\":\"z\"}}\n";
    assert!(answer.text().ends_with(expected), "{}", answer.text());
}

#[test]
fn every_answer_to_appinfo_tells_pod_and_release_in_headers_an_error_too() {
    let labels = DownwardApi::with(LABELS);
    for variant in ["baseline", "broken", "namespace"] {
        let answer = pod(variant, &labels).get("/v1/appinfo");
        assert_eq!(answer.header("appinfo-pod"), Some("appinfo-567b989978-vvzlg"), "{variant}");
        assert_eq!(answer.header("appinfo-release"), Some("stable"), "{variant}");
    }
}

#[test]
fn pod_and_release_headers_are_left_out_where_the_value_is_unknown_or_not_plain() {
    for (pod, release) in [("", ""), ("pod\nX-Forged: 1", "a b"), ("Ünicode", "a\\r\\nX-Forged: 1")]
    {
        let labels = DownwardApi::with(format!("release=\"{release}\""));
        let appinfo =
            Start::new().arg("--labels").arg(labels.file()).env("MY_POD_NAME", pod).spawn();
        let answer = appinfo.get("/v1/appinfo");
        assert_eq!(answer.status, 200);
        for header in ["appinfo-pod", "appinfo-release", "x-forged"] {
            assert_eq!(answer.header(header), None, "{pod:?} {release:?}");
        }
    }
}

#[test]
fn health_and_readiness_do_not_depend_on_the_behaviour() {
    let labels = DownwardApi::with(b"\xff");
    for variant in ["baseline", "broken", "namespace"] {
        let appinfo = pod(variant, &labels);
        assert_eq!(appinfo.get("/v1/appinfo").status, 500);
        for path in ["/healthz", "/readyz"] {
            let answer = appinfo.get(path);
            assert_eq!((answer.status, answer.text()), (200, "{\"status\":\"ok\"}\n"));
        }
    }
}

#[test]
fn every_answer_has_the_headers_that_all_share() {
    let appinfo = Start::new().spawn();
    let with_body = b"GET /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi";
    let answers = [
        appinfo.get("/v1/appinfo"),
        appinfo.get("/healthz"),
        appinfo.get("/"),
        appinfo.get("/metrics"),
        appinfo.get("/nothing/here"),
        appinfo.raw("DELETE / HTTP/1.1\r\n\r\n"),
        appinfo.raw(with_body),
    ];
    for answer in answers {
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("server"), Some("appinfo/0.1.0"));
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()));
        assert_eq!(answer.header("transfer-encoding"), None);
        let date = answer.header("date").expect("a date (RFC 9110, 6.6.1)");
        let date = httpdate::parse_http_date(date).expect("a date as HTTP writes it");
        assert!(date.elapsed().expect("in the past").as_secs() < 60);
    }
    assert_eq!(
        appinfo.get("/v1/appinfo").header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[test]
fn head_gets_the_head_of_what_get_gets() {
    let labels = DownwardApi::with(LABELS);
    let appinfo = pod("baseline", &labels);
    for path in ["/", "/v1/appinfo", "/healthz", "/readyz", "/nothing/here"] {
        let get = appinfo.get(path);
        // Read to the close: not one byte of a body may come.
        let head = appinfo.raw(format!("HEAD {path} HTTP/1.1\r\nConnection: close\r\n\r\n"));
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        let without_date = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            headers.retain(|(name, _)| name != "date");
            headers
        };
        assert_eq!(without_date(&head), without_date(&get), "{path}");
    }
}

#[test]
fn another_method_is_refused_and_told_which_are_allowed() {
    let appinfo = Start::new().spawn();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/v1/appinfo", "/healthz", "/readyz", "/metrics"] {
            let answer = appinfo.raw(format!("{method} {path} HTTP/1.1\r\n\r\n"));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method} {path}");
            assert!(error_of(&answer).contains("GET"), "{answer:?}");
        }
    }
}

#[test]
fn another_path_is_not_found() {
    let appinfo = Start::new().spawn();
    for path in ["/v1", "/v1/appinfo/", "//v1/appinfo", "/v1/AppInfo", "/healthz/x", "*", "/%2e"] {
        let answer = appinfo.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(error_of(&answer).contains("/v1/appinfo"), "{answer:?}");
    }
}

#[test]
fn a_query_is_allowed_on_every_path() {
    let appinfo = Start::new().spawn();
    for path in ["/", "/v1/appinfo", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(appinfo.get(&format!("{path}?")).status, 200, "{path}");
        assert_eq!(appinfo.get(&format!("{path}?a=b/c?d&e=http://x/y")).status, 200, "{path}");
    }
    assert_eq!(appinfo.get("/nothing?/healthz").status, 404);
}

#[test]
fn a_target_in_absolute_form_works() {
    let appinfo = Start::new().spawn();
    for target in
        ["http://appinfo/v1/appinfo", "HTTP://a:8080/v1/appinfo?x", "https://a/v1/appinfo"]
    {
        assert!(appinfo.get(target).json().get("PodName").is_some(), "{target}");
    }
    assert_eq!(
        appinfo.get("http://appinfo").header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(appinfo.get("http://appinfo/nothing").status, 404);
    assert_eq!(appinfo.get("ftp://appinfo/healthz").status, 404);
}

#[test]
fn a_request_with_a_body_is_refused() {
    let appinfo = Start::new().spawn();
    let small = b"GET /v1/appinfo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let mut large = b"GET /v1/appinfo HTTP/1.1\r\nContent-Length: 50000\r\n\r\n".to_vec();
    large.extend([b'x'; 50_000]);
    let chunked =
        b"GET /v1/appinfo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            .to_vec();
    let no_number = b"GET /v1/appinfo HTTP/1.1\r\nContent-Length: many\r\n\r\n".to_vec();
    for request in [small, large, chunked, no_number] {
        let answer = appinfo.raw(&request);
        assert_eq!(answer.status, 413, "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(error_of(&answer).contains("without"), "{answer:?}");
    }
    let empty = appinfo.raw("GET /v1/appinfo HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(empty.status, 200, "a body of no length is none");
}

#[test]
fn head_gets_no_body_even_where_its_own_is_refused() {
    let appinfo = Start::new().spawn();
    let mut stream = connect(appinfo.address).unwrap();
    let head = "HEAD / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&[b'x'; 2000]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = Answer::parse(&answer).unwrap();
    assert_eq!((answer.status, answer.text()), (413, ""));
}

#[test]
fn a_body_is_refused_before_the_path_and_the_path_before_the_method() {
    let appinfo = Start::new().spawn();
    for (path, without_body) in [("/nowhere", 404), ("/v1/appinfo", 405)] {
        for (length, expected) in [(0, without_body), (5, 413), (2_000, 413)] {
            let body = "x".repeat(length);
            let answer = appinfo.raw(format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
            assert_eq!(answer.status, expected, "{path}, {length}: {answer:?}");
        }
    }
}

#[test]
fn an_old_client_is_answered_too() {
    let appinfo = Start::new().spawn();
    let answer = appinfo.raw("GET /v1/appinfo HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(answer.json().get("PodName").is_some());
}

#[test]
fn an_answer_is_never_chunked_even_for_a_client_that_asks_for_it() {
    let appinfo = Start::new().spawn();
    let answer = appinfo.raw("GET /v1/appinfo HTTP/1.1\r\nTE: chunked\r\n\r\n");
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.json().get("PodName").is_some());
}

#[test]
fn an_answer_comes_in_one_piece() {
    let labels = DownwardApi::with(LABELS);
    let appinfo = pod("baseline", &labels);
    for _ in 0..20 {
        let mut stream = connect(appinfo.address).unwrap();
        stream.write_all(b"GET /v1/appinfo HTTP/1.1\r\n\r\n").unwrap();
        let mut piece = [0; 4096];
        let length = std::io::Read::read(&mut stream, &mut piece).unwrap();
        let answer = Answer::parse(&piece[..length]).expect("head and body come with one read");
        assert!(answer.json().get("PodName").is_some());
    }
}

#[test]
fn the_access_log_has_a_line_per_request_and_none_of_the_programs_own() {
    let appinfo = Start::new().args("--access-log").spawn();
    appinfo.get("/v1/appinfo?a=b");
    appinfo.raw("BREW /pot HTTP/1.1\r\n\r\n");
    appinfo.raw("GET /\x1b[31m\"\x07 HTTP/1.1\r\n\r\n");
    let lines = common::eventually("three lines are logged", || {
        let lines = appinfo.stdout.all();
        (lines.len() >= 3).then_some(lines)
    });
    let without_time: Vec<_> = lines
        .iter()
        .map(|line| {
            let (rest, microseconds) = line.rsplit_once(' ').expect("fields");
            microseconds.parse::<u64>().expect("microseconds at the end");
            rest
        })
        .collect();
    let expected = ["GET /v1/appinfo 200", "BREW /pot 404", "GET /\\x1b[31m\\\"\\x07 404"];
    assert_eq!(without_time, expected);
}

#[test]
fn nothing_is_logged_per_request_unless_asked_for() {
    let appinfo = Start::new().args("--labels /dev/null/x").spawn();
    for _ in 0..5 {
        assert_eq!(appinfo.get("/v1/appinfo").status, 500);
    }
    let logged = appinfo.stderr.all();
    assert!(appinfo.stdout.all().is_empty());
    let complaints = logged.iter().filter(|line| line.contains("cannot use")).count();
    assert_eq!(complaints, 1, "{logged:?}");
}

#[test]
fn an_access_log_that_nobody_reads_any_more_does_no_harm() {
    let mut command = Command::new("sh");
    command.arg("-c").arg("\"$@\" | head -n 1").arg("sh");
    let program = common::program();
    let mut words = vec!["sh", "-c", "\"$@\" | head -n 1", "sh"];
    words.extend(program.iter().map(String::as_str));
    let appinfo = Start::of(&words)
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .args("--access-log")
        .spawn();
    for _ in 0..10 {
        assert_eq!(appinfo.get("/healthz").status, 200);
    }
    run_pkill(appinfo.pid());
}

/// Ends what a shell has started.
fn run_pkill(parent: i32) {
    let _ = Command::new("pkill").args(["-KILL", "-P", &parent.to_string()]).status();
}

#[test]
fn metrics_count_requests_by_method_path_and_status() {
    let appinfo = Start::new().args("--variant broken").spawn();
    for _ in 0..3 {
        appinfo.get("/v1/appinfo");
    }
    appinfo.get("/healthz");
    appinfo.get("/some/thing");
    appinfo.get("/some/other/thing");
    appinfo.raw("BREW / HTTP/1.1\r\n\r\n");
    appinfo.raw("STEEP / HTTP/1.1\r\n\r\n");
    let metrics = appinfo.get("/metrics");
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let requests: Vec<_> =
        metrics.text().lines().filter(|line| line.starts_with("http_requests_total")).collect();
    assert_eq!(
        requests,
        [
            "http_requests_total{method=\"other\",path=\"/\",code=\"405\"} 2",
            // There from the start, so that the first of either is seen as a rise from zero.
            "http_requests_total{method=\"GET\",path=\"/v1/appinfo\",code=\"200\"} 0",
            "http_requests_total{method=\"GET\",path=\"/v1/appinfo\",code=\"500\"} 3",
            "http_requests_total{method=\"GET\",path=\"/healthz\",code=\"200\"} 1",
            "http_requests_total{method=\"GET\",path=\"other\",code=\"404\"} 2",
        ]
    );
    let line = |start: &str| {
        let mut lines = metrics.text().lines().filter(|line| line.starts_with(start));
        lines.next().and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("{start}"))
    };
    assert_eq!(line("appinfo_build_info{version=\"0.1.0\",variant=\"broken\"}"), "1");
    assert_eq!(line("http_request_duration_seconds_count{path=\"/v1/appinfo\"}"), "3");
    assert_eq!(line("http_request_duration_seconds_bucket{path=\"/v1/appinfo\",le=\"+Inf\"}"), "3");
    let sum: f64 = line("http_request_duration_seconds_sum{path=\"/v1/appinfo\"}").parse().unwrap();
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
    let started: f64 = line("process_start_time_seconds").parse().unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 120.0..=now).contains(&started), "{started} {now}");
}

#[test]
fn histogram_buckets_never_shrink() {
    let appinfo = Start::new().spawn();
    for _ in 0..50 {
        appinfo.get("/v1/appinfo");
    }
    let metrics = appinfo.get("/metrics");
    let buckets: Vec<u64> = metrics
        .text()
        .lines()
        .filter(|line| {
            line.starts_with("http_request_duration_seconds_bucket{path=\"/v1/appinfo\"")
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(buckets.len() > 10 && buckets.is_sorted(), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&50));
}
