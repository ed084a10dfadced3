//! The boundary to JavaScript: conversion only, no decisions. The only module that uses wasm-bindgen and
//! related crates.
//!
//! Every export is synchronous and short. On the hot path JavaScript and Rust share plain memory, the arena
//! and the table; JavaScript reads their addresses once.

// Modules without exports take the lint back.
#![allow(unreachable_pub, reason = "exports must be public")]

#[cfg(feature = "arena")]
mod arena;
#[cfg(feature = "calls")]
mod calls;
#[cfg(feature = "codecs")]
mod cloudevents;
#[cfg(any(feature = "calls", feature = "streams"))]
#[warn(unreachable_pub)]
mod config;
#[cfg(feature = "streams")]
#[warn(unreachable_pub)]
mod event_table;
#[cfg(feature = "events-protocol")]
mod events_protocol;
#[cfg(feature = "filters")]
mod filters;
#[cfg(feature = "glassflow")]
mod glassflow;
#[cfg(feature = "glassflow-management")]
mod management;
#[cfg(feature = "streams")]
mod marks;
#[cfg(feature = "publish")]
mod outbox;
#[cfg(feature = "publish")]
mod outbox_effects;
#[cfg(feature = "network")]
mod port;
#[cfg(feature = "streams")]
mod stream;
#[cfg(feature = "streams")]
mod stream_effects;

/// A third of the size of the allocator of the standard library, and constant in time.
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();
