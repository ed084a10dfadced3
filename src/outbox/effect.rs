//! What the machine asks of its owner, and tells it.

use super::segment::{Part, SegmentId};
use super::writes::Write;
use crate::base::error::Error;
use crate::base::ids::ExchangeId;
use crate::base::time::Millis;

/// What the owner is to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this, then say [`super::machine::Outbox::written`].
    Write(Write),
    /// Look for segments that are not known here, the oldest first, up to so many events and bytes; then say
    /// [`super::machine::Outbox::found`] for each and [`super::machine::Outbox::peeked`].
    Look {
        /// Events.
        events: u32,
        /// Bytes.
        bytes: u64,
    },
    /// Make one request of these events. `leaving`: the page may end before the answer.
    Send {
        /// Under which the answer comes back.
        exchange: ExchangeId,
        /// Which events, in order.
        batch: Vec<Part>,
        /// Whether it must get away at once.
        leaving: bool,
    },
    /// All events of a segment that are not gone are written.
    Accepted(SegmentId),
    /// The server has taken these.
    Delivered {
        /// Which.
        part: Part,
        /// With which status.
        status: u16,
        /// In how many requests the first of them was.
        tries: u32,
    },
    /// This one will never be delivered. A [`Write`] will dead_put it.
    Died {
        /// Its segment.
        segment: SegmentId,
        /// Its place there.
        index: u32,
        /// Why.
        error: Error,
        /// In how many requests it was.
        tries: u32,
    },
    /// A request has failed and will be tried again after a rest.
    Retry {
        /// Why.
        error: Error,
        /// How long the rest is.
        rest: Millis,
        /// How many requests have failed in a row.
        failures: u32,
    },
    /// The owner need not know the segment under this number any more.
    Forget(SegmentId, Outcome),
    /// Four fifths of the room are used, or no longer three fifths.
    Pressure(bool),
}

/// Why a segment is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All its events are gone, and the store has none of them any more.
    Removed,
    /// The store has it, and it is ours: it will be found again.
    Evicted,
    /// The store has it, and others will deliver it.
    Disowned,
}

/// How many segments of what size the owner found when it opened the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Events in segments.
    pub events: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Their bytes.
    pub dead_bytes: u64,
}
