//! Properties of the labels parser, over texts made up by proptest.

#[path = "../../src/pod/labels.rs"]
mod labels;

use std::collections::BTreeMap;
use std::fmt::Write;

/// What is read from a text, by key. (That it is sorted shows in the answers.)
fn parse(text: &str) -> BTreeMap<String, String> {
    labels::parse(text).into_iter().collect()
}

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Quotes as Go's `strconv.Quote` does (<https://pkg.go.dev/strconv#Quote>). What Go calls
/// printable is taken more narrowly here: what else Go would leave as it is, is escaped.
fn quote(bytes: &[u8]) -> String {
    let mut quoted = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                ' '..='~' => quoted.push(character),
                _ if character.is_alphanumeric() => quoted.push(character),
                '\x07' => quoted.push_str(r"\a"),
                '\x08' => quoted.push_str(r"\b"),
                '\x0c' => quoted.push_str(r"\f"),
                '\n' => quoted.push_str(r"\n"),
                '\r' => quoted.push_str(r"\r"),
                '\t' => quoted.push_str(r"\t"),
                '\x0b' => quoted.push_str(r"\v"),
                '\0'..='\x7f' => escape(&mut quoted, 'x', 2, character.into()),
                '\u{80}'..='\u{ffff}' => escape(&mut quoted, 'u', 4, character.into()),
                _ => escape(&mut quoted, 'U', 8, character.into()),
            }
        }
        for byte in chunk.invalid() {
            escape(&mut quoted, 'x', 2, (*byte).into());
        }
    }
    quoted.push('"');
    quoted
}

/// An escape sequence with so many hexadecimal digits.
fn escape(quoted: &mut String, kind: char, digits: usize, number: u32) {
    write!(quoted, "\\{kind}{number:0digits$x}").expect("text can be written to");
}

/// The file that the kubelet writes for these labels: sorted, a line each, no newline at the end.
fn file(labels: &BTreeMap<String, Vec<u8>>) -> String {
    let lines: Vec<_> =
        labels.iter().map(|(key, value)| format!("{key}={}", quote(value))).collect();
    lines.join("\n")
}

/// A key as Kubernetes allows them.
fn key() -> impl Strategy<Value = String> {
    "([a-z0-9.]{1,10}/)?[A-Za-z0-9][-A-Za-z0-9_.]{0,10}"
}

/// Text that comes close to what the parser looks for.
fn nearly_labels() -> impl Strategy<Value = String> {
    r#"([a-z]|=|"|\\|\\x|\\u|\\U|[0-9a-fA-F]{1,9}|\n|\r|é|\PC){0,40}"#
}

proptest! {
    // A failure prints its input; a file of them would only be found beside a lib.rs.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(any in any::<String>(), near in nearly_labels()) {
        parse(&any);
        parse(&near);
        parse(&format!("key=\"{near}\""));
    }

    #[test]
    fn what_go_quotes_it_unquotes(bytes in vec(any::<u8>(), 0..40), text in any::<String>()) {
        // Bytes that are no text become the replacement character, as everywhere in Rust.
        for value in [&bytes[..], text.as_bytes()] {
            let labels = parse(&format!("key={}", quote(value)));
            prop_assert_eq!(&labels["key"], &String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn it_reads_what_the_kubelet_writes(
        written in btree_map(key(), vec(any::<u8>(), 0..20), 0..8)
    ) {
        let read = parse(&file(&written));
        prop_assert!(read.keys().eq(written.keys()));
        for (key, value) in &written {
            prop_assert_eq!(&read[key], &String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn lines_without_an_equals_sign_are_skipped(
        written in btree_map(key(), vec(any::<u8>(), 0..20), 0..8),
        noise in vec("[^=\n]{0,20}", 0..8),
    ) {
        let clean = file(&written);
        let mut lines: Vec<&str> = clean.lines().collect();
        for (place, line) in noise.iter().enumerate() {
            lines.insert((place * 2).min(lines.len()), line);
        }
        prop_assert_eq!(parse(&lines.join("\n")), parse(&clean));
    }

    #[test]
    fn the_last_of_several_equal_keys_wins(key in key(), values in vec(any::<String>(), 1..5)) {
        let lines: Vec<_> =
            values.iter().map(|value| format!("{key}={}", quote(value.as_bytes()))).collect();
        let labels = parse(&lines.join("\n"));
        prop_assert_eq!(labels.len(), 1);
        prop_assert_eq!(Some(&labels[&key]), values.last());
    }
}

#[test]
fn escapes_are_read_as_go_writes_them() {
    for (quoted, value) in [
        (r#""""#, ""),
        (r#""stable""#, "stable"),
        (r#""a=b""#, "a=b"),
        (r#""\a\b\f\n\r\t\v\\\"""#, "\x07\x08\x0c\n\r\t\x0b\\\""),
        (r#""\x00\x7f""#, "\0\x7f"),
        (r#""\u00a0\u2028\ufeff""#, "\u{a0}\u{2028}\u{feff}"),
        (r#""\U000e0001""#, "\u{e0001}"),
        (r#""grün 🐦""#, "grün 🐦"),
        (r#""\xff\xc3\xbc""#, "\u{fffd}ü"),
    ] {
        assert_eq!(parse(&format!("key={quoted}"))["key"], value, "{quoted}");
    }
}

#[test]
fn what_is_not_rightly_quoted_is_taken_as_it_stands() {
    for value in [
        "plain",
        "'single'",
        r#"""#,
        r#""open"#,
        r#"open""#,
        r#""a"b""#,
        r#""\""#,
        r#""\q""#,
        r#""\x4""#,
        r#""\x4g""#,
        r#""\u123""#,
        r#""\ud800""#,
        r#""\U00110000""#,
        r#""\U4141""#,
    ] {
        assert_eq!(parse(&format!("key={value}"))["key"], value, "{value}");
    }
}
