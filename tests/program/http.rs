//! HTTP as clients see it: the three behaviors, the paths, the headers.

use std::io::Read;
use std::time::SystemTime;

use crate::common::{self, Answer, Appinfo, DownwardApi, REQUEST, SIGINT, Start, eventually, send};

const LABELS: &str = "zone=\"z\"\nabc=\"1\"\nrelease=\"stable\"\nABC=\"2\"\napp=\"appinfo\"\n\
                      pod-template-hash=\"1236545534\"";

/// A pod of the tutorial, its program told this.
fn pod(args: &str, labels: &DownwardApi) -> Appinfo {
    Start::new()
        .args(args)
        .labels(labels.file())
        .env("MY_POD_NAME", "appinfo-567b989978-vvzlg")
        .env("MY_POD_NAMESPACE", "default")
        .spawn()
}

#[test]
fn baseline_forgets_the_namespace_and_namespace_fills_it_in() {
    let labels = DownwardApi::with(LABELS);
    for (args, namespace) in
        [("", ""), ("--variant baseline", ""), ("--variant namespace", "default")]
    {
        let answer = pod(args, &labels).get("/v1/appinfo");
        let expected = format!(
            "{{\"PodName\":\"appinfo-567b989978-vvzlg\",\"AppName\":\"appinfo\",\
             \"Namespace\":\"{namespace}\",\"Release\":\"stable\",\"Labels\":{{\"ABC\":\"2\",\
             \"abc\":\"1\",\"pod-template-hash\":\"1236545534\",\"zone\":\"z\"}}}}\n"
        );
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()), "{args}");
        assert_eq!(answer.header("appinfo-pod"), Some("appinfo-567b989978-vvzlg"), "{args}");
        assert_eq!(answer.header("appinfo-release"), Some("stable"), "{args}");
    }
}

#[test]
fn the_broken_variant_always_errs() {
    let mut labels = DownwardApi::with("");
    let broken = pod("--variant broken", &labels);
    for (content, release) in
        [(LABELS.as_bytes(), Some("stable")), (b"\xff not UTF-8", None), (b"", None)]
    {
        labels.swap(content);
        let answer = broken.get("/v1/appinfo");
        assert_eq!((answer.status, answer.text()), (500, "{\"error\":\"something went wrong\"}\n"));
        assert_eq!(answer.header("appinfo-pod"), Some("appinfo-567b989978-vvzlg"));
        assert_eq!(answer.header("appinfo-release"), release);
    }
}

#[test]
fn what_is_unknown_is_an_empty_string() {
    let answer = Start::new().args("--labels /does/not/exist").spawn().get("/v1/appinfo");
    let expected =
        "{\"PodName\":\"\",\"AppName\":\"\",\"Namespace\":\"\",\"Release\":\"\",\"Labels\":{}}\n";
    assert_eq!((answer.status, answer.text()), (200, expected));
}

#[test]
fn pod_and_release_headers_are_plain_or_left_out() {
    for (pod, release) in [("", ""), ("pod\nX-Forged: 1", "a b"), ("Ünicode", "a\\r\\nX-Forged: 1")]
    {
        let labels = DownwardApi::with(format!("release=\"{release}\""));
        let start = Start::new().labels(labels.file()).env("MY_POD_NAME", pod);
        let answer = start.spawn().get("/v1/appinfo");
        assert_eq!(answer.status, 200);
        for header in ["appinfo-pod", "appinfo-release", "x-forged"] {
            assert_eq!(answer.header(header), None, "{pod:?} {release:?}");
        }
    }
}

#[test]
fn health_and_readiness_do_not_depend_on_the_variant() {
    let labels = DownwardApi::with(b"\xff");
    for variant in ["baseline", "broken", "namespace"] {
        let appinfo = pod(&format!("--variant {variant}"), &labels);
        assert_eq!(appinfo.get("/v1/appinfo").status, 500);
        for path in ["/healthz", "/readyz"] {
            let answer = appinfo.get(path);
            assert_eq!((answer.status, answer.text()), (200, "{\"status\":\"ok\"}\n"));
        }
    }
}

const JSON: &str = "application/json; charset=utf-8";

/// Every path, the type of its answer, and how that begins.
const PATHS: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", "<!doctype html>"),
    ("/v1/appinfo", JSON, "{\"PodName\":"),
    ("/healthz", JSON, "{\"status\":\"ok\"}"),
    ("/readyz", JSON, "{\"status\":\"ok\"}"),
    ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP"),
];

