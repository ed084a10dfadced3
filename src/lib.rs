//! # eventferry
//!
//! The engine behind the npm package `eventferry`: publish and consume events from browsers and edge
//! runtimes. The public API is the TypeScript in `js/`; this crate holds the rules.
//!
//! ```text
//!   js/  public classes, promises, timers, fetch, storage
//!    |   sync calls: bytes, numbers, offsets        ^ outputs, drained after the call
//! ===v==============================================|===  wasm boundary
//!   wasm/         conversion only, no decisions
//!    |
//!   salesforce/ -> bayeux/   bc_events/   glassflow/   events_protocol/    rooms: wires of pure functions, and machines
//!    |
//!   cloudevents/  a room that others may use: its codecs, which are pure functions
//!   outbox/       what rooms share: accepted events are delivered, or kept
//!    |
//!   engine/       parts without protocol: calls, exchanges, back-off, timers, verdicts, rng
//!    |
//!   words         effect http time wall json/ error secret ids: plain data, no I/O
//! ```
//!
//! Arrows point down only; `tests/native/direction.rs` reads the imports and fails on a breach.
//!
//! ## The contract of a machine
//!
//! The core does nothing, it says what to do. A machine has no clock, randomness, network or storage:
//! they come in as [`effect::Input`] and go out as [`effect::Output`]. After every command or input the
//! owner calls [`effect::Machine::poll`] until it answers [`effect::Output::Wait`].
//!
//! 1. After `Wait`, `poll` says `Wait` again until the next input or command.
//! 2. Every operation that a command returned settles exactly once.
//! 3. An unknown exchange id is ignored, an earlier `now` never panics.
//! 4. Memory is bounded by configured limits, an idle `poll` is O(1).
//! 5. Nothing that a peer sends can make a machine panic.
//!
//! ## One whole exchange without I/O
//!
//! ```
//! use eventferry::engine::machine::{Input, Machine, Output};
//! use eventferry::engine::calls::{Calls, Options, Settled};
//! use eventferry::engine::classify;
//! use eventferry::base::http::{Request, Response};
//! use eventferry::base::time::Moment;
//!
//! let mut calls = Calls::new(Options::default(), classify::classify_response, 42);
//! let now = Moment::from_millis(0);
//! let request = Request::post("https://example.com/events", "content-type: text/plain", b"hello".to_vec());
//! let op = calls.send(now, request);
//!
//! // What shall be done? Exactly one request, then wait.
//! let Output::Send(exchange, request) = calls.poll() else { unreachable!() };
//! assert_eq!(request.body(), b"hello");
//! assert!(matches!(calls.poll(), Output::Wait(_)));
//!
//! // The world answers.
//! calls.handle(now, Input::Exchange(exchange, Ok(Response::new(202))));
//! let Output::Event(Settled { op: settled, answer, .. }) = calls.poll() else { unreachable!() };
//! assert_eq!(settled, op);
//! assert_eq!(answer.map(|answer| answer.status), Some(202));
//! ```
//!
//! ## Two modules from one crate
//!
//! Without the feature `full` the crate builds the small module of `eventferry/cloudevents`: event model
//! and codecs, no allocator and no networking in it. With `full` it is a superset with the clients.

pub mod base;
pub mod bayeux;
pub mod bc_events;
pub mod cloudevents;
pub mod engine;
pub mod events_protocol;
pub mod glassflow;
pub mod outbox;
pub mod salesforce;

#[cfg(target_arch = "wasm32")]
mod wasm;
