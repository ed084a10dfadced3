//! Scans a batch or lines. Native tests, tests in a browser and fuzz targets share it.

use eventferry::base::json::block::Block;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::json::{EventSink, ScanContext, SequenceOptions, max_rows, scan_sequence_into};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::{Row, Table};

/// The code, the rows of the events before an error, and the table.
pub(crate) fn scan_rows<B: Block>(
    text: &[u8],
    options: SequenceOptions,
    sink: &mut impl EventSink,
) -> (u32, Vec<Row>, Table) {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let (mut table, mut layout) = (Table::new(), Layout::new());
    let mut rows = vec![Row::EMPTY; max_rows(text.len())];
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout: &mut layout };
    let padded = Padded::new(&bytes).expect("padded");
    let code = scan_sequence_into::<B, _>(padded, options, &mut rows, &mut context, sink);
    rows.truncate(table.index as usize);
    (code, rows, table)
}
