//! HTTP as clients see it: the three behaviors, the paths, the headers.

use std::io::Read;

use crate::common::{
    self, Appinfo, DownwardApi, REQUEST, Response, SIGINT, Start, eventually, send,
};

const LABELS: &str = "zone=\"z\"\nabc=\"1\"\nrelease=\"stable\"\nABC=\"2\"\napp=\"appinfo\"\n\
                      pod-template-hash=\"1236545534\"";

/// A pod of the tutorial with these arguments.
fn pod(args: &str, labels: &DownwardApi) -> Appinfo {
    Start::new()
        .args(args)
        .labels(labels.file())
        .env("MY_POD_NAME", "appinfo-567b989978-vvzlg")
        .env("MY_POD_NAMESPACE", "default")
        .spawn()
}

#[test]
fn only_the_namespace_variant_has_the_namespace() {
    let labels = DownwardApi::with(LABELS);
    for (args, namespace) in [("", ""), ("--variant namespace", "default")] {
        let response = pod(args, &labels).get("/v1/appinfo");
        let expected = format!(
            "{{\"PodName\":\"appinfo-567b989978-vvzlg\",\"AppName\":\"appinfo\",\
             \"Namespace\":\"{namespace}\",\"Release\":\"stable\",\"Labels\":{{\"ABC\":\"2\",\
             \"abc\":\"1\",\"pod-template-hash\":\"1236545534\",\"zone\":\"z\"}}}}\n"
        );
        assert_eq!((response.status, response.text()), (200, expected.as_str()), "{args}");
        assert_eq!(response.header("appinfo-pod"), Some("appinfo-567b989978-vvzlg"), "{args}");
        assert_eq!(response.header("appinfo-release"), Some("stable"), "{args}");
    }
}

/// Also when its labels cannot be read.
#[test]
fn the_broken_variant_always_fails() {
    let mut labels = DownwardApi::with(LABELS);
    let broken = pod("--variant broken", &labels);
    for release in [Some("stable"), None] {
        let response = broken.get("/v1/appinfo");
        let expected = (500, "{\"error\":\"something went wrong\"}\n");
        assert_eq!((response.status, response.text()), expected);
        assert_eq!(response.header("appinfo-pod"), Some("appinfo-567b989978-vvzlg"));
        assert_eq!(response.header("appinfo-release"), release);
        labels.swap(b"\xff not UTF-8");
    }
}

#[test]
fn what_is_unknown_is_an_empty_string() {
    let response = Start::new().args("--labels /does/not/exist").spawn().get("/v1/appinfo");
    let expected =
        "{\"PodName\":\"\",\"AppName\":\"\",\"Namespace\":\"\",\"Release\":\"\",\"Labels\":{}}\n";
    assert_eq!((response.status, response.text()), (200, expected));
}

#[test]
fn probes_succeed_while_appinfo_fails() {
    let labels = DownwardApi::with(b"\xff");
    for variant in ["baseline", "broken"] {
        let appinfo = pod(&format!("--variant {variant}"), &labels);
        assert_eq!(appinfo.get("/v1/appinfo").status, 500);
        for path in ["/healthz", "/readyz"] {
            let response = appinfo.get(path);
            assert_eq!((response.status, response.text()), (200, "{\"status\":\"ok\"}\n"));
        }
    }
}

const JSON: &str = "application/json; charset=utf-8";

/// Every path, the type of its response, and how its body starts.
const PATHS: [(&str, &str, &str); 5] = [
    ("/", "text/html; charset=utf-8", "<!doctype html>"),
    ("/v1/appinfo", JSON, "{\"PodName\":"),
    ("/healthz", JSON, "{\"status\":\"ok\"}"),
    ("/readyz", JSON, "{\"status\":\"ok\"}"),
    ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "# HELP"),
];

/// Checks a request's response: its status, type, the start of its body, and the common headers.
#[track_caller]
fn check(appinfo: &Appinfo, line: &str, (status, content, start): (u16, &str, &str)) {
    let response = appinfo.raw(format!("{line}\r\n\r\n"));
    assert_eq!(response.status, status, "{line}: {response:?}");
    assert!(response.text().starts_with(start), "{line}: {response:?}");
    let length = response.body.len().to_string();
    for (name, expected) in [
        ("content-type", Some(content)),
        ("connection", Some("close")),
        ("cache-control", Some("no-store")),
        ("server", Some(concat!("appinfo/", env!("CARGO_PKG_VERSION")))),
        ("content-length", Some(&length)),
        ("transfer-encoding", None),
        ("allow", (status == 405).then_some("GET, HEAD, OPTIONS")),
    ] {
        assert_eq!(response.header(name), expected, "{name} of {line}");
    }
    let date = response.header("date").expect("a date (RFC 9110, 6.6.1)");
    let date = httpdate::parse_http_date(date).expect("a date as HTTP writes it");
    assert!(date.elapsed().expect("in the past").as_secs() < 120);
}

