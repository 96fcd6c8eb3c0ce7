//! Random requests that are almost right, or not at all, sent whole, in pieces, in part or many
//! times. The static release binary survives all of them, and holds no more afterwards than before.
//! Each run sends the same ones.

use std::io::ErrorKind;
use std::net::Shutdown;

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};

use crate::attack;
use crate::common::*;

/// How long to wait for a response, since most of these requests get none.
const SOON: Duration = Duration::from_millis(20);

/// Requests as a regular expression, with ¶ where a line ends. What is there more than once comes more
/// often. Versions above 1.1 and bodies of more than 1 MiB hold a thread for good, and have tests of
/// their own.
const REQUESTS: &str = "(GET|GET|GET|HEAD|POST|PUT|OPTIONS|TRACE|CONNECT|get||G\tT) \
    (/|/v1/appinfo|/v1/appinfo\\?|/healthz|/readyz|/metrics|/nowhere|\\*||http://a/healthz|HTTPS://a|\
    //|/%00|/\\?a=b\\?c|a:80|/\\.\\./\\.\\.|/\x1b\\[2J|://) \
    (HTTP/1\\.1|HTTP/1\\.1|HTTP/1\\.1|HTTP/1\\.1|HTTP/1\\.0|HTTP/0\\.9|HTTP/1\\.2|HTTP/9\\.9|\
    http/1\\.1|HTTP/1\\.1 ||HTTP/)¶\
    ((Host: a|Host:|Connection: close|Connection: keep-alive|Connection: upgrade|\
    Connection: Upgrade, close|Upgrade: websocket|Content-Length: 0|Content-Length: 5|\
    Content-Length: 1024|Content-Length: 1025|Content-Length: 70000|Content-Length: 2000|\
    Content-Length: -1|Content-Length: \\+7|Content-Length: 5, 5|Content-Length:|\
    Transfer-Encoding: chunked|Transfer-Encoding: gzip, chunked|Transfer-Encoding:|\
    Transfer-Encoding : chunked|Expect: 100-continue|Expect: more|TE: chunked|\
    TE: trailers, chunked;q=0\\.5|No colon|: no name|X-Nul: \0|Range: bytes=0-)¶){0,4}¶\
    (|||hello|5\r\nhello\r\n0\r\n\r\n|5\r\nhel|f{17}\r\n|0\r\n\r\n|-1\r\n|;\r\n\r\n|\
    GET / HTTP/1\\.1\r\n\r\n|\r\n\r\n)";

/// The requests, changed in some places and repeated.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let line_end = prop_oneof![5 => Just("\r\n"), 4 => select(vec!["\n", "\r", "\r\r\n", "\n\r"])];
    // Some bytes, or all that follow, are replaced by others.
    let removed = prop_oneof![9 => 0..40_usize, 1 => Just(usize::MAX)];
    let byte = prop_oneof![any::<u8>(), select(b"\0\r\n\t :\xff0/".as_slice())];
    let inserted = prop_oneof![9 => vec(byte, 0..8), 1 => Just(vec![b'x'; 3_000])];
    let changes = vec((any::<Index>(), removed, inserted), 0..4);
    let times = prop_oneof![7 => Just(1), 1 => 2..20_usize];
    (REQUESTS, line_end, changes, times).prop_map(|(text, line_end, changes, times)| {
        let mut bytes = text.replace('¶', line_end).into_bytes();
        for (place, removed, inserted) in changes {
            let start = place.index(bytes.len() + 1);
            let end = start.saturating_add(removed).min(bytes.len());
            bytes.splice(start..end, inserted);
        }
        bytes.repeat(times)
    })
}

/// Eight clients send 2,500 each.
#[test]
fn random_requests_harm_nobody() {
    // How many pieces a request is sent in, whether the client then closes its side, whether it
    // reads, and whether it resets the connection: mostly, since that leaves nothing behind on this
    // side either.
    let manners = (1..4_usize, any::<bool>(), any::<bool>(), weighted(0.9));
    let cases = (requests(), manners);
    // A change may make a newer version or a long body of a request, and pipelined bodies may be
    // leaked.
    attack::harms_nobody(20, 8_000, |appinfo| {
        each(8, 0..8, |client| {
            let config = ProptestConfig {
                cases: 2_500,
                rng_seed: RngSeed::Fixed(client),
                failure_persistence: None,
                ..ProptestConfig::default()
            };
            let sent = TestRunner::new(config).run(&cases, |(bytes, manners)| {
                let (pieces, closes, reads, resets) = manners;
                let mut stream = connect(appinfo.address).expect("it accepts");
                stream.set_read_timeout(Some(SOON)).expect("an option");
                stream.set_nodelay(true).expect("an option");
                for piece in bytes.chunks(1 + bytes.len() / pieces) {
                    let _ = stream.write_all(piece);
                }
                if closes {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                if reads {
                    // A response that is none of an internal error, if any.
                    let known = [100, 200, 204, 400, 404, 405, 417];
                    let response = read_response(&stream, bytes.starts_with(b"HEAD "));
                    let is_as_expected = match &response {
                        Ok(response) => known.contains(&response.status),
                        Err(error) => error.kind() != ErrorKind::InvalidData,
                    };
                    prop_assert!(is_as_expected, "{response:?} to {}", bytes.escape_ascii());
                }
                if resets {
                    attack::reset(stream);
                }
                Ok(())
            });
            sent.unwrap_or_else(|error| panic!("{error}"));
        });
    });
}
