//! The text in which the kubelet writes a pod's labels into a downward API volume: a line
//! `key="value"` for each, the value quoted as Go's `%q` quotes it, no newline after the last.
//! (`FormatMap` in k8s.io/kubernetes/pkg/fieldpath.)

use std::str::Chars;

/// A pod's labels: keys and values, sorted by key.
pub type Labels = Vec<(String, String)>;

/// Reads the labels. A line without `=` is skipped; a value that is not quoted, or not correctly, is
/// taken as it is, so that a file written by hand works as well. The last value of a repeated key counts.
/// A byte order mark at the start, as Notepad and PowerShell write it, is skipped.
pub fn parse(text: &str) -> Labels {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut labels = Labels::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let label = (key.to_owned(), unquote(value).unwrap_or_else(|| value.to_owned()));
        match labels.binary_search_by(|(known, _)| known.as_str().cmp(key)) {
            Ok(place) => labels[place] = label,
            Err(place) => labels.insert(place, label),
        }
    }
    labels
}

/// Undoes Go's quoting (<https://go.dev/ref/spec#String_literals>).
fn unquote(quoted: &str) -> Option<String> {
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?.chars();
    // Bytes, since Go writes what is not UTF-8 as `\xff`, byte by byte.
    let mut value = Vec::with_capacity(quoted.len());
    while let Some(character) = rest.next() {
        let character = match character {
            '"' => return None,
            '\\' => match rest.next()? {
                'a' => '\x07',
                'b' => '\x08',
                'f' => '\x0c',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\x0b',
                same @ ('\\' | '"' | '\'') => same,
                'u' => char::from_u32(hexadecimal(&mut rest, 4)?)?,
                'U' => char::from_u32(hexadecimal(&mut rest, 8)?)?,
                'x' => {
                    value.push(hexadecimal(&mut rest, 2)? as u8);
                    continue;
                }
                _ => return None,
            },
            plain => plain,
        };
        value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The number in the next `digits` hexadecimal digits.
fn hexadecimal(rest: &mut Chars, digits: u32) -> Option<u32> {
    (0..digits).try_fold(0, |number, _| Some(number << 4 | rest.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

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
        fn no_text_makes_the_parser_panic(any in any::<String>(), near in nearly_labels()) {
            parse(&any);
            parse(&near);
            parse(&format!("key=\"{near}\""));
        }

        // A line each, no newline at the end; bytes that are no text become the replacement
        // character, as everywhere in Rust.
        #[test]
        fn what_the_kubelet_writes_is_read_back(
            written in btree_map(key(), value(), 0..8),
            noise in vec("[^=\n]{0,20}", 0..8),
        ) {
            let lines = written.iter().map(|(key, value)| format!("{key}={}", quote(value)));
            let mut lines: Vec<_> = lines.collect();
            for (place, line) in noise.into_iter().enumerate() {
                lines.insert((place * 2).min(lines.len()), line);
            }
            let read = parse(&lines.join("\n"));
            prop_assert!(read.is_sorted());
            let read: BTreeMap<_, _> = read.into_iter().collect();
            prop_assert!(read.keys().eq(written.keys()));
            for (key, value) in &written {
                prop_assert_eq!(&read[key], &String::from_utf8_lossy(value));
            }
        }

        #[test]
        fn the_last_of_several_equal_keys_counts(key in key(), values in vec(any::<String>(), 1..5)) {
            let lines: Vec<_> =
                values.iter().map(|value| format!("{key}={}", quote(value.as_bytes()))).collect();
            let labels = parse(&lines.join("\n"));
            prop_assert_eq!(labels.len(), 1);
            prop_assert_eq!(Some(&labels[0].1), values.last());
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let labels = parse("\u{feff}app=\"appinfo\"");
        assert_eq!(labels, [("app".to_owned(), "appinfo".to_owned())]);
    }

    #[test]
    fn values_are_unquoted_or_taken_as_they_are() {
        for (value, expected) in [
            (r#""plain""#, "plain"),
            (r#""a\"b\\c\n\t\x41\u00e9\U0001f600""#, "a\"b\\c\n\tAé😀"),
            (r#""\xc3\xa9""#, "é"),
            (r#""\q""#, r#""\q""#),
            (r#""unclosed"#, r#""unclosed"#),
            (r#""a"b""#, r#""a"b""#),
            (r#""\""#, r#""\""#),
            (r#""\x4g""#, r#""\x4g""#),
            (r#""\u123""#, r#""\u123""#),
            (r#""\ud800""#, r#""\ud800""#),
            (r#""\U00110000""#, r#""\U00110000""#),
            (r#""a=b==c""#, "a=b==c"),
            ("'single'", "'single'"),
            ("bare", "bare"),
            ("", ""),
        ] {
            assert_eq!(parse(&format!("key={value}"))[0].1, expected, "{value}");
        }
    }
}
