//! GlassFlow pipelines: events go in with one request each, come out transformed with one request each, and what the
//! transformation could not take comes out of a queue of its own.
//!
//! - [`wire`]: addresses, and where the parts of a consumed event stand in the answer.
//! - [`sink`]: when to ask for the next event.
//!
//! Publishing needs no machine of its own: each event is a call of [`crate::engine::calls`].

pub mod sink;
pub mod wire;
