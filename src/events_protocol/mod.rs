//! The events protocol: a request event is sent, by convention with `POST /events`, and a response event comes back. The end of the response's
//! name says how it went, not the HTTP status: `get:user:name:response`, `get:user:name:badRequest`.
//!
//! | file | what it knows |
//! |---|---|
//! | `event` | the eight members of an event, and what each of them may be |
//! | `wire` | reading an event without building anything, and writing one |
//! | `server` | the two steps between a request and its answer |
//! | `client` | what an answer means; the asking is `engine::calls`, as in every room |
//!
//! Payloads are opaque here: they are checked to be JSON and never read. Bytes that came in are the bytes that go out.

pub mod client;
pub mod event;
pub mod server;
pub mod wire;
