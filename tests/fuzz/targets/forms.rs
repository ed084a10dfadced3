//! The forms of attributes. No bytes make them panic; those that others know too are compared with them.
#![no_main]

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use eventferry::cloudevents::attribute::{Format, is_base64, is_int32, is_json, is_name, is_text};
use fluent_uri::{Uri, UriRef};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let fits = (0..=5).map(|form| Format::from_number(form).matches(bytes)).collect::<Vec<_>>();
    let _ = (is_name(bytes), is_json(bytes));
    assert_eq!(is_base64(bytes), BASE64_STANDARD.decode(bytes).is_ok(), "{bytes:?}");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    assert_eq!(is_text(bytes), text.chars().all(is_allowed), "{text:?}");
    // The grammar is checked by the scanner before: an integer of JSON.
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'))
    {
        assert_eq!(is_int32(bytes), text.parse::<i32>().is_ok(), "{text}");
    }
    // Addresses in brackets are not taken apart by us.
    if !text.contains('[') {
        assert_eq!(fits[Format::UriReference as usize], UriRef::parse(text).is_ok(), "{text:?}");
        assert_eq!(fits[Format::Uri as usize], Uri::parse(text).is_ok(), "{text:?}");
    }
    if fits[Format::Timestamp as usize] {
        assert!(text.len() >= 20 && text.is_ascii(), "{text}");
    }
    if fits[Format::MediaType as usize] {
        assert!(text.contains('/') && text.is_ascii(), "{text}");
    }
});

/// CloudEvents 1.0.2, "Type System", String.
fn is_allowed(char: char) -> bool {
    let is_noncharacter = matches!(char as u32, 0xfdd0..=0xfdef) || (char as u32) & 0xfffe == 0xfffe;
    !char.is_control() && !is_noncharacter
}
