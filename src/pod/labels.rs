//! The text in which the kubelet writes a pod's labels into a downward API volume: a line
//! `key="value"` for each, the value quoted as Go's `%q` quotes it, no newline after the last.
//! (`FormatMap` in k8s.io/kubernetes/pkg/fieldpath.)

use std::str::Chars;

/// A pod's labels: keys and values, sorted by key.
pub type Labels = Vec<(String, String)>;

/// Reads the labels. A line without `=` is skipped; a value that is not quoted, or not rightly,
/// is taken as it stands, so that a file written by hand serves as well. Of a key that stands there twice
/// the last value counts.
pub fn parse(text: &str) -> Labels {
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