/// One request: the answer has this status, this type, a body that begins so, and what all share.
#[track_caller]
fn is_answered(appinfo: &Appinfo, request: &str, (status, content, start): (u16, &str, &str)) {
    let answer = appinfo.raw(request);
    assert_eq!(answer.status, status, "{request}: {answer:?}");
    assert!(answer.text().starts_with(start), "{request}: {answer:?}");
    let length = answer.body.len().to_string();
    for (name, expected) in [
        ("content-type", Some(content)),
        ("connection", Some("close")),
        ("cache-control", Some("no-store")),
        ("server", Some(concat!("appinfo/", env!("CARGO_PKG_VERSION")))),
        ("content-length", Some(&length)),
        ("transfer-encoding", None),
        ("allow", (status == 405).then_some("GET, HEAD, OPTIONS")),
    ] {
        assert_eq!(answer.header(name), expected, "{name} of {request}");
    }
    let date = answer.header("date").expect("a date (RFC 9110, 6.6.1)");
    let date = httpdate::parse_http_date(date).expect("a date as HTTP writes it");
    assert!(date.elapsed().expect("in the past").as_secs() < 120);
    if status >= 400 {
        let document = answer.json();
        let fields = document.as_object().expect("an error is an object");
        let error = fields["error"].as_str().expect("an error is a sentence");
        let hint = [(404, "/v1/appinfo"), (405, "GET")];
        assert!(
            fields.len() == 1
                && hint.iter().any(|(of, word)| *of == status && error.contains(word)),
            "{error}"
        );
    }
}

#[test]
fn every_path_is_answered_in_any_form_and_never_chunked() {
    let appinfo = Start::new().spawn();
    for (path, content, start) in PATHS {
        for line in [
            format!("{path} HTTP/1.1"),
            format!("{path} HTTP/1.0"),
            format!("{path}? HTTP/1.1"),
            format!("{path}?a=b/c?d&e=http://x/y HTTP/1.1"),
            format!("http://appinfo{path} HTTP/1.1"),
            format!("HTTP://a:8080{path}?x HTTP/1.1"),
            format!("https://a{path} HTTP/1.1"),
            format!("{path} HTTP/1.1\r\nTE: chunked"),
            format!("{path} HTTP/1.1\r\nContent-Length: 0"),
        ] {
            is_answered(&appinfo, &format!("GET {line}\r\n\r\n"), (200, content, start));
        }
    }
    let (_, content, start) = PATHS[0];
    is_answered(&appinfo, "GET http://appinfo HTTP/1.1\r\n\r\n", (200, content, start));
}

#[test]
fn unknown_paths_are_404_and_other_methods_405() {
    let appinfo = Start::new().spawn();
    for path in ["/v1", "/v1/appinfo/", "//v1/appinfo", "/v1/AppInfo", "/healthz/x", "*", "/%2e"]
        .into_iter()
        .chain(["/nothing?/healthz", "http://appinfo/nothing", "ftp://appinfo/healthz"])
    {
        is_answered(&appinfo, &format!("GET {path} HTTP/1.1\r\n\r\n"), (404, JSON, ""));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        for (path, ..) in PATHS {
            is_answered(&appinfo, &format!("{method} {path} HTTP/1.1\r\n\r\n"), (405, JSON, ""));
        }
    }
}

/// Load balancers check health with it, as HAProxy's bare `option httpchk` does.
#[test]
fn options_is_answered_without_a_body() {
    let appinfo = Start::new().spawn();
    for (path, ..) in PATHS {
        let answer = appinfo.raw(format!("OPTIONS {path} HTTP/1.0\r\n\r\n"));
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(answer.header("content-length"), None, "{answer:?}");
    }
    assert_eq!(appinfo.raw("OPTIONS /nowhere HTTP/1.1\r\n\r\n").status, 404);
}

/// As a mesh's proxy sends every request, probes included.
#[test]
fn a_get_with_an_empty_chunked_body_is_an_ordinary_get() {
    let labels = DownwardApi::with(LABELS);
    let appinfo = pod("--variant namespace", &labels);
    for (path, _, start) in PATHS {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for request in [head.clone() + "0\r\n\r\n", head] {
            let answer = appinfo.raw(request);
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.text().starts_with(start), "{answer:?}");
        }
    }
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let labels = DownwardApi::with(LABELS);
    let appinfo = pod("", &labels);
    let paths = ["/", "/v1/appinfo", "/healthz", "/readyz", "/nothing/here"];
    // The last request has a body.
    for (path, length) in paths.map(|path| (path, 0)).into_iter().chain([("/", 2_000)]) {
        let [get, head] = ["GET", "HEAD"].map(|method| {
            let head = format!("Connection: close\r\nContent-Length: {length}");
            let body = "x".repeat(length);
            let request = format!("{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{body}");
            let mut bytes = Vec::new();
            send(appinfo.address, request).read_to_end(&mut bytes).unwrap();
            let mut answer = Answer::parse(&bytes).unwrap();
            answer.headers.retain(|(name, _)| name != "date");
            answer
        });
        assert!(!get.body.is_empty() && head.body.is_empty(), "{head:?}");
        assert_eq!((head.status, head.headers), (get.status, get.headers), "{path}");
    }
}

