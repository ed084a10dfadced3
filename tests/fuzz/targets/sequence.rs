//! Batches and NDJSON. Each row is that of a scan of the event alone; a batch is accepted if and only if each of its
//! events is accepted and all have the same version. The first byte chooses between batch and NDJSON.
#![no_main]

#[path = "../../native/rows.rs"]
mod rows;
#[path = "scan.rs"]
mod scan;

use eventferry::base::json::block::Swar;
use eventferry::cloudevents::json::{Sequence, SequenceOptions};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::Row;
use libfuzzer_sys::fuzz_target;
use rows::scan_rows;
use scan::scan;
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let sequence = if choice % 2 == 0 { Sequence::Batch } else { Sequence::Lines };
    let in_units = rows_of(text, sequence, false);
    let in_bytes = rows_of(text, sequence, true);
    assert_eq!(in_units.as_ref().map(Vec::len), in_bytes.as_ref().map(Vec::len));
    if let (Ok(in_units), Ok(in_bytes)) = (&in_units, &in_bytes) {
        let units: Vec<u16> = std::str::from_utf8(text).expect("UTF-8").encode_utf16().collect();
        for (by_unit, by_byte) in in_units.iter().zip(in_bytes) {
            let (start, end) = by_byte.extent();
            let part = &text[start as usize..end as usize];
            let (start, end) = by_unit.extent();
            let same = String::from_utf16(&units[start as usize..end as usize]).expect("whole characters");
            assert_eq!(part, same.as_bytes());
            let (alone, _) = scan(part, &mut Layout::new()).expect("valid in the sequence, so valid alone");
            assert_eq!(without_extent(by_unit), without_extent(&alone));
            assert_eq!(without_extent(by_byte), without_extent(&alone));
        }
    }
    if sequence == Sequence::Lines && in_units.is_err() {
        check_valid_lines(text);
    }
    let expected = match sequence {
        Sequence::Batch => expected_batch(text),
        Sequence::Lines => expected_lines(text),
    };
    if let Some(expected) = expected {
        assert_eq!(in_units.ok().map(|rows| rows.len()), expected, "{:?}", String::from_utf8_lossy(text));
    }
});

/// With invalid lines left out, the rows are those of the lines that are events alone.
fn check_valid_lines(text: &[u8]) {
    let mut at = 0;
    let lines = text.split(|byte| *byte == b'\n').map(|line| {
        let start = at;
        at += line.len() + 1;
        (start, line)
    });
    let alone = |(start, line): (usize, &[u8])| {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\t');
        let before = line.iter().take_while(|byte| is_space(byte)).count();
        let after = line.iter().rev().take_while(|byte| is_space(byte)).count();
        // Positions in a row count from the start of the event.
        let event = line.get(before..line.len() - after)?;
        let (mut row, _) = scan(event, &mut Layout::new()).ok()?;
        row.set_extent((start + before) as u32, (start + line.len() - after) as u32);
        Some(row)
    };
    let expected: Vec<Row> = lines.filter_map(alone).collect();
    let options = SequenceOptions::from_number(2, true);
    // It gives up when it has read far beyond many lines.
    let Ok(found) = rows_with(text, options) else { return };
    assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(text));
    if let Ok(text) = std::str::from_utf8(text) {
        let in_units =
            rows_with(text.as_bytes(), SequenceOptions::from_number(2, false)).expect("as in bytes");
        for (by_unit, by_byte) in in_units.iter().zip(&found) {
            let units = |byte: u32| text[..byte as usize].encode_utf16().count() as u32;
            let (start, end) = by_byte.extent();
            assert_eq!(by_unit.extent(), (units(start), units(end)));
        }
        assert_eq!(in_units.len(), found.len());
    }
}

/// The number of events of a batch, by `serde_json` and a scan of each event. The inner `None` is a rejection.
fn expected_batch(text: &[u8]) -> Option<Option<usize>> {
    let Ok(text) = std::str::from_utf8(text) else { return Some(None) };
    let parts: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(parts) => parts,
        Err(_) => return Some(None),
    };
    let mut version = None;
    for part in &parts {
        match scan(part.get().as_bytes(), &mut Layout::new()) {
            Ok((row, _)) if *version.get_or_insert(row.version) == row.version => {}
            _ => return Some(None),
        }
    }
    Some(Some(parts.len()))
}

/// The number of events of NDJSON. `None` if a line is not an event: an event may have line breaks.
fn expected_lines(text: &[u8]) -> Option<Option<usize>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut count = 0;
    for line in lines {
        scan(line, &mut Layout::new()).ok()?;
        count += 1;
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    // The form feed is white space in Rust, but not in JSON.
    let odd =
        text.split(|b| *b == b'\n').any(|line| line.trim_ascii().is_empty() && !line.iter().all(is_space));
    (!odd).then_some(Some(count))
}

fn without_extent(row: &Row) -> Row {
    let mut row = *row;
    row.set_extent(0, 0);
    row
}

fn rows_of(text: &[u8], sequence: Sequence, in_bytes: bool) -> Result<Vec<Row>, u32> {
    rows_with(text, SequenceOptions::from_number(u32::from(sequence == Sequence::Lines), in_bytes))
}

fn rows_with(text: &[u8], options: SequenceOptions) -> Result<Vec<Row>, u32> {
    match scan_rows::<Swar>(text, options, &mut ()) {
        (0, rows, _) => Ok(rows),
        (code, ..) => Err(code),
    }
}
