//! Native tests: the rules against vectors, the machines in a simulated world, and the shape of the house.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

mod attributes;
mod bc_events;
mod calls;
mod codes;
mod direction;
mod events;
mod events_protocol;
mod glassflow;
mod headers;
mod outbox;
mod streams;
mod world;
