//! What the machine asks its owner to do.

use super::segment::{EventRange, SegmentId};
use super::writes::Write;
use crate::base::error::Error;
use crate::base::ids::ExchangeId;
use crate::base::time::Millis;

/// An instruction or a notice for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this, then call [`super::machine::Outbox::store_written`].
    Write(Write),
    /// Read segments that are not known here, the oldest first, up to these limits. Then call
    /// [`super::machine::Outbox::segment_found`] for each, and [`super::machine::Outbox::store_peeked`].
    Peek {
        /// Events.
        events: u32,
        /// Bytes.
        bytes: u64,
    },
    /// Make one request with these events.
    Send {
        /// Identifies the response.
        exchange: ExchangeId,
        /// The events, in order.
        batch: Vec<EventRange>,
        /// Whether the page may be closed before the response arrives.
        is_page_hidden: bool,
    },
    /// All events of a segment that are not settled are written.
    Accepted(SegmentId),
    /// The server accepted these events.
    Delivered {
        /// The events.
        events: EventRange,
        /// HTTP status.
        status: u16,
        /// In how many requests the first of them was.
        attempts: u32,
    },
    /// This event will never be delivered. A [`Write`] will store it as a dead letter.
    Dead {
        /// Its segment.
        segment: SegmentId,
        /// Its index in the segment.
        index: u32,
        /// Why.
        error: Error,
        /// In how many requests it was.
        attempts: u32,
        /// Whether a request with this event alone was refused, or its delivery was given up otherwise. False
        /// for the rest of a batch of which all events were refused that were sent alone.
        is_alone: bool,
    },
    /// A request failed and will be repeated.
    Retry {
        /// Why it failed.
        error: Error,
        /// Time until the next request.
        delay: Millis,
        /// How many requests have failed in a row.
        failures: u32,
        /// Whether it seems that an extension of the browser blocks all requests.
        is_blocked: bool,
    },
    /// The machine does not know the segment any more.
    Forget(SegmentId, Outcome),
    /// The outbox is 80 % full, or less than 60 % again.
    Pressure(bool),
}

/// Why a segment is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All its events are settled, and it is removed from the store.
    Removed,
    /// It is in the store, was committed here, and will be found again.
    Evicted,
    /// It is in the store, and another tab will deliver it.
    Disowned,
}

/// What the store contains when it is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Events in segments.
    pub events: u64,
    /// Bytes of these events.
    pub bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Bytes of the dead letters.
    pub dead_bytes: u64,
}
