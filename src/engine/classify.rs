//! What an answer means for the one who sent events: HTTP web hook specification 1.0.2, section 2.2, and
//! RFC 9110 section 15 where it is silent.

use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseClass {
    /// Delivered.
    Done,
    /// Not now: the error, in case nobody tries again, and how long the server asked to wait.
    Retry(Error, Option<Millis>),
    /// Not ever.
    Fail(Error),
}

/// Judges the end of an exchange.
pub fn classify_response(outcome: &Result<Response, Failure>) -> ResponseClass {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(Failure::Timeout) => return ResponseClass::Retry(Error::new(Code::Timeout), None),
        Err(Failure::Network) => return ResponseClass::Retry(Error::new(Code::Network), None),
        Err(Failure::Aborted) => return ResponseClass::Fail(Error::new(Code::Aborted)),
    };
    let code = match answer.status {
        200..=299 => return ResponseClass::Done,
        // 0 is a redirect that a browser hides from us.
        0 | 300..=399 => Code::Redirected,
        401 | 403 | 407 => Code::Unauthorized,
        410 => Code::Gone,
        413 => Code::TooLarge,
        415 => Code::UnsupportedFormat,
        429 => Code::RateLimited,
        408 | 425 | 500 | 502..=504 | 507 | 509 | 520..=599 => Code::Unavailable,
        _ => Code::Rejected,
    };
    let error = Error::from_answer(code, answer.status, &answer.body);
    if code.is_retryable() {
        ResponseClass::Retry(error, answer.retry_after)
    } else {
        ResponseClass::Fail(error)
    }
}
