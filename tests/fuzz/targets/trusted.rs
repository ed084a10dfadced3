//! Batches and NDJSON that are skipped by their brackets: what the full check accepts has the same rows, and other text does no
//! harm. The first byte chooses between batch and NDJSON.
#![no_main]

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::json::{ScanContext, Sequence, SequenceOptions, max_rows, scan_sequence_into};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::{Row, Table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, text)) = input.split_first() else { return };
    let sequence = if choice % 2 == 0 { Sequence::Batch } else { Sequence::Lines };
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
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let (mut table, mut layout) = (Table::new(), Layout::new());
    let mut rows = vec![Row::EMPTY; max_rows(text.len())];
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout: &mut layout };
    let padded = Padded::new(&bytes).expect("padded");
    let code = scan_sequence_into::<Swar, _>(padded, options, &mut rows, &mut context, &mut ());
    rows.truncate(table.index as usize);
    (code == 0).then_some(rows)
}
