//! The JSON event format (CloudEvents JSON format 1.0.2), its batch format, and NDJSON.
//!
//! One pass: `event` scans the members and writes their positions into the table, then `validate` checks the
//! attributes against the version that the event names. Nothing is built.

mod context;
mod event;
mod extension;
mod sequence;
mod validate;

pub use context::ScanContext;
pub use sequence::{EventSink, Sequence, SequenceOptions, max_rows, scan_sequence_into};

use event::scan_event;

use super::rejection::{Reason, Rejection};
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::Scanner;

/// Scans text that is one event and nothing else. Returns 0 or the number of a code.
pub fn scan_document<B: Block>(text: Padded<'_>, context: &mut ScanContext<'_>) -> u32 {
    let mut scanner = Scanner::<B>::new(text);
    scanner.skip_space();
    let result = scan_event(&mut scanner, context);
    let table = &mut *context.table;
    match result {
        Ok(()) if scanner.is_finished() => 0,
        Ok(()) => table.reject(Rejection::invalid_event(Reason::Trailing), scanner.units()),
        Err(rejection) => table.reject(rejection, scanner.units()),
    }
}

/// Whether the text is exactly one JSON value, with nothing but white space around it.
pub fn is_json_text<B: Block>(text: Padded<'_>) -> bool {
    let mut scanner = Scanner::<B>::new(text);
    scanner.skip_space();
    scanner.value().is_ok() && scanner.is_finished()
}
