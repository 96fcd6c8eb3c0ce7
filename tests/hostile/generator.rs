//! A generator of hostile HTTP: tens of thousands of requests that are almost right, or not at all,
//! sent whole, in pieces, in part, or reset. The static release binary survives all of them, and holds no
//! more afterwards than before.
//!
//! The same seed makes the same requests: `APPINFO_HOSTILE_SEED` sets another one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use socket2::SockRef;

use crate::attack::{Attacked, connect_from};
use crate::common::{self, Response};

/// How many requests are generated, and for how long at most.
const REQUESTS: u32 = 40_000;
const TIME: Duration = Duration::from_secs(25);

/// The most requests to send of those that are known to leave a thread and two files behind.
const LEAKS: u32 = 20;

/// How long a response is waited for, since most of these requests get none.
const SOON: Duration = Duration::from_millis(20);

fn one_in(random: &mut Rng, number: u32) -> bool {
    random.u32(..number) == 0
}

/// One of these, which a bar separates.
fn pick(random: &mut Rng, from: &'static str) -> &'static str {
    let parts: Vec<_> = from.split('|').collect();
    random.choice(parts).expect("there is a choice")
}

// The parts of requests, a bar between two; what is there more than once comes more often.
const METHODS: &str = "GET|GET|GET|HEAD|POST|PUT|OPTIONS|TRACE|CONNECT|get||G\tT";
const TARGETS: &str = "/|/v1/appinfo|/v1/appinfo?|/healthz|/readyz|/metrics|/nowhere|*||\
    http://a/healthz|HTTPS://a|//|/%00|/?a=b?c|a:80|/../..|/\x1b[2J|://";
const VERSIONS: &str = "HTTP/1.1|HTTP/1.1|HTTP/1.1|HTTP/1.1|HTTP/1.0|HTTP/0.9|HTTP/1.2|HTTP/9.9|\
    http/1.1|HTTP/1.1 ||HTTP/|HTTP/2.0";
const HEADERS: &str = "Host: a|Host:|Connection: close|Connection: keep-alive|Connection: upgrade|\
    Connection: Upgrade, close|Upgrade: websocket|Content-Length: 0|Content-Length: 5|\
    Content-Length: 1024|Content-Length: 1025|Content-Length: 70000|Content-Length: 2000|\
    Content-Length: -1|Content-Length: +7|Content-Length: 5, 5|\
    content-length: 18446744073709551616|Content-Length: 9223372036854775807|\
    Content-Length: 1048577|Content-Length:|Transfer-Encoding: chunked|\
    Transfer-Encoding: gzip, chunked|Transfer-Encoding:|Transfer-Encoding : chunked|\
    Expect: 100-continue|Expect: more|TE: chunked|TE: trailers, chunked;q=0.5|No colon|: no name|\
    X-Nul: \0|Range: bytes=0-";
const BODIES: &str = "|||hello|5\r\nhello\r\n0\r\n\r\n|5\r\nhel|fffffffffffffffff\r\n|0\r\n\r\n|\
    -1\r\n|;\r\n\r\n|GET / HTTP/1.1\r\n\r\n|\r\n\r\n";
const LINE_ENDS: &str = "\r\n|\r\n|\r\n|\r\n|\r\n|\n|\r|\r\r\n|\n\r";

/// A request that is almost right, or not at all.
fn request(random: &mut Rng) -> Vec<u8> {
    let end = pick(random, LINE_ENDS);
    let [method, target, version] = [METHODS, TARGETS, VERSIONS].map(|from| pick(random, from));
    let mut text = format!("{method} {target} {version}{end}");
    for _ in 0..random.usize(..5) {
        let times = if one_in(random, 200) { 1_000 } else { 1 };
        let header = pick(random, HEADERS);
        text += &format!("{header}{end}").repeat(times);
    }
    text += end;
    text += pick(random, BODIES);
    let mut bytes = text.into_bytes();
    if one_in(random, 2) {
        for _ in 0..=random.usize(..4) {
            mutate(&mut bytes, random);
        }
    }
    bytes
}

/// Changes a request somewhere.
fn mutate(bytes: &mut Vec<u8>, random: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let place = random.usize(..bytes.len());
    let end = (place + random.usize(..40)).min(bytes.len());
    match random.usize(..7) {
        0 => bytes[place] ^= 1 << random.usize(..8),
        1 => bytes.insert(place, *random.choice(b"\0\r\n\t :\xff0/").expect("a choice")),
        2 => drop(bytes.drain(place..end)),
        3 => {
            let piece = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
        }
        4 => bytes.truncate(place),
        5 => bytes.splice(place..place, vec![b'x'; random.usize(..3_000)]).for_each(drop),
        _ => bytes.splice(place..end, (0..end - place).map(|_| random.u8(..))).for_each(drop),
    }
}

/// Whether such bytes may make tiny_http keep a thread and two files for good: by a version above
/// 1.1, or a body of more than 1 MiB.
fn may_leak(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    text.contains("http/2.0")
        || text.contains("http/3.0")
        || text.split("content-length:").skip(1).any(|rest| {
            let digits = rest.trim_start().trim_start_matches('+');
            let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            digits.parse().unwrap_or(u128::MAX) > 1024 * 1024 && !digits.is_empty()
        })
}

/// Sends bytes in one of several ways, and returns what comes back, if that is waited for.
fn send(stream: &mut TcpStream, bytes: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut came = Vec::new();
    match random.usize(..8) {
        // Not all of it.
        0 => drop(stream.write_all(&bytes[..random.usize(..bytes.len() + 1)])),
        // In pieces.
        1 => {
            for piece in bytes.chunks(1 + bytes.len() / (1 + random.usize(..4))) {
                let _ = stream.write_all(piece);
                thread::sleep(Duration::from_micros(random.usize(..500) as u64));
            }
            let _ = stream.read_to_end(&mut came);
        }
        // Many at once.
        2 => drop(stream.write_all(&bytes.repeat(2 + random.usize(..20)))),
        // And then no more.
        3 => {
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut came);
        }
        _ => {
            let _ = stream.write_all(bytes);
            if one_in(random, 2) {
                let mut piece = [0; 4096];
                let length = common::read(stream, &mut piece).unwrap_or_default();
                came.extend_from_slice(&piece[..length]);
            }
        }
    }
    // Most end with a reset, which leaves nothing behind on this side either.
    if !one_in(random, 8) {
        SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("an option");
    }
    came
}

