//! HTTP as clients see it: the three behaviors, the paths, the headers.

use crate::common::*;

const LABELS: &str = "zone=\"z\"\nabc=\"1\"\nrelease=\"stable\"\nABC=\"2\"\napp=\"appinfo\"\n\
                      pod-template-hash=\"1236545534\"";

/// A pod of the tutorial with these arguments.
fn pod(args: &str, labels: &DownwardApi) -> Appinfo {
    Start::new()
        .args(args)
        .env("APPINFO_LABELS", labels.file())
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

/// Also when its labels cannot be read. Its probes succeed. Any variant fails so by an error rate.
#[test]
fn the_broken_variant_always_fails() {
    for args in ["--variant broken", "--error-rate 100"] {
        let mut labels = DownwardApi::with(LABELS);
        let broken = pod(args, &labels);
        for release in [Some("stable"), None] {
            let response = broken.get("/v1/appinfo");
            let expected = (500, "{\"error\":\"something went wrong\"}\n");
            assert_eq!((response.status, response.text()), expected);
            assert_eq!(response.header("appinfo-pod"), Some("appinfo-567b989978-vvzlg"));
            assert_eq!(response.header("appinfo-release"), release);
            for path in ["/healthz", "/readyz"] {
                assert_eq!(broken.get(path).status, 200);
            }
            labels.swap(b"\xff not UTF-8");
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
    assert_eq!(response.body.is_empty(), status == 204, "{line}: {response:?}");
    let length = response.body.len().to_string();
    for (name, expected) in [
        ("content-type", (status != 204).then_some(content)),
        ("connection", Some("close")),
        ("cache-control", Some("no-store")),
        ("server", Some(concat!("appinfo/", env!("CARGO_PKG_VERSION")))),
        ("content-length", (status != 204).then_some(&length)),
        ("transfer-encoding", None),
        ("allow", [204, 405].contains(&status).then_some("GET, HEAD, OPTIONS")),
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
        for rest in [
            " HTTP/1.1",
            " HTTP/1.0",
            "?a=b/c HTTP/1.1",
            " HTTP/1.1\r\nTE: chunked",
            // With an empty body, as a mesh's proxy sends every request, probes included.
            " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0",
        ] {
            check(&appinfo, &format!("GET {path}{rest}"), (200, content, start));
        }
        // Load balancers check health with it, as HAProxy's bare `option httpchk` does.
        check(&appinfo, &format!("OPTIONS {path} HTTP/1.0"), (204, "", ""));
        let error = "{\"error\":\"this method is not allowed here: use GET";
        check(&appinfo, &format!("POST {path} HTTP/1.1"), (405, JSON, error));
    }
    check(&appinfo, "GET http://appinfo/readyz HTTP/1.1", (200, JSON, PATHS[3].2));
    let error = "{\"error\":\"no such path: try /, /v1/appinfo";
    for line in ["GET /v1/appinfo/", "POST /nowhere", "OPTIONS /nowhere"] {
        check(&appinfo, &format!("{line} HTTP/1.1"), (404, JSON, error));
    }
    let output = [appinfo.stdout.all(), appinfo.stderr.all()].concat();
    assert!(!output.iter().any(|line| line.contains("GET")), "no request is logged by default");
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let appinfo = Start::new().spawn();
    let date = Regex::new("Date: .*").expect("the pattern is right");
    for (path, length) in [("/", 0), ("/v1/appinfo", 0), ("/nowhere", 0), ("/", 2_000)] {
        let fields = format!("Connection: close\r\nContent-Length: {length}");
        let rest = format!("{path} HTTP/1.1\r\n{fields}\r\n\r\n{}", "x".repeat(length));
        let [(get, body), (head, none)] = ["GET", "HEAD"].map(|method| {
            let mut stream = send(appinfo.address, format!("{method} {rest}"));
            let mut response = String::new();
            stream.read_to_string(&mut response).expect("text until the server closes");
            let (head, body) = response.split_once("\r\n\r\n").expect("a head");
            (date.replace(head, "").into_owned(), body.to_owned())
        });
        assert_eq!(head, get, "{path}");
        assert!(!body.is_empty() && none.is_empty(), "{path}");
    }
}

#[test]
fn a_response_comes_in_one_piece() {
    let appinfo = Start::new().spawn();
    for _ in 0..20 {
        let mut piece = [0; 4096];
        let length = send(appinfo.address, REQUEST).read(&mut piece).expect("it comes");
        read_response(&piece[..length], false).expect("head and body in one read");
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
    let microseconds = Regex::new(" [0-9]+$").expect("the pattern is right");
    let lines: Vec<_> = lines.iter().map(|line| microseconds.replace(line, " N")).collect();
    let expected = [
        "GET /v1/appinfo 200 N",
        r#"GET /\rGET\x1b[2J\x07\x7f\x00\"\\ 404 N"#,
        r"\x1b]0;mine\x07\rPUT / 405 N",
    ];
    assert_eq!(lines, expected);
}

/// Whatever clients send, they make no new series. The figures are tested beside the code.
#[test]
fn metrics_count_by_known_methods_and_paths() {
    let appinfo = Start::new().args("--variant broken").spawn();
    for number in 0..2 {
        appinfo.get("/v1/appinfo");
        appinfo.get(&format!("/some/thing/{number}"));
        appinfo.raw(format!("M{number} / HTTP/1.1\r\n\r\n"));
    }
    let metrics = appinfo.get("/metrics");
    let lines = metrics.text().lines().filter(|line| line.starts_with("http_requests_total"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "http_requests_total{method=\"other\",path=\"/\",code=\"405\"} 2",
            // There from the start, so that the first of either is seen as a rise from zero.
            "http_requests_total{method=\"GET\",path=\"/v1/appinfo\",code=\"200\"} 0",
            "http_requests_total{method=\"GET\",path=\"/v1/appinfo\",code=\"500\"} 2",
            "http_requests_total{method=\"GET\",path=\"other\",code=\"404\"} 2",
        ]
    );
    let build = format!("appinfo_build_info{{version=\"{VERSION}\",variant=\"broken\"}}");
    assert_eq!(metrics.metric(&build), Some(1.0));
}
