use super::super::block::Swar;
use super::super::padded::pad;
use super::*;

fn accepts(text: &str) -> Result<(Kind, usize), ScanError> {
    let bytes = pad(text.as_bytes());
    let mut scanner = Scanner::<Swar>::new(Padded::new(&bytes).expect("padded"));
    scanner.skip_space();
    let (kind, _) = scanner.value()?;
    if scanner.is_finished() { Ok((kind, scanner.units())) } else { Err(ScanError::Syntax) }
}

#[test]
fn accepts_all_kinds() {
    for (text, kind) in [
        ("null", Kind::Null),
        (" true ", Kind::True),
        ("false\n", Kind::False),
        ("-0.5e+10", Kind::Number),
        ("\"a\\u00e9\\n\"", Kind::String),
        ("[1,[],{}, [ ]]", Kind::Array),
        ("{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":\"\"}", Kind::Object),
    ] {
        assert_eq!(accepts(text).map(|(kind, _)| kind), Ok(kind), "{text}");
    }
}

#[test]
fn rejects_what_is_not_json() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "NaN",
        "'a'",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\u{0}\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "[}",
        "{]",
        "[1",
        "{\"a\":1",
        "1 2",
        "[]]",
        "\u{feff}1",
        "\u{0}",
    ] {
        assert_eq!(accepts(text), Err(ScanError::Syntax), "{text:?}");
    }
}

#[test]
fn rejects_malformed_utf8_in_strings() {
    for bytes in [
        &b"\"\xc0\xa0\""[..],
        b"\"\xed\xa0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"\xe2\x82\"",
        b"\"\xff\"",
        b"\"\x80\"",
    ] {
        let padded = pad(bytes);
        let mut scanner = Scanner::<Swar>::new(Padded::new(&padded).expect("padded"));
        assert_eq!(scanner.value().err(), Some(ScanError::Encoding), "{bytes:?}");
    }
}

#[test]
fn rejects_what_is_nested_too_deep() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(accepts(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(accepts(&nested(MAX_DEPTH + 1)), Err(ScanError::TooDeep));
    assert_eq!(accepts(&"[".repeat(100_000)), Err(ScanError::TooDeep));
}

#[test]
fn closes_levels_in_the_order_in_which_they_were_opened() {
    let mut text = String::new();
    for level in 0..200 {
        text.push_str(if level % 3 == 0 { "{\"a\":" } else { "[" });
    }
    text.push('1');
    for level in (0..200).rev() {
        text.push(if level % 3 == 0 { '}' } else { ']' });
    }
    assert!(accepts(&text).is_ok());
    assert_eq!(accepts(&text.replacen('}', "]", 1)), Err(ScanError::Syntax));
}

#[test]
fn counts_utf16_units_as_javascript_does() {
    let text = "[\"aé€😀\",\"\\u00e9\", \"z\"]";
    assert_eq!(accepts(text), Ok((Kind::Array, text.encode_utf16().count())));
}

#[test]
fn brackets_are_found_behind_any_number_of_backslashes_at_every_offset() {
    for offset in 0..140 {
        for backslashes in 0..6 {
            for rest in ["", "]}", "[{", "é😀"] {
                let (filler, escapes) = ("a".repeat(offset), "\\".repeat(backslashes));
                // An odd number of backslashes escapes a quote, and the string goes on.
                let quoted = if backslashes % 2 == 0 { "" } else { "\"]{" };
                let text = format!("[{{\"{filler}{escapes}{quoted}\":\"{rest}\"}}] 1");
                let bytes = pad(text.as_bytes());
                let padded = Padded::new(&bytes).expect("padded");
                let mut full = Scanner::<Swar>::new(padded);
                let (_, span) = full.value().expect("JSON");
                let mut trusted = Scanner::<Swar>::new(padded);
                trusted.trust();
                let (_, found) = trusted.value().expect("checked before");
                assert_eq!((found.end, found.end_unit), (span.end, span.end_unit), "{text}");
            }
        }
    }
}

#[test]
fn trusted_text_that_ends_in_an_object_ends_behind_the_units_that_were_counted() {
    for text in ["{\"a\":\"\u{e9}\u{e9}\u{e9}\"", "[\"\u{1f600}\", [1]", "{\"a\": [\"\u{20ac}\"}"] {
        let bytes = pad(text.as_bytes());
        let mut scanner = Scanner::<Swar>::new(Padded::new(&bytes).expect("padded"));
        scanner.trust();
        assert!(scanner.value().is_err(), "{text}");
        assert_eq!((scanner.pos(), scanner.units()), (text.len(), text.encode_utf16().count()), "{text}");
    }
}