#[test]
fn a_response_comes_in_one_piece() {
    let labels = DownwardApi::with(LABELS);
    let appinfo = pod("", &labels);
    for _ in 0..20 {
        let mut piece = [0; 4096];
        let length = common::read(&send(appinfo.address, REQUEST), &mut piece).unwrap();
        let answer = Answer::parse(&piece[..length]).expect("head and body come with one read");
        assert!(answer.json().get("PodName").is_some());
    }
}

#[test]
fn the_access_log_has_a_line_per_request_and_none_forged() {
    let appinfo = Start::new().args("--access-log").spawn();
    for line in [
        "GET /v1/appinfo?a=b HTTP/1.1",
        "BREW /pot HTTP/1.1",
        "GET /\rGET\x1b[2J\x07\x7f\0\"\\ HTTP/1.1",
        "\x1b]0;mine\x07\rPUT /healthz HTTP/1.1",
    ] {
        appinfo.raw(format!("{line}\r\n\r\n"));
    }
    let lines = eventually("a line of each is logged", || {
        Some(appinfo.stdout.all()).filter(|lines| lines.len() >= 4)
    });
    let without_time: Vec<_> = lines
        .iter()
        .map(|line| {
            let (rest, microseconds) = line.rsplit_once(' ').expect("fields");
            microseconds.parse::<u64>().expect("microseconds at the end");
            rest
        })
        .collect();
    let expected = [
        "GET /v1/appinfo 200",
        "BREW /pot 404",
        r#"GET /\rGET\x1b[2J\x07\x7f\x00\"\\ 404"#,
        r"\x1b]0;mine\x07\rPUT /healthz 405",
    ];
    assert_eq!(without_time, expected);
}

#[test]
fn nothing_is_logged_per_request_unless_asked_for() {
    for off in ["", "0", "false"] {
        let start = Start::new().args("--labels /dev/null/x").env("APPINFO_ACCESS_LOG", off);
        let mut appinfo = start.spawn();
        for _ in 0..5 {
            assert_eq!(appinfo.get("/v1/appinfo").status, 500);
        }
        appinfo.signal(SIGINT);
        appinfo.wait();
        let logged = appinfo.stderr.all();
        assert!(appinfo.stdout.all().is_empty());
        let complaints = logged.iter().filter(|line| line.contains("cannot use")).count();
        assert_eq!(complaints, 1, "{logged:?}");
    }
}

#[test]
fn metrics_count_requests_by_method_path_and_status_and_no_client_makes_up_new_ones() {
    let appinfo = Start::new().args("--variant broken").spawn();
    for number in 0..50 {
        appinfo.get("/v1/appinfo");
        appinfo.get(&format!("/some/thing/{number}"));
        appinfo.raw(format!("M{number} / HTTP/1.1\r\n\r\n"));
        appinfo.raw(format!("M{number} /{number} HTTP/1.1\r\n\r\n"));
    }
    appinfo.get("/healthz");
    let metrics = appinfo.get("/metrics");
    let lines = |start: &str| {
        metrics.text().lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>()
    };
    assert_eq!(
        lines("http_requests_total"),
        [
            "http_requests_total{method=\"other\",path=\"/\",code=\"405\"} 50",
            // There from the start, so that the first of either is seen as a rise from zero.
            "http_requests_total{method=\"GET\",path=\"/v1/appinfo\",code=\"200\"} 0",
            "http_requests_total{method=\"GET\",path=\"/v1/appinfo\",code=\"500\"} 50",
            "http_requests_total{method=\"GET\",path=\"/healthz\",code=\"200\"} 1",
            "http_requests_total{method=\"GET\",path=\"other\",code=\"404\"} 50",
            "http_requests_total{method=\"other\",path=\"other\",code=\"404\"} 50",
        ]
    );
    let value = |series: &str| metrics.metric(series).expect("it is there");
    assert_eq!(
        value(concat!(
            "appinfo_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\",variant=\"broken\"}"
        )),
        1.0
    );
    let seconds = "http_request_duration_seconds";
    assert_eq!(value(&format!("{seconds}_count{{path=\"/v1/appinfo\"}}")), 50.0);
    let sum = value(&format!("{seconds}_sum{{path=\"/v1/appinfo\"}}"));
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
    let buckets = lines(&format!("{seconds}_bucket{{path=\"/v1/appinfo\""));
    let buckets: Vec<_> = buckets.iter().filter_map(|line| line.rsplit_once(' ')).collect();
    let counts = buckets.iter().map(|(_, count)| count.parse::<u32>().expect("a count"));
    assert!(buckets.len() > 10 && counts.is_sorted(), "{buckets:?}");
    let (last, count) = buckets[buckets.len() - 1];
    assert!(last.ends_with("le=\"+Inf\"}") && count == "50", "{buckets:?}");
    let started = value("process_start_time_seconds");
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_secs_f64();
    assert!((now - 120.0..=now).contains(&started), "{started} {now}");
}
