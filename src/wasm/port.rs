//! Conversions that all ports share. A port is a machine as JavaScript sees it: its methods take inputs, and
//! pass the outputs to an effect queue (`js/engine/effect-queue.ts`) before they return, because another call
//! would cost as much as the input.
//!
//! The methods of an effect queue only append to an array. They are declared with `catch`, because an
//! exception through an import without it would leave the machine locked. Such an error is ignored.

use crate::base::http::{Failure, Response};
use crate::base::time::{Deadline, Millis, Moment};
use crate::boundary::numbers::FAILURES;

pub(super) fn moment(now: f64) -> Moment {
    Moment::from_millis(now as u64)
}

/// When the machine has to be called next; infinite if time alone changes nothing.
pub(super) fn time_of(deadline: Deadline) -> f64 {
    match deadline {
        Deadline::At(at) => at.as_millis() as f64,
        Deadline::Never => f64::INFINITY,
    }
}

/// A negative value means that there is no delay.
pub(super) fn retry_after(millis: f64) -> Option<Millis> {
    (millis >= 0.0).then_some(Millis(millis as u64))
}

/// By its place in [`FAILURES`].
pub(super) fn failure(reason: f64) -> Failure {
    FAILURES.get(reason as usize).copied().unwrap_or(Failure::Network)
}

/// A response from the arguments of a port's `response`.
pub(super) fn response(status: u16, retry_after_ms: f64, headers: String, body: Vec<u8>) -> Response {
    Response { status, retry_after: retry_after(retry_after_ms), headers, body }
}
