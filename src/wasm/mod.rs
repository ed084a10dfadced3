//! The boundary to JavaScript: conversion only, no decisions. The only module that uses wasm-bindgen and
//! related crates.
//!
//! Every export is synchronous and short. On the hot path JavaScript and Rust share plain memory, the arena
//! and the table; JavaScript reads their addresses once.

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
mod marks;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod outbox;
#[cfg(feature = "full")]
mod port;
#[cfg(feature = "full")]
#[allow(unreachable_pub, reason = "exports must be public")]
mod stream;
