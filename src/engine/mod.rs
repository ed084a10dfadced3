//! Parts that machines are made of. None of them knows a protocol.

pub mod backoff;
pub mod calls;
pub mod exchange;
pub mod noise;
pub mod sorted;
pub mod timers;
pub mod verdict;
