//! One value by its JSON Pointer (RFC 6901).

use super::block::Block;
use super::padded::Padded;
use super::scan::{Kind, ScanResult, Scanner, Span};
use super::text::unescape;

/// Finds a value in the one that starts at a byte, in a text that was checked before. Of members with the same name the last
/// one counts, as for `JSON.parse`.
///
/// `pointer` is valid: empty, or `/` before each token, with `~0` for `~` and `~1` for `/`. `scratch` takes a member name
/// without its escapes.
pub fn find<B: Block>(
    text: Padded<'_>,
    start: usize,
    pointer: &[u8],
    scratch: &mut [u8],
) -> ScanResult<Option<(Kind, Span)>> {
    let mut scanner = Scanner::<B>::starting_at(text, start);
    scanner.trust();
    scanner.skip_space();
    for token in pointer.split(|byte| *byte == b'/').skip(1) {
        let found = match scanner.peek() {
            b'{' => member(&mut scanner, token, scratch)?,
            b'[' => item(&mut scanner, token)?,
            _ => None,
        };
        let Some(value) = found else { return Ok(None) };
        scanner = value;
    }
    scanner.value().map(Some)
}

/// The last member with this name of the object that starts here.
#[inline(always)]
fn member<'a, B: Block>(
    scanner: &mut Scanner<'a, B>,
    token: &[u8],
    scratch: &mut [u8],
) -> ScanResult<Option<Scanner<'a, B>>> {
    let mut found = None;
    let is_plain = !token.contains(&b'~');
    scanner.expect(b'{')?;
    scanner.skip_space();
    if scanner.eat(b'}') {
        return Ok(None);
    }
    loop {
        let name = scanner.string()?;
        scanner.colon()?;
        let raw = scanner.text().get(name.start, name.end);
        let is_found = if is_plain && !name.has_escapes {
            is_same(raw, token)
        } else {
            let name = if name.has_escapes { unescape(raw, scratch) } else { Some(raw) };
            name.is_some_and(|name| is_named(name, token))
        };
        if is_found {
            found = Some(*scanner);
        }
        scanner.value()?;
        scanner.skip_space();
        if scanner.eat(b'}') {
            return Ok(found);
        }
        scanner.expect(b',')?;
        scanner.skip_space();
    }
}

/// Whether two names are the same. Most have another length; `==` calls a function for the others.
#[inline(always)]
fn is_same(name: &[u8], token: &[u8]) -> bool {
    name.len() == token.len() && name.iter().zip(token).all(|(a, b)| a == b)
}

/// The item of the array that starts here, by its index in decimal without leading zeros.
fn item<'a, B: Block>(scanner: &mut Scanner<'a, B>, token: &[u8]) -> ScanResult<Option<Scanner<'a, B>>> {
    let is_index = !token.is_empty() && token.len() < 10 && token.iter().all(u8::is_ascii_digit);
    if !is_index || (token.len() > 1 && token.first() == Some(&b'0')) {
        return Ok(None);
    }
    let index = token.iter().fold(0, |index, digit| index * 10 + u32::from(digit - b'0'));
    scanner.expect(b'[')?;
    scanner.skip_space();
    if scanner.peek() == b']' {
        return Ok(None);
    }
    for _ in 0..index {
        scanner.value()?;
        scanner.skip_space();
        if !scanner.eat(b',') {
            return Ok(None);
        }
        scanner.skip_space();
    }
    Ok(Some(*scanner))
}

/// Whether a name is that of a token, in which `~0` stands for `~` and `~1` for `/`.
fn is_named(mut name: &[u8], mut token: &[u8]) -> bool {
    loop {
        let (byte, rest) = match token {
            [] => return name.is_empty(),
            [b'~', b'1', rest @ ..] => (b'/', rest),
            [b'~', b'0', rest @ ..] => (b'~', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        let [first, others @ ..] = name else { return false };
        if *first != byte {
            return false;
        }
        (name, token) = (others, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::Swar;
    use super::super::padded::pad;
    use super::*;

    fn find_text(text: &str, pointer: &str) -> Option<String> {
        let bytes = pad(text.as_bytes());
        let padded = Padded::new(&bytes)?;
        let (kind, span) = find::<Swar>(padded, 0, pointer.as_bytes(), &mut [0; 64]).expect("JSON")?;
        let quotes = usize::from(kind == Kind::String);
        Some(String::from_utf8_lossy(padded.get(span.start - quotes, span.end + quotes)).into_owned())
    }

    #[test]
    fn finds_what_rfc_6901_says() {
        let text = r#" {"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"\u0065":{"x":[[],{"y":null}]},"d":1,"d":{"z":2},"k":{"":3},"~1":4} "#;
        for (pointer, expected) in [
            ("", Some(text.trim())),
            ("/foo", Some(r#"["bar","baz"]"#)),
            ("/foo/0", Some(r#""bar""#)),
            ("/foo/1", Some(r#""baz""#)),
            ("/foo/2", None),
            ("/foo/01", None),
            ("/foo/-", None),
            ("/foo/length", None),
            ("/foo/4294967296", None),
            ("/", Some("0")),
            ("/a~1b", Some("1")),
            ("/m~0n", Some("8")),
            ("/~01", Some("4")),
            ("/e/x/1/y", Some("null")),
            ("/e/x/0/0", None),
            ("/d", Some(r#"{"z":2}"#)),
            ("/d/z", Some("2")),
            ("/k/", Some("3")),
            ("/a", None),
            ("/foo/0/0", None),
            ("/d/z/q", None),
        ] {
            assert_eq!(find_text(text, pointer).as_deref(), expected, "{pointer}");
        }
    }

    #[test]
    fn a_value_behind_a_character_of_four_bytes_was_one_unit_off_if_no_other_special_one_was_before_it() {
        for text in [
            "{\"a\":[\"😀\"],\"b\":\"x\"}",
            "{\"a\":[\"é\",\"😀\"],\"b\":\"x\"}",
            "{\"a\":[{\"😀\":\"日😀\"}],\"b\":\"x\"}",
        ] {
            let bytes = pad(text.as_bytes());
            let (_, span) = find::<Swar>(Padded::new(&bytes).expect("padded"), 0, b"/b", &mut [0; 64])
                .expect("JSON")
                .expect("found");
            let before: String = text.chars().take_while(|char| *char != 'x').collect();
            assert_eq!(
                (span.start, span.start_unit),
                (before.len(), before.encode_utf16().count()),
                "{text}"
            );
        }
    }
}
