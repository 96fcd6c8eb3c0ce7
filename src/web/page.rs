//! The live page, at `/`: it asks `v1/appinfo` again and again, and draws what it is told.

use crate::response::Response;

/// The response of `/`: the document, all in one.
pub fn response() -> Response {
    Response::new(200, "text/html; charset=utf-8", include_bytes!("page.html"))
        .with_header("Content-Security-Policy", POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
}

/// Allows the page its own script and style, by hash, requests to where it came from, an icon in
/// a data address, and nothing else; text can never become markup or script (Trusted Types).
/// Whoever changes script or style: `cargo test --test page` prints the new hashes.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-7CE9cOMLt9nAKs3tnypwX73EbeylZBzA35lI16b0lng='; \
    style-src 'sha256-ejJtSX+P9j3VLKGjlyEb+zkjzclUItC/J7AMh1kkng4='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";
