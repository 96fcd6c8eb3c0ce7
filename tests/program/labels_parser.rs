//! Properties of the labels parser, over texts made up by proptest.

#[path = "../../src/pod/labels.rs"]
mod labels;

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// What is read from a text, by key. (That it is sorted shows in the answers.)
fn parse(text: &str) -> BTreeMap<String, String> {
    labels::parse(text).into_iter().collect()
}

/// Quotes as Go's `strconv.Quote` does (<https://pkg.go.dev/strconv#Quote>). What Go calls
/// printable is taken more narrowly here: what else Go would leave as it is, is escaped.
fn quote(bytes: &[u8]) -> String {
    let character = |character: char| match character {
        '"' | '\\' => format!("\\{character}"),
        ' '..='~' => character.to_string(),
        _ if character.is_alphanumeric() => character.to_string(),
        '\x07'..='\x0d' => format!("\\{}", char::from(b"abtnvfr"[character as usize - 7])),
        '\0'..='\x7f' => format!("\\x{:02x}", u32::from(character)),
        '\u{80}'..='\u{ffff}' => format!("\\u{:04x}", u32::from(character)),
        _ => format!("\\U{:08x}", u32::from(character)),
    };
    let chunk = |chunk: std::str::Utf8Chunk| {
        let valid: String = chunk.valid().chars().map(character).collect();
        valid + &chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>()
    };
    format!("\"{}\"", bytes.utf8_chunks().map(chunk).collect::<String>())
}

/// Values as they may come: text, and bytes that are none.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), any::<String>().prop_map(String::into_bytes)]
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

    // Sorted, a line each, no newline at the end; bytes that are no text become the replacement
    // character, as everywhere in Rust.
    #[test]
    fn it_reads_what_the_kubelet_writes_and_skips_lines_without_an_equals_sign(
        written in btree_map(key(), value(), 0..8),
        noise in vec("[^=\n]{0,20}", 0..8),
    ) {
        let lines = written.iter().map(|(key, value)| format!("{key}={}", quote(value)));
        let mut lines: Vec<_> = lines.collect();
        for (place, line) in noise.into_iter().enumerate() {
            lines.insert((place * 2).min(lines.len()), line);
        }
        let read = parse(&lines.join("\n"));
        prop_assert!(read.keys().eq(written.keys()));
        for (key, value) in &written {
            prop_assert_eq!(&read[key], &String::from_utf8_lossy(value));
        }
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
