//! The live page, at `/`.

/// The document, all in one.
pub const HTML: &str = include_str!("page.html");

/// The headers that go with it, names and values.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Security-Policy", "default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
];
