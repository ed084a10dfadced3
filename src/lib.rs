//! # eventferry
//!
//! The engine of the npm package `eventferry`: publish and consume events from browsers and edge runtimes.
//! The public API is the TypeScript in `js/`. This crate has the codecs and the state machines; TypeScript
//! has promises, timers, `fetch`, storage and the callbacks of the user.
//!
//! ```text
//!   js/               public classes, promises, timers, fetch, storage
//!    |  synchronous calls: bytes, numbers, offsets     ^ outputs, drained after the call
//! ===v=================================================|===  wasm boundary
//!   wasm/             conversion only, no decisions
//!    |
//!   salesforce/ -> bayeux/   bc_events/   glassflow/   events_protocol/    systems: wire functions and machines
//!    |
//!   cloudevents/      codecs, pure functions that the other systems may use
//!   outbox/           accepted events are delivered or kept
//!    |
//!   engine/           machine contract, calls, exchanges, backoff, timers, response classes, random numbers
//!    |
//!   base/             time, http, error, secret, ids, json: plain data, no I/O
//! ```
//!
//! Imports point down only, and modules do not import each other in a circle: `tests/native/direction.rs`
//! reads the imports and fails otherwise.
//!
//! ## The contract of a machine
//!
//! A machine decides what to do and does no I/O. Commands, time and responses come in as
//! [`Input`](engine::machine::Machine::Input); requests, events and stored values go out as
//! [`Output`](engine::machine::Machine::Output). After every command or input the owner calls
//! [`poll`](engine::machine::Machine::poll) until the answer is [`Wait`](engine::machine::Poll::Wait).
//!
//! 1. After `Wait`, `poll` returns `Wait` until the next input or command.
//! 2. Every operation that a command returned settles exactly once.
//! 3. An unknown exchange id is ignored, and an earlier `now` never panics.
//! 4. Memory is bounded by configured limits, and an idle `poll` is O(1).
//! 5. Input from a peer never panics.
//!
//! ## One exchange without I/O
//!
//! ```
//! use eventferry::engine::machine::{Input, Machine, Output, Poll};
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
//! // The machine sends one request, then waits.
//! let Poll::Do(Output::Send(exchange, request)) = calls.poll() else { unreachable!() };
//! assert_eq!(request.body(), b"hello");
//! assert!(matches!(calls.poll(), Poll::Wait(_)));
//!
//! // The response arrives.
//! calls.handle(now, Input::Exchange(exchange, Ok(Response::new(202))));
//! let Poll::Do(Output::Event(Settled { op: settled, response, .. })) = calls.poll() else { unreachable!() };
//! assert_eq!(settled, op);
//! assert_eq!(response.map(|response| response.status), Some(202));
//! ```
//!
//! ## Several modules from one crate
//!
//! The crate builds one WebAssembly module for each system, so that a page downloads only what it uses. A Cargo feature
//! of the same name chooses the exports of `src/wasm` that a module has; the linker removes what they do not reach.
//! Each module has an instance, a memory and a reset of its own: a trap in one leaves the others running.
//!
//! To add a module `example`:
//!
//! 1. `Cargo.toml`: a feature `example`, with `arena` if it reads text, `calls` if it makes calls.
//! 2. `src/wasm/mod.rs`: its exports, `#[cfg(feature = "example")]`.
//! 3. `js/build/modules.mjs`: a row; then `npm run fix` writes the loaders and the `imports` of `package.json`.
//! 4. `js/engine/generated.d.ts`: the types of its glue.
//! 5. The class that needs it imports `js/engine/modules/example.ts`: `new Pump({ module: example, … })`, or
//!    `example.call(() => example.glue.…)`.
//!
//! No list of entry points names modules: `js/build/entries.mjs` finds out which ones an export reaches.

pub mod base;
pub mod bayeux;
pub mod bc_events;
pub mod boundary;
pub mod cloudevents;
pub mod engine;
pub mod events_protocol;
pub mod glassflow;
pub mod outbox;
pub mod salesforce;

#[cfg(target_arch = "wasm32")]
mod wasm;
