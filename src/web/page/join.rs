//! Joins the page's files at compile time, without what only their readers need: indentation,
//! comments and most spaces. The files can be formatted and named as plainly as the Rust code is,
//! and no byte of the image is spent on that.

/// What a file is written in, which decides where a space means something.
#[derive(Clone, Copy)]
enum Language {
    Html,
    Css,
    JavaScript,
}

/// A document in the making.
pub struct Document {
    bytes: [u8; 1 << 15],
    length: usize,
}

impl Document {
    /// The markup, with the style and the scripts in the empty elements that wait for them.
    pub const fn join(html: &str, css: &str, scripts: &[&str]) -> Document {
        let mut document = Document { bytes: [0; 1 << 15], length: 0 };
        let (head, rest) = html.split_at(end_of(html, "<style>"));
        let (body, end) = rest.split_at(end_of(rest, "<script>"));
        document.add(head, Language::Html);
        document.add(css, Language::Css);
        document.add(body, Language::Html);
        let mut i = 0;
        while i < scripts.len() {
            document.add(scripts[i], Language::JavaScript);
            i += 1;
        }
        document.add(end, Language::Html);
        document
    }

    /// The number of bytes.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// All `LENGTH` bytes.
    pub const fn bytes<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(self.bytes.split_at(LENGTH).0);
        bytes
    }

    /// Adds a file. A string may hold anything but its own quote; a regular expression no quote,
    /// space or double slash. Statements end in semicolons, as the formatter sees to.
    const fn add(&mut self, text: &str, language: Language) {
        let text = text.as_bytes();
        let is_html = matches!(language, Language::Html);
        let (mut i, mut space, mut quote) = (0, None, None);
        while i < text.len() {
            let byte = text[i];
            let next = if i + 1 < text.len() { text[i + 1] } else { b'\n' };
            i += 1;
            if let Some(end) = quote {
                self.push(byte);
                quote = if byte == end { None } else { quote };
            } else if matches!(byte, b' ' | b'\n') {
                // Of several, a line break.
                space = if matches!(space, Some(b'\n')) { space } else { Some(byte) };
            } else if !is_html && byte == b'/' && matches!(next, b'/' | b'*') {
                i = skip_comment(text, i);
            } else {
                let last = self.last();
                if let Some(space) = space.take()
                    && !is_needless(last, space, byte, language)
                {
                    self.push(space);
                } else if !is_html && byte == b'}' && last == b';' {
                    self.length -= 1;
                }
                // "0.5" is ".5".
                if is_html || byte != b'0' || next != b'.' || self.last().is_ascii_alphanumeric() {
                    self.push(byte);
                }
                if !is_html && matches!(byte, b'\'' | b'"' | b'`') {
                    quote = Some(byte);
                }
            }
        }
    }

    const fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    const fn last(&self) -> u8 {
        if self.length == 0 { b'\n' } else { self.bytes[self.length - 1] }
    }
}

/// Whether a space between these two says nothing.
const fn is_needless(last: u8, space: u8, next: u8, language: Language) -> bool {
    match language {
        Language::Html => space == b'\n' && last == b'>' && next == b'<',
        // `a > b`, but not `a .b`, `a + b` in calc(), `0 (...)`.
        Language::Css => {
            matches!(last, b'{' | b'}' | b';' | b':' | b',' | b'>')
                || matches!(next, b'{' | b'}' | b'>')
        }
        // `a - -b` is not written here.
        Language::JavaScript => !(is_word(last) && is_word(next)),
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'_' | b'\'' | b'"' | b'`' | b'\n')
}

/// The place after a comment that has begun: `//` ends with its line, `/*` with `*/`.
const fn skip_comment(text: &[u8], mut i: usize) -> usize {
    let is_line = text[i] == b'/';
    while i < text.len() {
        let is_end =
            if is_line { text[i] == b'\n' } else { text[i - 1] == b'*' && text[i] == b'/' };
        if is_end {
            return if is_line { i } else { i + 1 };
        }
        i += 1;
    }
    i
}

/// The place after the first occurrence.
const fn end_of(text: &str, part: &str) -> usize {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let mut i = 0;
    loop {
        let mut same = 0;
        while same < part.len() && text[i + same] == part[same] {
            same += 1;
        }
        if same == part.len() {
            return i + same;
        }
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_files_lose_what_only_readers_need() {
        const PARTS: Document = Document::join(
            "<p>\n  <b>one</b> two's\n  three\n<style></style>\n<script></script>\n",
            "/* Why. */\na > b,\n.c .d:not(e) {\n  margin: 0.5rem 0 10.5px;\n  content: 'a:  b';\n}\n",
            &[
                "// Why.\nconst f = a => {\n  // 'Quoted'\n  return 'a  b // c' + -0.5;\n};\n",
                "if (f) f(`${x ? y : 0.5}`); // More.\nelse g();\n",
            ],
        );
        let joined = PARTS.bytes::<{ PARTS.length() }>();
        assert_eq!(
            str::from_utf8(&joined),
            Ok("<p><b>one</b> two's\nthree\n<style>a>b,.c .d:not(e){margin:.5rem 0 10.5px;\
                content:'a:  b'}</style><script>const f=a=>{return 'a  b // c'+-.5};\
                if(f)f(`${x ? y : 0.5}`);else g();</script>")
        );
    }
}
