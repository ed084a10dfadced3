//! What an answer means for the events of a request.

use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::time::Millis;
use crate::engine::classify::{self, ResponseClass};

/// What to do with the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server has them.
    Taken(u16),
    /// Not now: why, and how long the server asked to wait.
    Later(Error, Option<Millis>),
    /// The request is too large, which less of it would not be.
    TooLarge(Error),
    /// One of them is not wanted.
    Poison(Error),
}

/// Judges the end of an exchange. Differs from [`classify::classify_response`] in what a queue can do and a single call cannot: wait until
/// a server, a token or an address was mended. Only answers that speak of the events themselves are final.
pub fn judge(outcome: &Result<Response, Failure>) -> Answer {
    match classify::classify_response(outcome) {
        ResponseClass::Done => Answer::Taken(outcome.as_ref().map_or(0, |answer| answer.status)),
        ResponseClass::Retry(error, hint) => Answer::Later(error, hint),
        ResponseClass::Fail(error) => {
            let hint = outcome.as_ref().ok().and_then(|answer| answer.retry_after);
            match (error.code, error.status) {
                (Code::TooLarge, _) => Answer::TooLarge(error),
                (Code::Redirected | Code::Unauthorized | Code::Gone | Code::Aborted, _)
                | (_, Some(404 | 500..=599)) => Answer::Later(error, hint),
                _ => Answer::Poison(error),
            }
        }
    }
}

/// What an answer means for all events of a request, or for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// For all of them.
    Whole(Answer),
    /// For each, in their order; of which nothing is said, that was not taken.
    Each(Vec<Answer>),
}

/// Says what an answer to a request with so many events means. A room has one of its own where statuses do not tell.
pub type Classifier = fn(&Response, events: u32) -> Judged;

/// The judge of those whose statuses do.
pub fn by_status(answer: &Response, _: u32) -> Judged {
    Judged::Whole(judge(&Ok(answer.clone())))
}

/// Judges one event of a request whose answer speaks of each.
pub fn judge_status(status: u16) -> Answer {
    judge(&Ok(Response::new(status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_of_the_events_is_final() {
        for (statuses, expected) in [
            (&[200, 201, 202, 204, 207][..], "taken"),
            (&[0, 301, 307, 401, 403, 404, 407, 408, 410, 425, 429, 500, 501, 502, 503, 505, 529], "later"),
            (&[413], "large"),
            (&[400, 402, 405, 406, 409, 415, 418, 422, 451], "poison"),
        ] {
            for status in statuses {
                let answer = match judge_status(*status) {
                    Answer::Taken(_) => "taken",
                    Answer::Later(..) => "later",
                    Answer::TooLarge(_) => "large",
                    Answer::Poison(_) => "poison",
                };
                assert_eq!(answer, expected, "{status}");
            }
        }
        for failure in [Failure::Timeout, Failure::Network, Failure::Aborted] {
            assert!(matches!(judge(&Err(failure)), Answer::Later(..)));
        }
    }
}
