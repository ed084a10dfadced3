//! What all ports say alike: machines as JavaScript sees them. Facts go in, `drain` pushes what is to be done into a sink (`js/engine/effect-queue.ts`).
//!
//! The sink's methods only append to an array. They are declared with `catch`, because a throw through an
//! import without it would leave the machine locked; there is nothing to be done about such an error.

use crate::base::http::{Failure, Response};
use crate::base::time::{Millis, Moment};

pub(super) fn moment(now: f64) -> Moment {
    Moment::from_millis(now as u64)
}

/// A negative one is none.
pub(super) fn retry_after(after: f64) -> Option<Millis> {
    (after >= 0.0).then_some(Millis(after as u64))
}

/// 0 time is up, 1 given up, otherwise the network.
pub(super) fn failure(why: u8) -> Failure {
    [Failure::Timeout, Failure::Aborted].get(why as usize).copied().unwrap_or(Failure::Network)
}

/// An answer as `exchange` gave it.
pub(super) fn response(status: u16, after: f64, headers: String, body: Vec<u8>) -> Response {
    Response { status, retry_after: retry_after(after), headers, body }
}
