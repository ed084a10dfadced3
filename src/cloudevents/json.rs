//! The JSON event format (CloudEvents JSON format 1.0.2), its batch format, and NDJSON.
//!
//! One pass: [`event`] scans the members and writes their positions into the table, then [`validate`] checks the
//! attributes against the version that the event names. Nothing is built.

mod event;
mod extension;
mod sequence;
mod validate;

pub use sequence::{Sequence, max_rows, scan_sequence};

use event::scan_event;

use super::layout::Layout;
use super::rejection::{Reason, Rejection};
use super::table::Table;
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::Scanner;
use crate::base::json::text::unescape;

type Scan<T = ()> = Result<T, Rejection>;

/// The memory that a scan needs beside the text.
pub struct ScanContext<'a> {
    /// Space for a string without its escapes; as long as the text.
    pub scratch: &'a mut [u8],
    /// Receives the result.
    pub table: &'a mut Table,
    /// The layout of the last event.
    pub layout: &'a mut Layout,
}

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

/// The content of a string from `start` to `end`, without its escapes. `None` if it has a lone surrogate.
#[inline(always)]
fn content<'a>(
    text: Padded<'a>,
    start: usize,
    end: usize,
    has_escapes: bool,
    scratch: &'a mut [u8],
) -> Option<&'a [u8]> {
    let raw = text.get(start, end);
    if has_escapes { unescape(raw, scratch) } else { Some(raw) }
}
