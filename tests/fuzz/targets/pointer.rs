//! A value by its JSON Pointer, against `serde_json`. The first line is the pointer, the rest the text. Text that is not
//! JSON must do no harm.
#![no_main]

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::base::json::pointer::find;
use eventferry::base::json::scan::{Kind, Span};
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (pointer, text) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let Ok(pointer) = std::str::from_utf8(pointer) else { return };
    if !is_pointer(pointer) {
        return;
    }
    let bytes = pad(text);
    let padded = Padded::new(&bytes).expect("padded");
    let mut scratch = vec![0; bytes.len()];
    let found = find::<Swar>(padded, 0, pointer.as_bytes(), &mut scratch);
    // The same value as the data of an event, which starts behind other text and ends before some.
    let event = pad(&[b"{\"data\":", text, b"}"].concat());
    let padded = Padded::new(&event).expect("padded");
    let in_event = find::<Swar>(padded, 8, pointer.as_bytes(), &mut scratch);
    let Ok(value) = serde_json::from_slice::<Json>(text) else { return };
    let found = found.expect("the text is JSON");
    let extent = |found: Option<(Kind, Span)>| found.map(|(kind, span)| (kind, span.start, span.end_unit));
    let in_event = in_event.expect("the text is JSON");
    assert_eq!(extent(in_event), extent(found).map(|(kind, start, end)| (kind, start + 8, end + 8)));
    let Some((kind, span)) = found else {
        assert_eq!(value.pointer(pointer), None);
        return;
    };
    let quotes = usize::from(kind == Kind::String);
    let part = &text[span.start - quotes..span.end + quotes];
    let units: Vec<u16> = std::str::from_utf8(text).expect("UTF-8").encode_utf16().collect();
    let same = String::from_utf16(&units[span.start_unit - quotes..span.end_unit + quotes]);
    assert_eq!(same.expect("whole characters").as_bytes(), part);
    assert_eq!(value.pointer(pointer), serde_json::from_slice(part).ok().as_ref());
});

/// Whether it is empty or starts with `/`, and has `~` only in `~0` and `~1`.
fn is_pointer(pointer: &str) -> bool {
    (pointer.is_empty() || pointer.starts_with('/'))
        && pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
}
