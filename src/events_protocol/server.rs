//! The two steps between a request and its answer. What lies between them is not ours: handlers are code of the user, which runs in JavaScript,
//! many at once, and takes its time.
//!
//! ```text
//!   bytes ──accept──┬─ Envelope ──> a handler? ─ yes ─> payload fits? ─ yes ─> it runs ──┐ Returned, Built, Raised, Unhandled, Late
//!                   │                   │ no                │ no                         │
//!                   │ Fault             │ NoHandler         │ Refused                    │
//!                   └───────────────────┴───────────────────┴────────────────────────────┴──settle──> bytes
//! ```
//!
//! What lives here: which answer the protocol has for which end. What this file must not know: who the handlers are. Nothing is remembered between
//! the steps, so nothing can be mixed up or leak, and a server that was thrown away after a trap goes on as if nothing had been.

use super::event::{Envelope, Rule};
use super::wire::{self, Fault, Written};
use crate::json::block::Block;
use crate::json::padded::Padded;

/// The first step: reads and checks a request.
pub fn accept<B: Block>(text: Padded<'_>, rule: Rule) -> Result<Envelope, Fault> {
    wire::read::<B>(text, rule)
}

/// What an answer is about. Texts are without their quotes but with their escapes, as they stood in the request.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the request.
    pub name: &'a str,
    /// Its version, as digits.
    pub version: &'a str,
    /// Its id; a fresh one where it was not an event.
    pub id: &'a str,
    /// The id of its flow; a fresh one where it was not an event.
    pub flow_id: &'a str,
}

/// How a request ended. What is text here is JSON.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The handler gave a payload back.
    Returned(&'a str),
    /// The handler made the whole answer, and `Subject` is that.
    Built {
        /// The payload.
        payload: &'a str,
        /// Facts about the one who answers.
        identity: &'a str,
        /// Facts about the answer.
        metadata: &'a str,
    },
    /// The handler threw an error of the protocol.
    Raised {
        /// The kind of error: `notFound`, `userDenied`, … No quotes.
        suffix: &'a str,
        /// What exactly, with its quotes.
        code: &'a str,
        /// The particulars: an object.
        parameters: &'a str,
    },
    /// The schema of the handler does not take the payload: a list of `{name, errorType, message}`.
    Refused(&'a str),
    /// The handler threw something else: particulars for those who asked for them, as an object.
    Unhandled(&'a str),
    /// The handler did not come to an end in time: the digits of the milliseconds that it had.
    Late(&'a str),
    /// Too many requests are under way already.
    Busy,
    /// Nobody handles this event.
    NoHandler,
    /// The request is no event.
    Malformed(Fault),
}

/// The second step: writes the answer.
pub fn settle(subject: &Subject<'_>, outcome: &Outcome<'_>) -> String {
    let answer = |suffix, payload: &[&str]| write(subject.name, suffix, subject.version, subject, payload);
    let error = |suffix, code, parameters: &[&str]| {
        answer(suffix, &[&["{\"code\":", code, ",\"parameters\":"], parameters, &["}"]].concat())
    };
    // The origin answers these under their bare names, always in version 1.
    let bare = |suffix, payload: &[&str]| write("", suffix, "1", subject, payload);
    match outcome {
        Outcome::Returned(payload) => answer("response", &[payload]),
        Outcome::Built { payload, identity, metadata } => wire::write(&Written {
            name: subject.name,
            suffix: "",
            version: subject.version,
            id: subject.id,
            flow_id: subject.flow_id,
            payload: &[payload],
            identity,
            metadata,
        }),
        Outcome::Raised { suffix, code, parameters } => error(suffix, code, &[parameters]),
        Outcome::Refused(fields) => error("badRequest", "\"MISSING_FIELDS\"", &["{\"fields\":", fields, "}"]),
        Outcome::Unhandled(parameters) => error("error", "\"UNHANDLED_ERROR\"", &[parameters]),
        Outcome::Late(millis) => error(
            "error",
            "\"EVENT_TIMEOUT\"",
            &["{\"message\":\"the handler did not come to an end within ", millis, " ms\"}"],
        ),
        Outcome::Busy => error(
            "error",
            "\"TOO_MANY_EVENTS\"",
            &["{\"message\":\"too many events are being handled; try again later\"}"],
        ),
        Outcome::NoHandler => bare(
            "eventNotFound",
            &[
                "{\"code\":\"NO_EVENT_HANDLER_FOUND\",\"parameters\":{\"event\":\"",
                subject.name,
                "\",\"version\":",
                subject.version,
                "}}",
            ],
        ),
        Outcome::Malformed(fault) => {
            let (name, value) = match fault {
                Fault::Member(member) => ("propertyName", member.as_str()),
                fault => ("message", fault.sentence()),
            };
            let head = "{\"code\":\"INVALID_COMMUNICATION_PROTOCOL\",\"parameters\":{\"";
            bare("badProtocol", &[head, name, "\":\"", value, "\"}}"])
        }
    }
}

fn write(name: &str, suffix: &str, version: &str, subject: &Subject<'_>, payload: &[&str]) -> String {
    let Subject { id, flow_id, .. } = subject;
    wire::write(&Written { name, suffix, version, id, flow_id, payload, identity: "{}", metadata: "{}" })
}
