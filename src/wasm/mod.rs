//! The boundary to JavaScript: conversion only, no decisions. The only module that uses wasm-bindgen and
//! related crates.
//!
//! Every export is synchronous and short. On the hot path JavaScript and Rust share plain memory, the arena
//! and the table; JavaScript reads their addresses once.

#[cfg(feature = "arena")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod arena;
#[cfg(feature = "calls")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod calls;
#[cfg(feature = "codecs")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod cloudevents;
#[cfg(any(feature = "calls", feature = "streams"))]
mod config;
#[cfg(feature = "events-protocol")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod events_protocol;
#[cfg(feature = "network")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod fetch;
#[cfg(feature = "glassflow")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod glassflow;
#[cfg(feature = "streams")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod marks;
#[cfg(feature = "publish")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod outbox;
#[cfg(feature = "network")]
mod port;
#[cfg(feature = "streams")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod stream;
