//! Parts that machines are made of. None of them knows a protocol.

pub mod backoff;
pub mod calls;
pub mod classify;
pub mod exchange;
pub mod jitter;
pub mod machine;
pub mod ordered_map;
pub mod timers;
