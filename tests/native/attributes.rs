//! The rules of attributes, against `tests/vectors/attributes.json`, which the JavaScript tests use as well.

use eventferry::cloudevents::attribute::{Format, is_base64, is_json, is_name};
use serde_json::Value;

type Rule = fn(&[u8]) -> bool;

const RULES: &[(&str, Rule)] = &[
    ("text", |text| Format::Text.matches(text)),
    ("uri-reference", |text| Format::UriReference.matches(text)),
    ("uri", |text| Format::Uri.matches(text)),
    ("timestamp", |text| Format::Timestamp.matches(text)),
    ("media-type", |text| Format::MediaType.matches(text)),
    ("name", is_name),
    ("base64", is_base64),
    ("json-media-type", is_json),
];

#[test]
fn every_text_of_the_vectors_is_accepted_or_rejected() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/attributes.json")).expect("vectors");
    assert_eq!(vectors.as_object().map(|v| v.len()), Some(RULES.len()));
    for (name, rule) in RULES {
        for (class, expected) in [("good", true), ("bad", false)] {
            let texts = vectors[name][class].as_array().expect(name);
            assert!(!texts.is_empty());
            for text in texts {
                let text = text.as_str().expect("a string");
                assert_eq!(rule(text.as_bytes()), expected, "{name}: {text:?}");
            }
        }
    }
}

#[test]
fn a_character_that_no_path_has_is_found_at_every_position() {
    for start in ["/", "https://", "a"] {
        for len in 0..40 {
            let path = format!("{start}{}", "Az0.-_~/".chars().cycle().take(len).collect::<String>());
            assert!(Format::UriReference.matches(path.as_bytes()), "{path}");
            for at in start.len()..path.len() {
                for byte in [0, b' ', b'"', b'<', b'\\', b'^', b'`', b'{', b'}', 0x7f, 0x80, 0xff] {
                    let mut bytes = path.clone().into_bytes();
                    bytes[at] = byte;
                    assert!(!Format::UriReference.matches(&bytes), "{path} {at} {byte}");
                }
            }
        }
    }
}

#[test]
fn timestamps_agree_with_the_calendar_for_four_centuries() {
    for year in 1800..=2200u32 {
        let is_leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        for (month, days) in
            [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].iter().enumerate()
        {
            for (day, fits) in [(1, true), (*days, true), (days + 1, false)] {
                let text = format!("{year:04}-{:02}-{day:02}T00:00:00Z", month + 1);
                assert_eq!(Format::Timestamp.matches(text.as_bytes()), fits, "{text}");
            }
        }
    }
}
