//! Finds single values in a short JSON text, such as a response that a machine must understand.

use super::padded::{Padded, PaddedBuf};
use super::scan::{Kind, ScanError, Scanner, Span};
use super::text::unescape;

/// Visits the members of the object that starts here. `member` gets each name with the scanner at the value,
/// and must move the scanner to the end of the value.
pub fn members<'a>(
    scanner: &mut Scanner<'a>,
    mut member: impl FnMut(&[u8], &mut Scanner<'a>) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    visit_members(scanner, &mut member)
}

type Visitor<'v, 'a> = dyn FnMut(&[u8], &mut Scanner<'a>) -> Result<(), ScanError> + 'v;

/// One function for all callers: a copy for each takes a kilobyte.
fn visit_members<'a>(scanner: &mut Scanner<'a>, member: &mut Visitor<'_, 'a>) -> Result<(), ScanError> {
    scanner.expect(b'{')?;
    scanner.skip_space();
    if scanner.eat(b'}') {
        return Ok(());
    }
    loop {
        let name = scanner.string()?;
        scanner.colon()?;
        if name.has_escapes {
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

/// Visits the items of the array that starts here. `item` must move the scanner to the end of the item.
pub fn items<'a>(
    scanner: &mut Scanner<'a>,
    mut item: impl FnMut(&mut Scanner<'a>) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
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

/// A JSON text in which values can be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document(PaddedBuf);

impl Document {
    /// Takes the text without a check. [`Self::get`] finds nothing in a text that is not JSON.
    pub fn new(text: Vec<u8>) -> Self {
        Self(PaddedBuf::new(text))
    }

    /// The text with its padding, for a scanner.
    pub fn padded(&self) -> Padded<'_> {
        self.0.as_padded()
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        self.0.text()
    }

    /// The text without the padding.
    pub fn into_text(self) -> Vec<u8> {
        self.0.into_text()
    }

    /// The value at a path of member names.
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

/// A value in a [`Document`].
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    text: Padded<'a>,
    /// Its kind.
    pub kind: Kind,
    span: Span,
}

impl<'a> Value<'a> {
    /// The text, if it is a string.
    pub fn string(&self) -> Option<String> {
        (self.kind == Kind::String).then(|| string(self.text, self.span))
    }

    /// The value, if it is a boolean.
    pub const fn bool(&self) -> Option<bool> {
        match self.kind {
            Kind::True => Some(true),
            Kind::False => Some(false),
            _ => None,
        }
    }

    /// The integer part, if it is a number without an exponent. (Parsing exponents would add 10 KB of
    /// tables.)
    pub fn integer(&self) -> Option<i64> {
        self.number()?.split('.').next()?.parse().ok()
    }

    /// The JSON text, if it is a number.
    pub fn number(&self) -> Option<&'a str> {
        (self.kind == Kind::Number).then(|| self.json())
    }

    /// The text of a string, or the JSON text of a number: for ids, which servers send as either.
    pub fn string_or_number(&self) -> Option<String> {
        self.string().or_else(|| self.number().map(str::to_owned))
    }

    /// The text of a string, or of each string in an array.
    pub fn strings(&self) -> Vec<String> {
        let mut all: Vec<String> = self.string().into_iter().collect();
        if self.kind == Kind::Array {
            let document = Document::new(self.json().as_bytes().to_vec());
            let text = document.padded();
            let visited = items(&mut Scanner::new(text), |scanner| {
                let (kind, span) = scanner.value()?;
                all.extend(Value { text, kind, span }.string());
                Ok(())
            });
            debug_assert!(visited.is_ok(), "the scanner accepted it before");
        }
        all
    }

    /// The JSON text of the value; of a string, without the quotes.
    pub fn json(&self) -> &'a str {
        core::str::from_utf8(self.text.get(self.span.start, self.span.end)).unwrap_or_default()
    }
}

/// The text of a string that the scanner has accepted. With half a surrogate pair, escapes stay as they are.
pub fn string(text: Padded<'_>, span: Span) -> String {
    let raw = text.get(span.start, span.end);
    let mut decoded = if span.has_escapes { vec![0; raw.len()] } else { Vec::new() };
    let bytes = if span.has_escapes { unescape(raw, &mut decoded).unwrap_or(raw) } else { raw };
    core::str::from_utf8(bytes).unwrap_or_default().to_owned()
}

/// Appends `text` as a JSON string with its quotes.
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
    fn finds_values_by_path() {
        let text = document(
            r#" {"a":{"b":[1,{"c":2}],"n":-75.9,"t":true},"a.b":"no","s":"\u00e9\n","l":["x",1,"y"],"i":9007199254740993}"#,
        );
        let get = |path: &[&str]| text.get(path);
        assert_eq!(get(&["a", "n"]).and_then(|v| v.integer()), Some(-75));
        assert_eq!(get(&["a", "t"]).and_then(|v| v.bool()), Some(true));
        assert_eq!(get(&["s"]).and_then(|v| v.string()).as_deref(), Some("é\n"));
        assert_eq!(get(&["l"]).map(|v| v.strings()), Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(get(&["i"]).and_then(|v| v.string_or_number()).as_deref(), Some("9007199254740993"));
        assert_eq!(get(&["a", "b"]).map(|v| v.json()), Some(r#"[1,{"c":2}]"#));
        assert!(get(&["a", "x"]).is_none());
        assert!(get(&["s", "x"]).is_none());
        assert!(document("{\"a\":1").get(&["a"]).is_none());
        assert!(document("").get(&["a"]).is_none());
    }

    #[test]
    fn written_strings_can_be_read_again() {
        for text in ["", "plain", "a\"b\\c\n\r\t\u{1}\u{1f}é😀"] {
            let mut json = String::new();
            write_string(&mut json, text);
            assert_eq!(document(&json).get(&[]).and_then(|v| v.string()).as_deref(), Some(text));
        }
    }
}
