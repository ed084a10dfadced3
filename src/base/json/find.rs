//! Single values out of texts that are short and rare: what a machine has to know of an answer.

use super::padded::{PADDING, Padded};
use super::scan::{Fault, Kind, Scanner, Span};
use super::text::unescape;

/// Walks over the members of the object that starts here. `member` gets each name, with the scanner at its value, and steps over that.
pub fn members<'a>(
    scanner: &mut Scanner<'a>,
    mut member: impl FnMut(&[u8], &mut Scanner<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    scanner.expect(b'{')?;
    scanner.skip_space();
    if scanner.eat(b'}') {
        return Ok(());
    }
    loop {
        let name = scanner.string()?;
        scanner.colon()?;
        if name.escaped {
            let decoded = string(scanner.text(), name);
            member(decoded.as_bytes(), scanner)?;
        } else {
            member(scanner.text().get(name.start, name.end), scanner)?;
        }
        scanner.skip_space();
        if scanner.eat(b'}') {
            return Ok(());
        }
        scanner.expect(b',')?;
        scanner.skip_space();
    }
}

/// Walks over the items of the array that starts here.
pub fn items<'a>(
    scanner: &mut Scanner<'a>,
    mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    scanner.expect(b'[')?;
    scanner.skip_space();
    if scanner.eat(b']') {
        return Ok(());
    }
    loop {
        item(scanner)?;
        scanner.skip_space();
        if scanner.eat(b']') {
            return Ok(());
        }
        scanner.expect(b',')?;
        scanner.skip_space();
    }
}

/// One JSON text with its padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(Vec<u8>);

impl Document {
    /// Takes the text; whether it is JSON shows when something is looked for.
    pub fn new(mut text: Vec<u8>) -> Self {
        text.resize(text.len() + PADDING, 0);
        Self(text)
    }

    /// The text with its padding, for a scanner.
    pub fn padded(&self) -> Padded<'_> {
        Padded::of(self)
    }

    /// The bytes with the zeros behind them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        self.0.get(..self.0.len() - PADDING).unwrap_or_default()
    }

    /// The text without the padding.
    pub fn into_text(mut self) -> Vec<u8> {
        self.0.truncate(self.0.len() - PADDING);
        self.0
    }

    /// The value behind a path of member names.
    pub fn get(&self, path: &[&str]) -> Option<Value<'_>> {
        let text = self.padded();
        let mut scanner = Scanner::new(text);
        scanner.skip_space();
        let (kind, span) = descend(&mut scanner, path)?;
        Some(Value { text, kind, span })
    }
}

fn descend(scanner: &mut Scanner<'_>, path: &[&str]) -> Option<(Kind, Span)> {
    let Some((first, rest)) = path.split_first() else { return scanner.value().ok() };
    let mut found = None;
    members(scanner, |name, scanner| {
        if name == first.as_bytes() {
            found = descend(&mut scanner.clone(), rest);
        }
        scanner.value().map(drop)
    })
    .ok()?;
    found
}

/// A value that was found.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    text: Padded<'a>,
    /// Of what kind it is.
    pub kind: Kind,
    span: Span,
}

impl<'a> Value<'a> {
    /// The text of a string.
    pub fn string(&self) -> Option<String> {
        (self.kind == Kind::String).then(|| string(self.text, self.span))
    }

    /// A boolean.
    pub const fn bool(&self) -> Option<bool> {
        match self.kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// A number without an exponent, cut to an integer. (Reading the others would bring tables of ten kilobytes along.)
    pub fn integer(&self) -> Option<i64> {
        self.number()?.split('.').next()?.parse().ok()
    }

    /// A number as it is written.
    pub fn number(&self) -> Option<&'a str> {
        (self.kind == Kind::Number).then(|| self.json())
    }

    /// The text of a string, or a number as it is written: for ids, which peers write in both ways.
    pub fn label(&self) -> Option<String> {
        self.string().or_else(|| self.number().map(str::to_owned))
    }

    /// A string, or the strings of an array.
    pub fn strings(&self) -> Vec<String> {
        let mut all: Vec<String> = self.string().into_iter().collect();
        if self.kind == Kind::Array {
            let document = Document::new(self.json().as_bytes().to_vec());
            let text = document.padded();
            let walked = items(&mut Scanner::new(text), |scanner| {
                let (kind, span) = scanner.value()?;
                all.extend(Value { text, kind, span }.string());
                Ok(())
            });
            debug_assert!(walked.is_ok(), "the scanner has accepted it before");
        }
        all
    }

    /// The value as it is written, of strings what is between the quotes.
    pub fn json(&self) -> &'a str {
        core::str::from_utf8(self.text.get(self.span.start, self.span.end)).unwrap_or_default()
    }
}

/// The text of a string that the scanner has accepted. Half a surrogate pair leaves the escapes as they are.
pub fn string(text: Padded<'_>, span: Span) -> String {
    let raw = text.get(span.start, span.end);
    let mut decoded = if span.escaped { vec![0; raw.len()] } else { Vec::new() };
    let bytes = if span.escaped { unescape(raw, &mut decoded).unwrap_or(raw) } else { raw };
    String::from_utf8_lossy(bytes).into_owned()
}

/// Writes a string with its quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if (char as u32) < 0x20 => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.push_str("\\u00");
                for digit in [char as usize >> 4, char as usize & 15] {
                    out.push(DIGITS.get(digit).copied().unwrap_or(b'0') as char);
                }
            }
            char => out.push(char),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::new(text.as_bytes().to_vec())
    }

    #[test]
    fn finds_what_stands_behind_a_path() {
        let text = document(
            r#" {"a":{"b":[1,{"c":2}],"n":-75.9,"t":true},"a.b":"no","s":"\u00e9\n","l":["x",1,"y"],"i":9007199254740993}"#,
        );
        let get = |path: &[&str]| text.get(path);
        assert_eq!(get(&["a", "n"]).and_then(|v| v.integer()), Some(-75));
        assert_eq!(get(&["a", "t"]).and_then(|v| v.bool()), Some(true));
        assert_eq!(get(&["s"]).and_then(|v| v.string()).as_deref(), Some("é\n"));
        assert_eq!(get(&["l"]).map(|v| v.strings()), Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(get(&["i"]).and_then(|v| v.label()).as_deref(), Some("9007199254740993"));
        assert_eq!(get(&["a", "b"]).map(|v| v.json()), Some(r#"[1,{"c":2}]"#));
        assert!(get(&["a", "x"]).is_none());
        assert!(get(&["s", "x"]).is_none());
        assert!(document("{\"a\":1").get(&["a"]).is_none());
        assert!(document("").get(&["a"]).is_none());
    }

    #[test]
    fn writes_what_it_can_read_again() {
        for text in ["", "plain", "a\"b\\c\n\r\t\u{1}\u{1f}é😀"] {
            let mut json = String::new();
            write_string(&mut json, text);
            assert_eq!(document(&json).get(&[]).and_then(|v| v.string()).as_deref(), Some(text));
        }
    }
}
