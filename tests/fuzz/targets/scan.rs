//! Shared by the targets: a scan of one event, and its result.

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::json::{ScanContext, scan_document};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::{Extension, Row, Table};

/// The row, and of each extension start and end of the name, start and end of the value, and the flags.
pub type Found = (Row, Vec<[u32; 5]>);

/// Scans one event. The error is the number of the code.
pub fn scan(text: &[u8], layout: &mut Layout) -> Result<Found, u32> {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let mut table = Table::new();
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout };
    match scan_document::<Swar>(Padded::new(&bytes).expect("padded"), &mut context) {
        0 => Ok((table.row, extensions(&table))),
        code => Err(code),
    }
}

/// The extensions, sorted, because their order has no meaning.
fn extensions(table: &Table) -> Vec<[u32; 5]> {
    let count = table.row.extension_count as usize;
    let words = |e: &Extension| [e.name_start, e.name_end, e.start, e.end, e.flags];
    let mut found: Vec<_> = table.extensions[..count].iter().map(words).collect();
    found.sort_unstable();
    found
}