/// Which targets lead where is tested beside the code, in `route.rs`.
#[test]
fn every_path_has_its_response_and_never_chunked() {
    let appinfo = Start::new().spawn();
    for (path, content, start) in PATHS {
        for rest in [" HTTP/1.1", " HTTP/1.0", "?a=b/c HTTP/1.1", " HTTP/1.1\r\nTE: chunked"] {
            check(&appinfo, &format!("GET {path}{rest}"), (200, content, start));
        }
        let error = "{\"error\":\"this method is not allowed here: use GET";
        check(&appinfo, &format!("POST {path} HTTP/1.1"), (405, JSON, error));
    }
    check(&appinfo, "GET http://appinfo/readyz HTTP/1.1", (200, JSON, PATHS[3].2));
    check(&appinfo, "BREW / HTTP/1.1", (405, JSON, ""));
    let error = "{\"error\":\"no such path: try /, /v1/appinfo";
    for line in ["GET /v1/appinfo/", "POST /nowhere", "OPTIONS /nowhere"] {
        check(&appinfo, &format!("{line} HTTP/1.1"), (404, JSON, error));
    }
}

/// Load balancers check health with it, as HAProxy's bare `option httpchk` does.
#[test]
fn options_has_a_response_without_a_body() {
    let appinfo = Start::new().spawn();
    for (path, ..) in PATHS {
        let response = appinfo.raw(format!("OPTIONS {path} HTTP/1.0\r\n\r\n"));
        assert_eq!((response.status, response.body.len()), (204, 0), "{response:?}");
        assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(response.header("content-length"), None, "{response:?}");
    }
}

/// As a mesh's proxy sends every request, probes included.
#[test]
fn a_get_with_an_empty_chunked_body_is_an_ordinary_get() {
    let appinfo = Start::new().spawn();
    for (path, _, start) in PATHS {
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for request in [head.clone() + "0\r\n\r\n", head] {
            let response = appinfo.raw(request);
            assert_eq!(response.status, 200, "{response:?}");
            assert!(response.text().starts_with(start), "{response:?}");
        }
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let appinfo = Start::new().spawn();
    for (path, body) in [("/", 0), ("/v1/appinfo", 0), ("/nowhere", 0), ("/", 2_000)] {
        let [get, head] = ["GET", "HEAD"].map(|method| {
            let fields = format!("Connection: close\r\nContent-Length: {body}");
            let head = format!("{method} {path} HTTP/1.1\r\n{fields}\r\n\r\n");
            let mut bytes = Vec::new();
            send(appinfo.address, head + &"x".repeat(body)).read_to_end(&mut bytes).unwrap();
            let mut response = Response::parse(&bytes).unwrap();
            response.headers.retain(|(name, _)| name != "date");
            response
        });
        assert!(!get.body.is_empty() && head.body.is_empty(), "{head:?}");
        assert_eq!((head.status, head.headers), (get.status, get.headers), "{path}");
    }
}

#[test]
fn a_response_comes_in_one_piece() {
    let appinfo = Start::new().spawn();
    for _ in 0..20 {
        let mut piece = [0; 4096];
        let length = common::read(&send(appinfo.address, REQUEST), &mut piece).unwrap();
        let response = Response::parse(&piece[..length]).expect("head and body in one read");
        assert!(response.json().get("PodName").is_some());
    }
}

#[test]
fn each_request_is_one_line_of_the_access_log() {
    let appinfo = Start::new().args("--access-log").spawn();
    for line in ["GET /v1/appinfo?a=b", "GET /\rGET\x1b[2J\x07\x7f\0\"\\", "\x1b]0;mine\x07\rPUT /"]
    {
        appinfo.raw(format!("{line} HTTP/1.1\r\n\r\n"));
    }
    let lines = eventually("a line of each is logged", || {
        Some(appinfo.stdout.all()).filter(|lines| lines.len() >= 3)
    });
    let without_time = lines.iter().map(|line| {
        let (rest, microseconds) = line.rsplit_once(' ').expect("fields");
        microseconds.parse::<u64>().expect("microseconds at the end");
        rest
    });
    let expected = [
        "GET /v1/appinfo 200",
        r#"GET /\rGET\x1b[2J\x07\x7f\x00\"\\ 404"#,
        r"\x1b]0;mine\x07\rPUT / 405",
    ];
    assert_eq!(without_time.collect::<Vec<_>>(), expected);
}

/// An error that lasts is one line.
#[test]
fn nothing_is_logged_per_request_by_default() {
    for off in ["", "false"] {
        let start = Start::new().args("--labels /dev/null/x").env("APPINFO_ACCESS_LOG", off);
        let mut appinfo = start.spawn();
        for _ in 0..5 {
            assert_eq!(appinfo.get("/v1/appinfo").status, 500);
        }
        appinfo.signal(SIGINT);
        appinfo.wait();
        assert!(appinfo.stdout.all().is_empty());
        let log = appinfo.stderr.all();
        assert_eq!(log.iter().filter(|line| line.contains("cannot use")).count(), 1, "{log:?}");
    }
}

/// Whatever clients send, they make no new series. The figures are tested beside the code.
#[test]
fn metrics_count_by_known_methods_and_paths() {
    let appinfo = Start::new().args("--variant broken").spawn();
    for number in 0..50 {
        appinfo.get("/v1/appinfo");
        appinfo.get(&format!("/some/thing/{number}"));
        appinfo.raw(format!("M{number} / HTTP/1.1\r\n\r\n"));
        appinfo.raw(format!("M{number} /{number} HTTP/1.1\r\n\r\n"));
    }
    appinfo.get("/healthz");
    let metrics = appinfo.get("/metrics");
    let lines = metrics.text().lines().filter(|line| line.starts_with("http_requests_total"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
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
    assert_eq!(value("http_request_duration_seconds_count{path=\"/v1/appinfo\"}"), 50.0);
}
