//! A generator of hostile HTTP: tens of thousands of requests that are almost right, or not at
//! all, sent whole, in pieces, in part, or reset. The static release binary has to live through
//! all of them, and to hold no more afterwards than before.
//!
//! The same seed makes the same requests: `APPINFO_HOSTILE_SEED` sets another one.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Answer, Appinfo, DEADLINE, Start};
use socket2::{Domain, SockRef, Socket, Type};

/// How many requests are made up, and how long that may take.
const REQUESTS: u32 = 40_000;
const TIME: Duration = Duration::from_secs(25);

/// The most requests to send of those that are known to leave a thread and two files behind.
const LEAKS: u32 = 20;

/// The most that a client that means well may have to wait meanwhile.
const PROMPTLY: Duration = Duration::from_secs(5);

/// SplitMix64, a small generator of pseudo-random numbers (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const METHODS: &[&str] =
    &["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "get", "", "G\tT"];
const TARGETS: &[&str] = &[
    "/",
    "/v1/appinfo",
    "/v1/appinfo?",
    "/healthz",
    "/readyz",
    "/metrics",
    "/nowhere",
    "*",
    "",
    "http://a/healthz",
    "HTTPS://a",
    "//",
    "/%00",
    "/?a=b?c",
    "a:80",
    "/../..",
    "/\x1b[2J",
    "://",
];
const VERSIONS: &[&str] = &[
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/1.2",
    "HTTP/9.9",
    "http/1.1",
    "HTTP/1.1 ",
    "",
    "HTTP/",
    "HTTP/2.0",
];
const HEADERS: &[&str] = &[
    "Host: a",
    "Host:",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: upgrade",
    "Connection: Upgrade, close",
    "Upgrade: websocket",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 1024",
    "Content-Length: 1025",
    "Content-Length: 70000",
    "Content-Length: 2000",
    "Content-Length: -1",
    "Content-Length: +7",
    "Content-Length: 5, 5",
    "content-length: 18446744073709551616",
    "Content-Length: 9223372036854775807",
    "Content-Length: 1048577",
    "Content-Length:",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding:",
    "Transfer-Encoding : chunked",
    "Expect: 100-continue",
    "Expect: more",
    "TE: chunked",
    "TE: trailers, chunked;q=0.5",
    "No colon",
    ": no name",
    "X-Nul: \0",
    "Range: bytes=0-",
];
const BODIES: &[&str] = &[
    "",
    "",
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhel",
    "fffffffffffffffff\r\n",
    "0\r\n\r\n",
    "-1\r\n",
    ";\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "\r\n\r\n",
];
const LINE_ENDS: &[&str] = &["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\r"];

/// A request that is almost right, or not at all.
fn request(random: &mut Random) -> Vec<u8> {
    let end = random.pick(LINE_ENDS);
    let mut text =
        format!("{} {} {}{end}", random.pick(METHODS), random.pick(TARGETS), random.pick(VERSIONS));
    for _ in 0..random.below(5) {
        let times = if random.one_in(200) { 1_000 } else { 1 };
        let header = random.pick(HEADERS);
        text += &format!("{header}{end}").repeat(times);
    }
    text += end;
    text += random.pick(BODIES);
    let mut bytes = text.into_bytes();
    if random.one_in(2) {
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, random);
        }
    }
    bytes
}

/// Changes a request somewhere.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let place = random.below(bytes.len());
    let end = (place + random.below(40)).min(bytes.len());
    match random.below(7) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes.insert(place, random.pick(b"\0\r\n\t :\xff0/")),
        2 => drop(bytes.drain(place..end)),
        3 => {
            let piece = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
        }
        4 => bytes.truncate(place),
        5 => bytes.splice(place..place, vec![b'x'; random.below(3_000)]).for_each(drop),
        _ => bytes.splice(place..end, (0..end - place).map(|_| random.next() as u8)).for_each(drop),
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

/// A connection from one of many loopback addresses, so that no ports run out.
fn connect(address: SocketAddr, random: &mut Random) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = [127, 0, 1, 1 + random.below(200) as u8];
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("a loopback address");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
    socket.set_write_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    socket.set_tcp_nodelay(true).expect("an option");
    socket.connect_timeout(&address.into(), DEADLINE).expect("it accepts");
    socket.into()
}

