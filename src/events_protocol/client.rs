//! Classifies the responses to a client's requests. `engine::calls` makes the requests.

use super::event::{EnvelopeRule, Member};
use super::wire::{self, ReadError};
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::json::block::Native;
use crate::base::json::padded::{Padded, pad};
use crate::engine::classify::{self, ResponseClass};

/// A body that is an event is a response whatever its status, because a server or a proxy in front of it may answer
/// with 4xx or 5xx. Any other body is classified by its status, and fails if the status is a success. The body is
/// left out of the error, because a server that repeats the request repeats its `auth`.
pub fn classify_response(outcome: &Result<Response, Failure>) -> ResponseClass {
    let read_error = match outcome {
        Ok(Response { status: 0 | 300..=399, .. }) | Err(_) => None,
        Ok(response) => match read(&response.body) {
            Ok(()) => return ResponseClass::Done,
            Err(error) => Some(error),
        },
    };
    let status = outcome.as_ref().ok().map(|response| response.status);
    match classify::classify_response(outcome) {
        ResponseClass::Done => ResponseClass::Fail(Error {
            code: Code::InvalidEvent,
            status,
            detail: match read_error {
                Some(ReadError::Member(member)) => {
                    let kind = if member == Member::Version { "an integer" } else { "a string" };
                    ["the member ", member.as_str(), " of the response must be ", kind].concat()
                }
                Some(error) => error.message().to_owned(),
                None => String::new(),
            },
        }),
        ResponseClass::Retry(error, hint) => ResponseClass::Retry(without_detail(error), hint),
        ResponseClass::Fail(error) => ResponseClass::Fail(without_detail(error)),
    }
}

fn read(body: &[u8]) -> Result<(), ReadError> {
    let padded = pad(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let text = Padded::new(&padded).ok_or(ReadError::NotJson)?;
    wire::read_event::<Native>(text, EnvelopeRule::Response).map(drop)
}

fn without_detail(error: Error) -> Error {
    Error { detail: String::new(), ..error }
}
