//! Batches and NDJSON that are skipped by their brackets: what the full check accepts has the same rows, and any text ends
//! where a second, simple implementation says. The first byte chooses between batch and NDJSON.
#![no_main]

#[path = "../../native/rows.rs"]
mod rows;

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::base::json::scan::Scanner;
use eventferry::cloudevents::json::{Sequence, SequenceOptions};
use eventferry::cloudevents::table::Row;
use libfuzzer_sys::fuzz_target;
use rows::scan_rows;

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let sequence = if choice % 2 == 0 { Sequence::Batch } else { Sequence::Lines };
    if let [b'{' | b'[', ..] = text {
        check_end(text);
    }
    for in_bytes in [false, true] {
        let full =
            rows_of(text, SequenceOptions { sequence, in_bytes, is_trusted: false, skips_invalid: false });
        let trusted =
            rows_of(text, SequenceOptions { sequence, in_bytes, is_trusted: true, skips_invalid: false });
        if let Some(full) = full {
            assert_eq!(Some(full), trusted, "{:?}", String::from_utf8_lossy(text));
        }
    }
});

fn rows_of(text: &[u8], options: SequenceOptions) -> Option<Vec<Row>> {
    let (code, rows, _) = scan_rows::<Swar>(text, options, &mut ());
    (code == 0).then_some(rows)
}

/// Text that starts with a bracket ends where a second, simple implementation says, whatever it is.
fn check_end(text: &[u8]) {
    let bytes = pad(text);
    let mut scanner = Scanner::<Swar>::new(Padded::new(&bytes).expect("padded"));
    scanner.trust();
    let found = scanner.value().ok().map(|(_, span)| (span.end, span.end_unit));
    assert_eq!(found, end_of(text), "{:?}", String::from_utf8_lossy(text));
}

/// The end of the array or object, in bytes and in UTF-16 units.
fn end_of(text: &[u8]) -> Option<(usize, usize)> {
    let (mut depth, mut is_string, mut is_escaped, mut units) = (0, false, false, 0usize);
    for (at, byte) in text.iter().enumerate() {
        units = units.wrapping_add(match byte {
            0x80..=0xbf => 0,
            0xf0.. => 2,
            _ => 1,
        });
        let was_escaped = is_escaped;
        // Also outside of strings, where no JSON has backslashes.
        is_escaped = *byte == b'\\' && !was_escaped;
        match byte {
            b'"' if !was_escaped => is_string = !is_string,
            b'{' | b'[' if !is_string => depth += 1,
            b'}' | b']' if !is_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((at + 1, units));
        }
    }
    None
}
