//! Several events in one text: the JSON batch format and NDJSON.

use super::context::{Scan, ScanContext};
use super::event::scan_event;
use crate::base::error::Code;
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::Scanner;
use crate::cloudevents::rejection::{Reason, Rejection, Target};
use crate::cloudevents::table::{Row, Table};

/// How the events of a sequence are separated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// The JSON batch format: an array.
    Batch,
    /// One event per line (NDJSON). Empty lines are skipped.
    Lines,
}

/// How a sequence is scanned.
#[derive(Clone, Copy, Debug)]
pub struct SequenceOptions {
    /// How the events are separated.
    pub sequence: Sequence,
    /// The extents of the events are in bytes, not in UTF-16 units.
    pub in_bytes: bool,
    /// The text is trusted: arrays and objects are skipped by their brackets, without a check of what is between them.
    pub is_trusted: bool,
    /// If an event is not valid, only the valid lines of NDJSON get a row. An event is then not longer than its line.
    pub skips_invalid: bool,
}

impl SequenceOptions {
    /// Those that JavaScript gives by a number: 0 is a batch, 1 NDJSON, 2 the valid lines of NDJSON.
    pub const fn from_number(lines: u32, in_bytes: bool) -> Self {
        let sequence = if lines == 0 { Sequence::Batch } else { Sequence::Lines };
        Self { sequence, in_bytes, is_trusted: false, skips_invalid: lines == 2 }
    }
}

/// Takes note of the events of a sequence.
pub trait EventSink {
    /// The sequence is scanned from the start again.
    fn restart(&mut self);

    /// The table has the next event, which starts at this byte of the text, ends at that one, and has so many UTF-16
    /// units.
    fn event(&mut self, table: &Table, start: usize, end: usize, units: usize) -> Result<(), Rejection>;
}

impl EventSink for () {
    #[inline(always)]
    fn restart(&mut self) {}

    #[inline(always)]
    fn event(&mut self, _: &Table, _: usize, _: usize, _: usize) -> Result<(), Rejection> {
        Ok(())
    }
}

/// Scans a sequence of events and writes a row for each. The extent of the event is in UTF-16 units or in bytes; all
/// other positions count from the start of the event. `rows` must have [`max_rows`] elements. The sink takes note of the
/// events. Returns 0 or the number of a code.
pub fn scan_sequence_into<B: Block, S: EventSink>(
    text: Padded<'_>,
    options: SequenceOptions,
    rows: &mut [Row],
    context: &mut ScanContext<'_>,
    sink: &mut S,
) -> u32 {
    let mut scanner = Scanner::<B>::new(text);
    if options.is_trusted {
        scanner.trust();
    }
    context.table.index = 0;
    let mut units_before = 0;
    match scan_rows(&mut scanner, options, rows, context, sink, &mut units_before) {
        Ok(()) => 0,
        Err(_)
            // The codecs stay without it: a third caller would make their scan of one event a tenth slower.
            if cfg!(feature = "filters")
                && options.skips_invalid
                && options.sequence == Sequence::Lines
                && scan_valid_lines::<B, S>(text, options, rows, context, sink).is_some() =>
        {
            0
        }
        Err(mut rejection) => {
            if let Target::Name { start, end, .. } = &mut rejection.target {
                *start += units_before as u32;
                *end += units_before as u32;
            }
            context.table.reject(rejection, units_before + scanner.units())
        }
    }
}

/// The most events that a text of `len` bytes can have: the shortest one, of version 0.3 with an empty source, has 53
/// bytes, and there is a separator between two events.
pub const fn max_rows(len: usize) -> usize {
    len / 54 + 1
}