/// Sends bytes in one of several ways, and returns what comes back, if that is waited for.
fn send(stream: &mut TcpStream, bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut came = Vec::new();
    match random.below(8) {
        // Not all of it.
        0 => {
            let _ = stream.write_all(&bytes[..random.below(bytes.len() + 1)]);
        }
        // In pieces.
        1 => {
            for piece in bytes.chunks(1 + bytes.len() / (1 + random.below(4))) {
                let _ = stream.write_all(piece);
                thread::sleep(Duration::from_micros(random.below(500) as u64));
            }
            let _ = stream.read_to_end(&mut came);
        }
        // Many at once.
        2 => {
            let _ = stream.write_all(&bytes.repeat(2 + random.below(20)));
        }
        // And then no more.
        3 => {
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut came);
        }
        _ => {
            let _ = stream.write_all(bytes);
            if random.one_in(2) {
                let mut piece = [0; 4096];
                let length = stream.read(&mut piece).unwrap_or_default();
                came.extend_from_slice(&piece[..length]);
            }
        }
    }
    // Most end with a reset, which leaves nothing behind on this side either.
    if !random.one_in(8) {
        SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).expect("an option");
    }
    came
}

/// Whatever comes back is an answer, and none that speaks of a mistake of ours.
fn check(came: &[u8], request: &[u8]) {
    let Some(answer) = Answer::parse(came) else {
        let request = request.escape_ascii();
        assert!(came.is_empty() || came.starts_with(b"HTTP/"), "{request}: {came:?}");
        return;
    };
    let known = [100, 200, 400, 404, 405, 413, 417];
    assert!(known.contains(&answer.status), "{}: {answer:?}", request.escape_ascii());
}

/// Threads, open files, and resident memory in kB.
fn holdings(appinfo: &Appinfo) -> (u64, u64, u64) {
    (appinfo.status("Threads"), appinfo.open_files() as u64, appinfo.status("VmRSS"))
}

#[test]
fn forty_thousand_hostile_requests_leave_it_as_it_was() {
    let seed = std::env::var("APPINFO_HOSTILE_SEED")
        .map_or(20_261_122, |seed| seed.parse().expect("APPINFO_HOSTILE_SEED is a number"));
    println!("APPINFO_HOSTILE_SEED={seed}");

    let mut appinfo = Start::of(&[common::release_binary(common::MUSL_TARGET)]).spawn();
    assert_eq!(appinfo.get("/healthz").status, 200);
    let before = holdings(&appinfo);
    let (address, start) = (appinfo.address, Instant::now());
    let (sent, leaks, over) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    let slowest = thread::scope(|scope| {
        let bystander = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let start = Instant::now();
                assert_eq!(common::get(address, "/v1/appinfo").status, 200);
                slowest = slowest.max(start.elapsed());
                thread::sleep(Duration::from_millis(10));
            }
            slowest
        });
        let attackers: Vec<_> = (0..8)
            .map(|number| {
                let (sent, leaks) = (&sent, &leaks);
                scope.spawn(move || {
                    let mut random = Random(seed ^ number << 56);
                    for _ in 0..REQUESTS / 8 {
                        if start.elapsed() > TIME {
                            break;
                        }
                        let bytes = request(&mut random);
                        if may_leak(&bytes) && leaks.fetch_add(1, Ordering::Relaxed) >= LEAKS {
                            leaks.fetch_sub(1, Ordering::Relaxed);
                            continue;
                        }
                        let mut stream = connect(address, &mut random);
                        check(&send(&mut stream, &bytes, &mut random), &bytes);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let ends: Vec<_> = attackers.into_iter().map(|attacker| attacker.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ends.iter().all(Result::is_ok), "what came back is as it should be");
        bystander.join().expect("the bystander is always answered")
    });
    let (sent, leaks) = (sent.into_inner(), leaks.into_inner());
    println!("{sent} requests in {:?}, another's slowest answer {slowest:?}", start.elapsed());
    assert!(sent > 10_000, "a machine this slow proves little");
    assert!(slowest < PROMPTLY, "{slowest:?}");

    assert!(appinfo.is_alive(), "{:?}", appinfo.stderr.all());
    let start = Instant::now();
    assert_eq!(appinfo.get("/healthz").status, 200);
    assert!(start.elapsed() < PROMPTLY, "{:?}", start.elapsed());
    // Some idle threads stay as long as the heartbeat gives each of them a turn now and then.
    let bound = (before.0 + u64::from(leaks) + 60, before.1 + 2 * u64::from(leaks) + 4, 24_000);
    let after = loop {
        let now = holdings(&appinfo);
        if now.0 <= bound.0 && now.1 <= bound.1 && now.2 <= bound.2 {
            break now;
        }
        assert!(start.elapsed() < DEADLINE, "{before:?} before, {now:?}, {leaks} may leak");
        thread::sleep(Duration::from_millis(100));
    };
    println!("threads, files, kB: {before:?} before, {after:?} after; {leaks} may leak");
    let log = appinfo.stderr.all();
    assert!(log.len() <= 4, "it has said too much: {log:#?}");
}
