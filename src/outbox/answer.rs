//! What a response means for the events of a request.

use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;
use crate::engine::classify::{self, ResponseClass};

/// What to do with events after a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server accepted them, with this status.
    Delivered(u16),
    /// Repeat the request: why, and how long the server asked to wait.
    Retry(Error, Option<Millis>),
    /// The request is too large: repeat it in smaller parts.
    TooLarge(Error),
    /// The server refuses at least one of them for good.
    Rejected(Error),
}

/// Classifies the outcome of an exchange. Unlike a single call, a queue can wait until a server, a token or
/// an address is repaired, so only statuses about the events themselves are final. For everything else see
/// [`classify::classify_response`].
pub fn classify(outcome: &Result<Response, Failure>) -> Answer {
    match outcome {
        Ok(response) => classify_response(response),
        failed => answer_for(classify::classify_response(failed), 0, None),
    }
}

/// Classifies a response by its status.
pub fn classify_response(response: &Response) -> Answer {
    answer_for(classify::class_of(response), response.status, response.retry_after)
}

fn answer_for(class: ResponseClass, status: u16, retry_after: Option<Millis>) -> Answer {
    match class {
        ResponseClass::Done => Answer::Delivered(status),
        ResponseClass::Retry(error, retry_after) => Answer::Retry(error, retry_after),
        ResponseClass::Fail(error) => match (error.code, status) {
            (Code::TooLarge, _) => Answer::TooLarge(error),
            (Code::Redirected | Code::Unauthorized | Code::Gone | Code::Aborted, _)
            | (_, 404 | 500..=599) => Answer::Retry(error, retry_after),
            _ => Answer::Rejected(error),
        },
    }
}

/// What a response means for the events of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Classified {
    /// The same for all of them.
    All(Answer),
    /// One answer for each, in order, and that for events behind them.
    Each(Vec<Answer>, Answer),
}

/// Classifies the response to a request with this many events. A system has its own where the status is not
/// enough.
pub type Classifier = fn(&Response, events: u32) -> Classified;

/// The classifier for systems where the status is enough.
pub fn by_status(response: &Response, _: u32) -> Classified {
    Classified::All(classify_response(response))
}

/// Classifies the status of one event, where a response has one for each.
pub fn classify_status(status: u16) -> Answer {
    classify_response(&Response::new(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statuses_about_the_events_are_final() {
        for (statuses, expected) in [
            (&[200, 201, 202, 204, 207][..], "delivered"),
            (&[0, 301, 307, 401, 403, 404, 407, 408, 410, 425, 429, 500, 501, 502, 503, 505, 529], "retry"),
            (&[413], "large"),
            (&[400, 402, 405, 406, 409, 415, 418, 422, 451], "rejected"),
        ] {
            for status in statuses {
                let answer = match classify_status(*status) {
                    Answer::Delivered(_) => "delivered",
                    Answer::Retry(..) => "retry",
                    Answer::TooLarge(_) => "large",
                    Answer::Rejected(_) => "rejected",
                };
                assert_eq!(answer, expected, "{status}");
            }
        }
        for failure in [Failure::Timeout, Failure::Network, Failure::Aborted] {
            assert!(matches!(classify(&Err(failure)), Answer::Retry(..)));
        }
    }
}
