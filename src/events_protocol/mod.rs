//! The events protocol: a request event is sent, by convention with `POST /events`, and a response event comes back.
//! The last part of the response's name, not the HTTP status, gives the outcome: `get:user:name:response`,
//! `get:user:name:badRequest`.
//!
//! | file | contents |
//! |---|---|
//! | `event` | the eight members of an event and the type of each |
//! | `wire` | reads an event without building objects, and writes one |
//! | `server` | writes the response for each way in which a request can end |
//! | `client` | classifies responses; `engine::calls` makes the requests |
//!
//! Payloads are opaque here: they are checked to be JSON and never parsed. Bytes that come in are the bytes that go
//! out.

pub mod client;
pub mod event;
pub mod server;
pub mod wire;
