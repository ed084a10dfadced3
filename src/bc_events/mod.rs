//! BriteEvents, as the Python package `bc_events` 0.4.0 speaks it. Sessions stand on the [`crate::outbox`]; what is special is in [`wire`].

pub mod wire;