/// Checks that what comes back is a response, and none of an internal error.
fn check(came: &[u8], request: &[u8]) {
    let Some(response) = Response::parse(came) else {
        let request = request.escape_ascii();
        assert!(came.is_empty() || came.starts_with(b"HTTP/"), "{request}: {came:?}");
        return;
    };
    let known = [100, 200, 204, 400, 404, 405, 417];
    assert!(known.contains(&response.status), "{}: {response:?}", request.escape_ascii());
}

#[test]
fn forty_thousand_hostile_requests_harm_nobody() {
    let seed = std::env::var("APPINFO_HOSTILE_SEED")
        .map_or(20_261_122, |seed| seed.parse().expect("APPINFO_HOSTILE_SEED is a number"));
    println!("APPINFO_HOSTILE_SEED={seed}");

    let attacked = Attacked::new();
    let (address, start) = (attacked.appinfo.address, Instant::now());
    let (sent, leaks) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for number in 0..8 {
            let (sent, leaks) = (&sent, &leaks);
            scope.spawn(move || {
                let mut random = Rng::with_seed(seed ^ number << 56);
                for _ in 0..REQUESTS / 8 {
                    if start.elapsed() > TIME {
                        break;
                    }
                    let bytes = request(&mut random);
                    if may_leak(&bytes) && leaks.fetch_add(1, Ordering::Relaxed) >= LEAKS {
                        leaks.fetch_sub(1, Ordering::Relaxed);
                        continue;
                    }
                    let stream = connect_from(random.u32(..), address, SOON);
                    let mut stream = stream.expect("it accepts");
                    check(&send(&mut stream, &bytes, &mut random), &bytes);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (sent, leaks) = (sent.into_inner(), leaks.into_inner());
    println!("{sent} requests in {:?}", start.elapsed());
    assert!(sent > 10_000, "a machine this slow proves little");
    attacked.was_unharmed(leaks.into(), 8_000);
}
