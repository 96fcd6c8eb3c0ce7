//! The live page, at `/`: it asks `v1/appinfo` again and again, and draws what it is told.

/// The document, all in one.
pub const HTML: &str = include_str!("page.html");

/// The headers that go with it, names and values.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
];

/// Allows the page its own script and style, by hash, requests to where it came from, an icon in
/// a data address, and nothing else; text can never become markup or script (Trusted Types).
/// Whoever changes script or style: `cargo test --test page` prints the new hashes.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-2Po0uYcHvJNJT7E4SfLQlBdRuL+BP+LqKISdV4RLdXA='; \
    style-src 'sha256-ejJtSX+P9j3VLKGjlyEb+zkjzclUItC/J7AMh1kkng4='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'";
