//! The boundary: conversion only, no decisions. The only part that names wasm-bindgen and its relatives.
//!
//! Every export is synchronous and short. What JavaScript and Rust share on the hot path is plain memory: the
//! arena and the table, whose addresses JavaScript asks for once.

mod arena;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod calls;
#[allow(unreachable_pub, reason = "exports must be public")]
mod cloudevents;
#[cfg(feature = "full")]
mod config;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod events_protocol;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod fetch;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod glassflow;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod outbox;
#[cfg(feature = "full")]
mod port;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod stream;
