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
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;

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
    let Subject { name, version, id, flow_id } = *subject;
    let mut event =
        Written { name, suffix: "error", version, id, flow_id, payload: &[], identity: "{}", metadata: "{}" };
    let particulars: [&str; 4];
    let code = match *outcome {
        Outcome::Returned(payload) => {
            event.suffix = "response";
            return wire::write(&Written { payload: &[payload], ..event });
        }
        Outcome::Built { payload, identity, metadata } => {
            return wire::write(&Written { suffix: "", payload: &[payload], identity, metadata, ..event });
        }
        Outcome::Raised { suffix, code, parameters } => {
            event.suffix = suffix;
            particulars = [parameters, "", "", ""];
            code
        }
        Outcome::Refused(fields) => {
            event.suffix = "badRequest";
            particulars = ["{\"fields\":", fields, "}", ""];
            "\"MISSING_FIELDS\""
        }
        Outcome::Unhandled(parameters) => {
            particulars = [parameters, "", "", ""];
            "\"UNHANDLED_ERROR\""
        }
        Outcome::Late(millis) => {
            particulars = ["{\"message\":\"the handler did not come to an end within ", millis, " ms\"}", ""];
            "\"EVENT_TIMEOUT\""
        }
        Outcome::Busy => {
            particulars =
                ["{\"message\":\"too many events are being handled; try again later\"}", "", "", ""];
            "\"TOO_MANY_EVENTS\""
        }
        // The origin answers these two under their bare names, always in version 1.
        Outcome::NoHandler => {
            event = Written { name: "", suffix: "eventNotFound", version: "1", ..event };
            particulars = ["{\"event\":\"", name, "\",\"version\":", version];
            "\"NO_EVENT_HANDLER_FOUND\""
        }
        Outcome::Malformed(fault) => {
            event = Written { name: "", suffix: "badProtocol", version: "1", ..event };
            particulars = match fault {
                Fault::Member(member) => ["{\"propertyName\":\"", member.as_str(), "\"}", ""],
                fault => ["{\"message\":\"", fault.sentence(), "\"}", ""],
            };
            "\"INVALID_COMMUNICATION_PROTOCOL\""
        }
    };
    let end = if matches!(outcome, Outcome::NoHandler) { "}}" } else { "}" };
    let [a, b, c, d] = particulars;
    wire::write(&Written { payload: &["{\"code\":", code, ",\"parameters\":", a, b, c, d, end], ..event })
}
