//! The outbox: what it has accepted is delivered, or kept where somebody can look at it. Rooms put it under their own
//! sessions; it knows no protocol, and of an event only how many bytes it has.
//!
//! ```text
//!            roll back                     written                    taken
//!   STAGED ────────────> gone    COMMITTING ──────> READY ─────────────────────────> IN FLIGHT
//!      │       commit                ▲  │ not written  ▲  later, or the answer is lost   │ │ │
//!      └─────────────────────────────┘  └──> LOOSE ────┘<────────────────────────────────┘ │ │
//!                                     (sent from memory)        taken by the server        │ │
//!                                                   DELIVERED <────────────────────────────┘ │
//!                         replay        DEAD <───────────────────────────────────────────────┘
//!                       (to READY) <──────┘      never, or too old
//! ```
//!
//! Who does what:
//!
//! - [`session`]: stages and rolls back, cuts what is staged into segments, watches over the bytes.
//! - [`segment`]: the events that are stored together, and the state of each.
//! - `batch`: which events go into the next request.
//! - [`answer`]: what an answer means for the events of a request.
//! - [`counters`]: the counters, which always balance.
//! - [`writes`]: what the store has to be told, one write at a time.
//! - [`effect`]: what the machine asks for.
//! - [`machine`]: when to write, send, rest and look for more.
//!
//! Bodies never come here. The owner keeps them under the number of their segment, in memory or in a store, and
//! makes the requests; [`effect::Effect`] tells it which events belong in one.
//!
//! ## Invariants
//!
//! 1. An event counts as accepted when the store has said that it is written, or the server has taken it.
//! 2. Only what was delivered, has died or was purged is removed, and removed by name: segment and index.
//! 3. `accepted = delivered + dead + pending + purged` at every moment.
//! 4. One write at a time: what is decided while it runs goes into the next one, all or nothing.
//! 5. New events never cut a rest short. What the server asks for with `Retry-After` is a floor, up to an hour.
//! 6. Events with the same ordering key are under way one batch at a time, oldest first.
//! 7. A segment that keeps to itself ([`session::Grouping`]) shares no request, and what says how it travels is the same for all of it.
//! 8. No step takes longer because more is stored: only a window of it is known here.

pub mod answer;
mod batch;
pub mod counters;
pub mod effect;
pub mod machine;
pub mod segment;
pub mod session;
pub mod writes;

use crate::base::time::Millis;

/// How an outbox works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Events in one request at most, 1 or more. Default 250.
    pub batch_events: u32,
    /// Bytes of events in one request at most; a single event may be larger. Default 256 KiB.
    pub batch_bytes: u64,
    /// How long an event waits for others before a request starts that could take more. Default 0.
    pub linger: Millis,
    /// Requests under way at once. Default 1.
    pub flights: u32,
    /// Whether a request has at most one event of each ordering key. Needed where an answer can speak of single events, because a
    /// later one may be taken when an earlier one was not. Default false.
    pub one_per_ordering_key: bool,
    /// Bytes that may be staged and stored, dead letters included. Default 8 MiB.
    pub max_bytes: u64,
    /// What happens to an event that does not fit. Default: it is refused.
    pub overflow: Overflow,
    /// The longest first rest after a failure. Default 500.
    pub base: Millis,
    /// The longest rest. Default 30 000.
    pub max: Millis,
    /// How long an event is tried before it dies. Default 7 days.
    pub max_age: Millis,
    /// How long a request may take. Longer than the owner's own limit: this one only catches answers that never come,
    /// because the owner was put to sleep. Default 15 000.
    pub timeout: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_events: 250,
            batch_bytes: 256 * 1024,
            linger: Millis(0),
            flights: 1,
            one_per_ordering_key: false,
            max_bytes: 8 * 1024 * 1024,
            overflow: Overflow::Reject,
            base: Millis(500),
            max: Millis(30_000),
            max_age: Millis(7 * 24 * 60 * 60 * 1000),
            timeout: Millis(15_000),
        }
    }
}

/// What happens to an event that does not fit. Accepted events are never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It is refused.
    Reject,
    /// The oldest staged events of its session make room; if that is not enough, it is dropped.
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// It is staged beyond the limit, up to twice as much, and is committed when there is room.
    Wait,
}
