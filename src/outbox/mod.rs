//! The outbox: accepted events are delivered, or kept as dead letters. Systems put it under their sessions.
//! It knows no protocol, and of an event only its size, its ordering key and its grouping.
//!
//! ```text
//!            roll back                     written                      in a batch
//!   STAGED ────────────> gone    COMMITTING ──────> READY ─────────────────────────> IN FLIGHT
//!      │       commit                ▲  │ failed       ▲  retry, or the response is lost   │ │ │
//!      └─────────────────────────────┘  └──> FAILED ───┘<──────────────────────────────────┘ │ │
//!                                     (sent from memory)       accepted by the server        │ │
//!                                                   DELIVERED <──────────────────────────────┘ │
//!                         replay        DEAD <─────────────────────────────────────────────────┘
//!                       (to READY) <──────┘      refused by the server, or expired
//! ```
//!
//! Modules:
//!
//! - [`session`]: stages and rolls back events, cuts them into segments, and enforces the byte limit.
//! - [`segment`]: events that are stored together, and the state of each.
//! - `capacity`: how many bytes are staged and held.
//! - `store_sync`: what is known of the store.
//! - `delivery`: which batches wait, and whether requests may be sent.
//! - `batch`: which events go into the next request.
//! - `breaker`: the delay after failures.
//! - `bisection`: what happens to the rest of a batch of which only refused events show up.
//! - [`answer`]: what a response means for the events of a request.
//! - [`expiry`]: events that expire by an attribute of their own.
//! - [`counters`]: the counters, which always balance.
//! - [`writes`]: the changes for the store, one write at a time.
//! - [`progress`]: what the store remembers of requests, for a program that comes later.
//! - [`effect`]: what the machine asks its owner to do.
//! - [`machine`]: when to write, to send, to back off, and to read from the store.
//!
//! Bodies never come here. The owner keeps them by segment, in memory or in the store, and makes the
//! requests; [`effect::Effect`] tells it which events belong in each.
//!
//! ## Invariants
//!
//! 1. An event is accepted once the store has confirmed it or the server has accepted it.
//! 2. Only events that are delivered, dead or purged are removed, and always by segment and index.
//! 3. `accepted = delivered + dead + pending + purged` at every moment.
//! 4. One write at a time. Decisions made meanwhile go into the next write, which is applied all or nothing.
//! 5. New events never shorten a backoff delay. `Retry-After` is a lower bound, up to an hour.
//! 6. Events with the same ordering key are in flight one batch at a time, the oldest first.
//! 7. Segments with [`session::Grouping::Separate`] share no request with others.
//! 8. No step takes longer because more is stored: only a window of the stored segments is known here.

pub mod answer;
mod batch;
mod bisection;
mod breaker;
mod capacity;
pub mod counters;
mod delivery;
pub mod effect;
pub mod expiry;
pub mod machine;
pub mod progress;
pub mod segment;
pub mod session;
mod store_sync;
pub mod writes;

use crate::base::time::Millis;

/// Options of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Events in one request at most, 1 or more. Default 250.
    pub batch_events: u32,
    /// Bytes of events in one request at most; a single event may be larger. Default 256 KiB.
    pub batch_bytes: u64,
    /// How long an event waits for others before a request starts that has capacity for more. Default 0.
    pub linger: Millis,
    /// Simultaneous requests. Default 1.
    pub concurrency: u32,
    /// Whether a request has at most one event of each ordering key. Needed where a response has a status for
    /// each event, because a later event may be accepted while an earlier one is refused. Default false.
    pub one_per_ordering_key: bool,
    /// Bytes that may be staged and stored, dead letters included. Default 8 MiB.
    pub max_bytes: u64,
    /// What happens to an event that does not fit. Default: it is refused.
    pub overflow: Overflow,
    /// Upper limit of the first delay after a failure. Default 500.
    pub base_delay: Millis,
    /// Upper limit of all delays. Default 30 000.
    pub max_delay: Millis,
    /// How long an event is retried before it becomes a dead letter. Default 7 days.
    pub max_age: Millis,
    /// In how many failed requests an event may be before it becomes a dead letter. Default: any number.
    pub max_attempts: u32,
    /// How long a request may take. Longer than the owner's own limit, because it only catches responses that
    /// never come, for example because the owner was suspended. Default 15 000.
    pub timeout: Millis,
    /// How long a request counts as in flight after the program that sent it has ended. Until then no other one
    /// sends its events. 0: requests are not recorded in the store. Default 0.
    pub in_flight: Millis,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_events: 250,
            batch_bytes: 256 * 1024,
            linger: Millis(0),
            concurrency: 1,
            one_per_ordering_key: false,
            max_bytes: 8 * 1024 * 1024,
            overflow: Overflow::Reject,
            base_delay: Millis(500),
            max_delay: Millis(30_000),
            max_age: Millis(7 * 24 * 60 * 60 * 1000),
            max_attempts: u32::MAX,
            timeout: Millis(15_000),
            in_flight: Millis(0),
        }
    }
}

/// What happens to an event that does not fit. Accepted events are never dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It is refused.
    Reject,
    /// The oldest staged events of its session are dropped for it. If that is not enough, it is dropped.
    DropOldest,
    /// It is dropped.
    DropNewest,
    /// It is staged, up to twice the limit, and written when there is free space.
    Wait,
}
