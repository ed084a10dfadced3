//! What a response means for the sender of events: HTTP web hook specification 1.0.2, section 2.2, and
//! RFC 9110 section 15 where that says nothing.

use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;

/// What the end of an exchange means for the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseClass {
    /// The request was delivered.
    Done,
    /// A later attempt may succeed: the error, in case no attempt follows, and the delay from `Retry-After`.
    Retry(Error, Option<Millis>),
    /// No attempt can succeed.
    Fail(Error),
}

/// Classifies the end of an exchange by its HTTP status.
pub fn classify_response(outcome: &Result<Response, Failure>) -> ResponseClass {
    match outcome {
        Ok(response) => class_of(response),
        Err(Failure::Aborted) => ResponseClass::Fail(Error::new(Code::Aborted)),
        Err(failure) => {
            let code = if *failure == Failure::Timeout { Code::Timeout } else { Code::Network };
            let detail = if *failure == Failure::Blocked { "offline, CORS or an extension" } else { "" };
            ResponseClass::Retry(Error { detail: detail.to_owned(), ..Error::new(code) }, None)
        }
    }
}

/// Classifies a response by its HTTP status.
pub fn class_of(response: &Response) -> ResponseClass {
    let code = match response.status {
        200..=299 => return ResponseClass::Done,
        // 0 is a redirect that the browser hides.
        0 | 300..=399 => Code::Redirected,
        401 | 403 | 407 => Code::Unauthorized,
        410 => Code::Gone,
        413 => Code::TooLarge,
        415 => Code::UnsupportedFormat,
        429 => Code::RateLimited,
        408 | 425 | 500 | 502..=504 | 507 | 509 | 520..=599 => Code::Unavailable,
        _ => Code::Rejected,
    };
    let error = Error::from_response(code, response.status, &response.body);
    if code.is_retryable() {
        ResponseClass::Retry(error, response.retry_after)
    } else {
        ResponseClass::Fail(error)
    }
}
