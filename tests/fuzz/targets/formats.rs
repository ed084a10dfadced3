//! The formats of attributes: no bytes make them panic, and they agree with other crates where there is one.
#![no_main]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use eventferry::cloudevents::attribute::{Format, is_base64, is_int32, is_json, is_name, is_text};
use fluent_uri::{Uri, UriRef};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let matches = (0..=5).map(|number| Format::from_number(number).matches(bytes)).collect::<Vec<_>>();
    let _ = (is_name(bytes), is_json(bytes));
    assert_eq!(is_base64(bytes), BASE64_STANDARD.decode(bytes).is_ok(), "{bytes:?}");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_eq!(is_text(bytes), text.chars().all(is_allowed), "{text:?}");
    // `is_int32` expects an integer in the grammar of JSON.
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
    {
        assert_eq!(is_int32(bytes), text.parse::<i32>().is_ok(), "{text}");
    }
    // Our code does not parse addresses in brackets.
    if !text.contains('[') {
        assert_eq!(matches[Format::UriReference as usize], UriRef::parse(text).is_ok(), "{text:?}");
        assert_eq!(matches[Format::Uri as usize], Uri::parse(text).is_ok(), "{text:?}");
    }
    if matches[Format::Timestamp as usize] {
        assert!(text.len() >= 20 && text.is_ascii(), "{text}");
    }
    if matches[Format::MediaType as usize] {
        assert!(text.contains('/') && text.is_ascii(), "{text}");
    }
});

/// CloudEvents 1.0.2, "Type System", String.
fn is_allowed(char: char) -> bool {
    let is_noncharacter = matches!(char as u32, 0xfdd0..=0xfdef) || (char as u32) & 0xfffe == 0xfffe;
    !char.is_control() && !is_noncharacter
}
