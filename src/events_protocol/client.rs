//! What an answer means for the one who asked. The asking itself is `engine::calls`.

use super::event::{Member, Rule};
use super::wire::{self, Fault};
use crate::base::error::{Code, Error};
use crate::base::http::{Failure, Response};
use crate::base::json::block::Native;
use crate::base::json::padded::{Padded, pad};
use crate::engine::classify::{self, ResponseClass};

/// An answer is an event, whatever its status: servers in front of the other side may have made it a 4xx or 5xx. An answer that is none is judged
/// by its status, and one that claims success is no answer at all. What it said is kept from the message, because a server that repeats the
/// request repeats its `auth`.
pub fn judge(outcome: &Result<Response, Failure>) -> ResponseClass {
    let fault = match outcome {
        Ok(Response { status: 0 | 300..=399, .. }) | Err(_) => None,
        Ok(answer) => match read(&answer.body) {
            Ok(()) => return ResponseClass::Done,
            Err(fault) => Some(fault),
        },
    };
    let status = outcome.as_ref().ok().map(|answer| answer.status);
    match classify::classify_response(outcome) {
        ResponseClass::Done => ResponseClass::Fail(Error {
            code: Code::InvalidEvent,
            status,
            detail: match fault {
                Some(Fault::Member(member)) => {
                    let kind = if member == Member::Version { "a whole number" } else { "text" };
                    ["the answer has no member ", member.as_str(), " that is ", kind].concat()
                }
                Some(fault) => fault.sentence().to_owned(),
                None => String::new(),
            },
        }),
        ResponseClass::Retry(error, hint) => ResponseClass::Retry(silenced(error), hint),
        ResponseClass::Fail(error) => ResponseClass::Fail(silenced(error)),
    }
}

fn read(body: &[u8]) -> Result<(), Fault> {
    let padded = pad(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let text = Padded::new(&padded).ok_or(Fault::NotJson)?;
    wire::read::<Native>(text, Rule::Answer).map(drop)
}

fn silenced(error: Error) -> Error {
    Error { detail: String::new(), ..error }
}
