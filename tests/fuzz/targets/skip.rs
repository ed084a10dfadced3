//! Three ways through the same text. A pointer comes first, and the first byte 0xff, which UTF-8 does not have, separates it
//! from the text.
//!
//! Blocks of sixteen bytes give the same as one byte after the other; JSON is skipped by its brackets to where the whole
//! grammar ends; a JSON Pointer finds the value that `serde_json` finds.
#![no_main]

use eventferry::base::json::block::{Block, Structure, Swar, is_string_stop, structure_by_byte};
use eventferry::base::json::padded::{Padded, pad};
use eventferry::base::json::pointer::find;
use eventferry::base::json::scan::{Kind, Scanner, Span};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The reference: each byte by itself.
struct Bytewise;

impl Block for Bytewise {
    fn string_stops(bytes: &[u8; 16]) -> u32 {
        (0..16).fold(0, |mask, at| mask | u32::from(is_string_stop(bytes[at])) << at)
    }

    fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        (0..16).fold(0, |mask, at| mask | u32::from(a[at] == b[at]) << at)
    }

    fn structure(bytes: &[u8; 64]) -> Structure {
        structure_by_byte(bytes)
    }
}

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0xff).unwrap_or(0);
    let (pointer, text) = input.split_at(end);
    let text = if end == 0 { text } else { &text[1..] };
    let bytes = pad(text);
    let padded = Padded::new(&bytes).expect("padded");
    let full = value::<Swar>(padded, false);
    assert_eq!(full, value::<Bytewise>(padded, false));
    let skipped = value::<Swar>(padded, true);
    assert_eq!(skipped, value::<Bytewise>(padded, true));
    let Some(found) = full else { return };
    assert_eq!(skipped, Some(found), "{:?}", String::from_utf8_lossy(text));
    let (kind, start, end, ..) = found;
    let quotes = usize::from(kind == Kind::String as u8);
    // It has no lone surrogates, and fewer levels.
    let Ok(json) = serde_json::from_slice::<Value>(&text[start - quotes..end + quotes]) else { return };
    if let Ok(pointer) = std::str::from_utf8(pointer)
        && is_pointer(pointer)
    {
        compare(padded, pointer, json.pointer(pointer));
    }
    let mut left = 64;
    walk(padded, &json, &mut String::new(), &mut left);
});

type Found = (u8, usize, usize, usize, usize, bool);

/// The value at the start of the text: its kind, its extent in bytes and in units, and whether it is an integer.
fn value<B: Block>(text: Padded<'_>, is_trusted: bool) -> Option<Found> {
    let mut scanner = Scanner::<B>::new(text);
    if is_trusted {
        scanner.trust();
    }
    scanner.skip_space();
    let (kind, span) = scanner.value().ok()?;
    let Span { start, end, start_unit, end_unit, is_plain, .. } = span;
    Some((kind as u8, start, end, start_unit, end_unit, is_plain))
}

fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes
}

/// Compares the paths of a document, as many as are left.
fn walk(text: Padded<'_>, json: &Value, path: &mut String, left: &mut usize) {
    let Value::Object(members) = json else {
        if let Value::Array(items) = json {
            for (index, item) in items.iter().enumerate() {
                step(text, item, path, &index.to_string(), left);
            }
        }
        return;
    };
    for (name, value) in members {
        step(text, value, path, &name.replace('~', "~0").replace('/', "~1"), left);
    }
}

fn step(text: Padded<'_>, value: &Value, path: &mut String, token: &str, left: &mut usize) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    let len = path.len();
    path.push('/');
    path.push_str(token);
    compare(text, path, Some(value));
    walk(text, value, path, left);
    path.truncate(len);
}

fn compare(text: Padded<'_>, pointer: &str, expected: Option<&Value>) {
    let mut scratch = vec![0; text.len()];
    let found = find::<Swar>(text, 0, pointer.as_bytes(), &mut scratch).expect("JSON");
    let found = found.map(|(kind, span)| {
        let quotes = usize::from(kind == Kind::String);
        let raw = text.get(span.start - quotes, span.end + quotes);
        serde_json::from_slice::<Value>(raw).expect("a part of what was read before")
    });
    assert_eq!(found.as_ref(), expected, "{pointer}");
}
