//! The parts that machines are made of. They know no protocol.

pub mod backoff;
pub mod calls;
pub mod classify;
pub mod exchange;
pub mod inbox;
pub mod jitter;
pub mod machine;
pub mod ordered_map;
pub mod queue;
pub mod timers;
