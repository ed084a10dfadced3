//! Who is told of the events of a sequence.

use crate::cloudevents::rejection::Rejection;
use crate::cloudevents::table::Table;

/// Takes note of the events of a sequence.
pub trait EventSink {
    /// The table has the next event, which starts at this byte of the text and ends at that one, and may be all ASCII.
    fn event(&mut self, table: &Table, start: usize, end: usize, is_ascii: bool) -> Result<(), Rejection>;
}

impl EventSink for () {
    #[inline(always)]
    fn event(&mut self, _: &Table, _: usize, _: usize, _: bool) -> Result<(), Rejection> {
        Ok(())
    }
}
