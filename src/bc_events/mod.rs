//! BriteEvents, as the Python package `bc_events` 0.4.0 speaks it. Sessions use the [`crate::outbox`]; only the
//! reading of responses, in [`wire`], is specific to BriteEvents.

pub mod wire;