fn scan_rows<B: Block, S: EventSink>(
    scanner: &mut Scanner<'_, B>,
    SequenceOptions { sequence, in_bytes, .. }: SequenceOptions,
    rows: &mut [Row],
    context: &mut ScanContext<'_>,
    sink: &mut S,
    units_before: &mut usize,
) -> Scan {
    scanner.skip_space();
    if sequence == Sequence::Batch {
        scanner.expect(b'[').map_err(|_| Rejection::invalid_batch(Reason::NotArray))?;
        scanner.skip_space();
        if scanner.eat(b']') {
            return if scanner.is_finished() {
                Ok(())
            } else {
                Err(Rejection::invalid_batch(Reason::Trailing))
            };
        }
    } else if scanner.pos() == scanner.text().len() {
        return Ok(());
    }
    let mut version = None;
    for row in rows {
        if scanner.peek() != b'{' {
            return Err(Rejection::invalid_batch(Reason::NotObject));
        }
        *units_before += scanner.restart_units();
        let start_byte = scanner.pos();
        let start = if in_bytes { start_byte } else { *units_before };
        scan_event(scanner, context).map_err(|rejection| match rejection {
            // A syntax error makes the batch invalid; an invalid event in a valid batch keeps its own code.
            Rejection { code: Code::InvalidEvent, reason, target: Target::Document } => {
                Rejection::invalid_batch(reason)
            }
            rejection => rejection,
        })?;
        let end = if in_bytes { scanner.pos() } else { *units_before + scanner.units() };
        row.copy_from(&context.table.row);
        row.set_extent(start as u32, end as u32);
        sink.event(context.table, start_byte, scanner.pos(), scanner.units())?;
        let version_found = context.table.row.version;
        if sequence == Sequence::Batch && *version.get_or_insert(version_found) != version_found {
            return Err(Rejection::invalid_batch(Reason::MixedVersions));
        }
        context.table.index += 1;
        match sequence {
            Sequence::Batch => {
                scanner.skip_space();
                if scanner.eat(b']') {
                    return if scanner.is_finished() {
                        Ok(())
                    } else {
                        Err(Rejection::invalid_batch(Reason::Trailing))
                    };
                }
                scanner.expect(b',').map_err(|_| Rejection::invalid_batch(Reason::NotJson))?;
                scanner.skip_space();
            }
            Sequence::Lines => {
                while matches!(scanner.peek(), b' ' | b'\t' | b'\r') {
                    scanner.eat(scanner.peek());
                }
                if scanner.pos() == scanner.text().len() {
                    return Ok(());
                }
                scanner.expect(b'\n').map_err(|_| Rejection::invalid_batch(Reason::Trailing))?;
                if scanner.is_finished() {
                    return Ok(());
                }
            }
        }
    }
    Err(Rejection::invalid_batch(Reason::NotJson))
}

/// Writes a row for each line that is a valid event. `None` if the scan takes too long: an event that is not valid may have been
/// read beyond its line, and together these may be no longer than the text.
#[inline(never)]
fn scan_valid_lines<B: Block, S: EventSink>(
    text: Padded<'_>,
    options: SequenceOptions,
    rows: &mut [Row],
    context: &mut ScanContext<'_>,
    sink: &mut S,
) -> Option<()> {
    sink.restart();
    context.table.index = 0;
    let mut scanner = Scanner::<B>::new(text);
    let (mut units_before, mut read_beyond) = (0, 0);
    loop {
        if options.is_trusted {
            scanner.trust();
        }
        scanner.skip_space();
        units_before += scanner.restart_units();
        let start = scanner.pos();
        if start == text.len() {
            return Some(());
        }
        let line_end = scanner.line_end();
        let is_event = scan_event(&mut scanner, context).is_ok();
        let (end, units) = (scanner.pos(), scanner.units());
        if is_event && end <= line_end {
            scanner.skip_space();
        }
        if is_event && scanner.pos() >= line_end && end <= line_end {
            let row = rows.get_mut(context.table.index as usize)?;
            row.copy_from(&context.table.row);
            if options.in_bytes {
                row.set_extent(start as u32, end as u32);
            } else {
                row.set_extent(units_before as u32, (units_before + units) as u32);
            }
            sink.event(context.table, start, end, units).ok()?;
            context.table.index += 1;
        } else {
            read_beyond += end.saturating_sub(line_end);
            if read_beyond > text.len() {
                return None;
            }
            units_before += units_of(text.get(start, line_end));
            scanner = Scanner::starting_at(text, line_end);
            scanner.restart_units();
        }
    }
}

/// The number of UTF-16 units of a text.
fn units_of(text: &[u8]) -> usize {
    text.iter()
        .map(|byte| match byte {
            0x80..=0xbf => 0,
            0xf0.. => 2,
            _ => 1,
        })
        .sum()
}
