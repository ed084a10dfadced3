//! What the targets share: one scan, and what a reader of the table may look at afterwards.

use eventferry::cloudevents::table::{Extension, Row, Table};
use eventferry::cloudevents::json::{ScanContext, scan_document};
use eventferry::cloudevents::layout::Layout;
use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};

/// Everything of an extension but its checksum: two units of the name, two of the value, the flags.
pub type Seen = (Row, Vec<[u32; 5]>);

/// Scans one event: what was found, or the number of the code.
pub fn scan(text: &[u8], layout: &mut Layout) -> Result<Seen, u32> {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let mut table = Table::new();
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout };
    match scan_document::<Swar>(Padded::new(&bytes).expect("padded"), &mut context) {
        0 => Ok((table.row, extensions(&table))),
        code => Err(code),
    }
}

/// In the order of the text. In the table an extension that is an attribute of the other version stands last when
/// it was scanned, and in its place when it was guessed; the order of attributes means nothing.
fn extensions(table: &Table) -> Vec<[u32; 5]> {
    let count = table.row.extension_count as usize;
    let words = |e: &Extension| [e.name_start, e.name_end, e.start, e.end, e.flags];
    let mut found: Vec<_> = table.extensions[..count].iter().map(words).collect();
    found.sort_unstable();
    found
}
