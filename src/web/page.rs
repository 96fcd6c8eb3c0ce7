//! The live page, at `/`: it requests `v1/appinfo` again and again, and draws the responses.

mod join;

use crate::response::Response;
use join::Document;

/// The page, in one document.
static PAGE: [u8; DOCUMENT.length()] = DOCUMENT.bytes();

const DOCUMENT: Document = Document::join(
    include_str!("page/page.html"),
    include_str!("page/page.css"),
    &[
        include_str!("page/verdict.js"),
        include_str!("page/request.js"),
        include_str!("page/page.js"),
    ],
);

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
    script-src 'sha256-d6va3x+gp/YPKYlUGQrK3iGYy2GDvR4ClKgE1RAuyzg='; \
    style-src 'sha256-34ac7ZgyRkLar3EFOkfgJK5TF2dPyt+gqCOi3BVolKo='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    require-trusted-types-for 'script'";
