//! NDJSON of which lines that are not valid events are left out.
//!
//! ```text
//!   rows   [ valid events, in their order ->        <- lines that are not valid, from the last row on ]
//! ```

use super::context::{Scan, ScanContext};
use super::event::scan_event;
use super::sink::EventSink;
use crate::base::json::block::Block;
use crate::base::json::scan::Scanner;
use crate::cloudevents::rejection::{Reason, Rejection};
use crate::cloudevents::table::Row;
#[cfg(doc)]
use crate::cloudevents::table::Table;

/// Scans all lines. Leaves the number of those that are not valid in [`Table::at`], and that of rows in
/// [`Table::name_end`].
pub(super) fn scan_each_line<B: Block, S: EventSink>(
    scanner: &mut Scanner<'_, B>,
    in_bytes: bool,
    rows: &mut [Row],
    context: &mut ScanContext<'_>,
    sink: &mut S,
) -> Scan {
    let (mut valid, mut invalid, mut units_before) = (0, 0, 0);
    loop {
        scanner.skip_space();
        units_before += scanner.restart_units();
        let start = *scanner;
        let first = if in_bytes { start.pos() } else { units_before };
        let position = |scanner: &Scanner<'_, B>| {
            (if in_bytes { scanner.pos() } else { units_before + scanner.units() }) as u32
        };
        if start.pos() == start.text().len() {
            context.table.index = valid as u32;
            context.table.at = invalid as u32;
            context.table.name_end = rows.len() as u32;
            return Ok(());
        }
        // Lines may be shorter than the shortest event.
        if valid + invalid >= rows.len() {
            return Err(Rejection::invalid_batch(Reason::NotJson));
        }
        let result = scan_event(scanner, context);
        let (end, end_byte) = (position(scanner), scanner.pos());
        let is_ascii = scanner.units() == end_byte - start.pos();
        match result.and_then(|()| end_line(scanner)) {
            Ok(()) => {
                sink.event(context.table, start.pos(), end_byte, is_ascii)?;
                if let Some(row) = rows.get_mut(valid) {
                    *row = context.table.row;
                    row.set_extent(first as u32, end);
                }
                valid += 1;
            }
            Err(rejection) => {
                let code = context.table.reject(rejection, scanner.units());
                *scanner = start;
                scanner.skip_line();
                let last = rows.len() - 1;
                if let Some(row) = rows.get_mut(last - invalid) {
                    *row = Row::of_rejection(code, context.table, (valid + invalid) as u32);
                    row.set_extent(first as u32, position(scanner));
                }
                invalid += 1;
            }
        }
    }
}

/// Moves to the end of a line on which nothing else may follow.
fn end_line<B: Block>(scanner: &mut Scanner<'_, B>) -> Scan {
    while matches!(scanner.peek(), b' ' | b'\t' | b'\r') {
        scanner.eat(scanner.peek());
    }
    let is_end = scanner.peek() == b'\n' || scanner.pos() == scanner.text().len();
    if is_end { Ok(()) } else { Err(Rejection::invalid_event(Reason::Trailing)) }
}
