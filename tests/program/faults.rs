//! A pod that is only a little bad: the shares of its answers that fail and that are late, and that
//! nobody else waits for a late one.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{self, DEADLINE, REQUEST, SIGTERM, Start, connect, read_answer, send, until};

#[test]
fn of_any_thousand_answers_as_many_fail_as_the_error_rate_says_and_evenly() {
    for (rate, failures, widest) in
        [("5", 50, 20), ("0.3", 3, 334), ("100", 1_000, 1), ("33.3334", 333, 4), ("0", 0, 1_000)]
    {
        let appinfo = Start::new().arg("--error-rate").arg(rate).spawn();
        let statuses: Vec<_> = (0..1_500).map(|_| appinfo.get("/v1/appinfo").status).collect();
        for thousand in statuses.windows(1_000) {
            let failed = thousand.iter().filter(|status| **status == 500).count();
            assert!(failed.abs_diff(failures) <= 1, "{failed} of 1,000 at {rate} %");
        }
        let places: Vec<_> = (0..1_500).filter(|place| statuses[*place] == 500).collect();
        let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max().unwrap_or(0) <= widest, "at {rate} %: {places:?}");
    }
}

#[test]
fn a_failing_answer_is_the_broken_variants_and_nothing_but_appinfo_fails_or_is_late() {
    let appinfo = Start::new()
        .args("--error-rate 100 --delay 60000")
        .env("APPINFO_DELAY_RATE", "0")
        .env("MY_POD_NAME", "a-pod")
        .spawn();
    let answer = appinfo.get("/v1/appinfo");
    assert_eq!((answer.status, answer.text()), (500, "{\"error\":\"something went wrong\"}\n"));
    assert_eq!(answer.header("appinfo-pod"), Some("a-pod"));
    let late = Start::new().args("--error-rate 100 --delay 60000").spawn();
    for path in ["/", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(late.get(path).status, 200, "{path}");
    }
    assert_eq!(late.raw("PUT /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n").status, 405);
}

#[test]
fn as_many_of_the_failing_answers_are_late_as_of_the_others() {
    let args = "--error-rate 25 --delay 3000 --delay-rate 10 --access-log";
    let appinfo = Start::new().args(args).spawn();
    let _waiting: Vec<_> = (0..400).map(|_| send(appinfo.address, REQUEST)).collect();
    until("all are answered", || appinfo.stdout.all().len() == 400);
    let mut counts = BTreeMap::new();
    for line in appinfo.stdout.all() {
        let fields: Vec<_> = line.split(' ').collect();
        let is_late = fields[3].parse::<u32>().expect("microseconds") >= 3_000_000;
        *counts.entry((fields[2].to_owned(), is_late)).or_default() += 1;
    }
    let expected = [("200", false, 270), ("200", true, 30), ("500", false, 90), ("500", true, 10)];
    let expected = expected.map(|(status, late, count)| ((status.to_owned(), late), count));
    assert_eq!(counts, BTreeMap::from(expected));
}

#[test]
#[cfg(target_os = "linux")]
fn a_late_answer_is_given_before_the_program_stops() {
    let mut appinfo = Start::new().args("--delay 3000 --drain 1").spawn();
    let start = Instant::now();
    let mut waiting: Vec<_> = (0..50).map(|_| send(appinfo.address, REQUEST)).collect();
    // A thread of the library's reads each; five are for other things.
    until("all have come", || appinfo.threads() >= 55);
    appinfo.signal(SIGTERM);
    for stream in &mut waiting {
        assert_eq!(read_answer(stream, false).expect("it is answered").status, 200);
        assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    }
    assert_eq!(appinfo.wait().code(), Some(0));
}

/// Each answer tells them to close.
#[test]
fn clients_that_go_on_asking_do_not_keep_the_program_alive_however_late_their_answers_are() {
    let mut appinfo = Start::new().args("--delay 1000 --drain 0").spawn();
    let streams = [(); 2].map(|()| {
        let stream = send(appinfo.address, REQUEST);
        thread::sleep(Duration::from_millis(300)); // So that one always waits.
        stream
    });
    let told = Instant::now();
    appinfo.signal(SIGTERM);
    thread::scope(|scope| {
        for mut stream in streams {
            scope.spawn(move || {
                while read_answer(&mut stream, false).is_ok() && stream.write_all(REQUEST).is_ok() {
                }
            });
        }
        assert_eq!(appinfo.wait().code(), Some(0));
        assert!(told.elapsed() < Duration::from_secs(10), "{:?}", told.elapsed());
    });
}

#[test]
fn answers_on_one_connection_keep_their_order_though_some_are_late() {
    let appinfo = Start::new().args("--delay 500 --delay-rate 50").spawn();
    let mut stream = connect(appinfo.address).expect("it accepts");
    let paths = ["/v1/appinfo", "/v1/appinfo", "/healthz", "/v1/appinfo", "/nowhere"];
    for path in paths {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it can be asked");
    }
    // A body behind a late answer is refused in its turn.
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 900000000\r\n\r\nx").expect("the same");
    let mut text = String::new();
    until("all are answered", || {
        let mut piece = [0; 4096];
        let length = common::read(&stream, &mut piece).expect("it goes on");
        text.push_str(&String::from_utf8_lossy(&piece[..length]));
        text.contains(" 413 ")
    });
    let statuses: Vec<_> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "404", "413"], "{text}");
    assert_eq!(appinfo.get("/healthz").status, 200);
}

#[test]
#[cfg(target_os = "linux")]
fn a_late_answer_whose_client_has_gone_is_forgotten() {
    let appinfo = Start::new().args("--delay 2000 --delay-rate 50").spawn();
    let files = appinfo.open_files();
    drop((0..200).map(|_| send(appinfo.address, REQUEST)).collect::<Vec<_>>());
    let asked = Instant::now();
    while asked.elapsed() < Duration::from_secs(3) {
        let start = Instant::now();
        assert_eq!(appinfo.get("/healthz").status, 200);
        assert!(start.elapsed() < DEADLINE / 10, "it waits for those who have gone");
    }
    until("all is given back", || appinfo.open_files() <= files + 6);
}
