//! The live page, at `/`: it requests `v1/appinfo` again and again, and draws the responses.

use crate::response::Response;

/// The files of the page in one document.
const SOURCES: &[u8] = concat!(
    include_str!("page/head.html"),
    "<style>\n",
    include_str!("page/page.css"),
    "</style>\n",
    include_str!("page/body.html"),
    "<script>\n",
    include_str!("page/verdict.js"),
    include_str!("page/request.js"),
    include_str!("page/page.js"),
    "</script>",
)
.as_bytes();

/// The document without what only its readers need, and its length.
const STRIPPED: ([u8; SOURCES.len()], usize) = strip();

/// The page as it is served.
static PAGE: [u8; STRIPPED.1] = *STRIPPED.0.first_chunk().unwrap();

/// The sources without indentation, comments and needless line breaks: a quarter less for the image to
/// hold. A line that begins with a slash is a comment.
const fn strip() -> ([u8; SOURCES.len()], usize) {
    let (mut stripped, mut length, mut at) = ([0; SOURCES.len()], 0, 0);
    while at < SOURCES.len() {
        while matches!(SOURCES[at], b' ' | b'\n') {
            at += 1;
        }
        let is_comment = SOURCES[at] == b'/';
        while at < SOURCES.len() && SOURCES[at] != b'\n' {
            if !is_comment {
                stripped[length] = SOURCES[at];
                length += 1;
            }
            at += 1;
        }
        if !is_comment && !matches!(SOURCES[at - 1], b'(' | b')' | b',' | b';' | b'>' | b'{' | b'}')
        {
            stripped[length] = b'\n';
            length += 1;
        }
    }
    (stripped, length)
}

/// The response of `/`.
pub fn response() -> Response {
    Response::new(200, "text/html; charset=utf-8", PAGE.as_slice())
        .with_header("Content-Security-Policy", POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
}

/// Allows the page its own script and style, by hash, requests to where it came from, an icon in
/// a data address, and nothing else; text can never become markup or script (Trusted Types). Any
/// site may show it in a frame, as workshop platforms do: it has nothing to be lured into clicking,
/// so there is no `frame-ancestors`.
/// After a change of script or style, `cargo test --test page` prints the new hashes.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-P24UghpjJsR0pJEGotf2b2nr67CZv1iN4oCJPWAioUw='; \
    style-src 'sha256-eqzi/XvhPcx7sbpH2bsMFRd4NasGEF+BZGgE7i6JufM='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    require-trusted-types-for 'script'";
