//! Native tests: pure functions against vectors, machines in a simulated world, and the structure of the
//! crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod attributes;
mod bc_events;
mod calls;
mod codes;
mod direction;
mod event_data;
mod events;
mod events_protocol;
mod filters;
mod glassflow;
mod glassflow_management;
mod headers;
mod json_texts;
mod outbox;
mod rows;
mod streams;
mod tables;
mod world;
