//! GlassFlow pipelines, API `v1`: a pipeline transforms the events that are published to it. One request
//! publishes one event, and one request consumes one event. Events that the transformation failed at have a
//! queue of their own.
//!
//! - [`wire`]: URLs, and the positions of the fields in a consumed event.
//! - [`sink`]: when to request the next event.
//! - [`management`]: the requests and responses of the management API, for servers.
//!
//! Publishing has no machine here: each event is a call of [`crate::engine::calls`].

#[cfg(feature = "glassflow-management")]
pub mod management;
pub mod sink;
pub mod wire;
