//! The responses of a server. Handlers are user code, which runs in JavaScript, concurrently and asynchronously,
//! between the two steps of the engine:
//!
//! ```text
//!                       ┌─ event ─> handler? ─ yes ─> payload valid? ─ yes ─> handler runs ─┐
//!   bytes ──read_event──┤              │ no                │ no                             │ Payload, Response,
//!                       │ ReadError    │ NoHandler         │ InvalidPayload                 │ Exception, …
//!                       └──────────────┴───────────────────┴────────────────────────────────┴──respond──> bytes
//! ```
//!
//! `respond` decides which response the protocol has for each outcome. It does not know the handlers, and nothing is
//! kept between the two steps: no state can leak from one request to another, and an engine that was replaced after a
//! trap answers requests that were read before it.

use super::wire::{self, ReadError, ResponseMembers};

/// Identifies the event that is answered. Strings are without their quotes but with their escapes, as in the
/// request.
#[derive(Clone, Copy, Debug)]
pub struct EventRef<'a> {
    /// The name of the request.
    pub name: &'a str,
    /// The version of the request, as digits.
    pub version: &'a str,
    /// The id of the request; a fresh one if the request was not an event.
    pub id: &'a str,
    /// The id of the flow; a fresh one if the request was not an event.
    pub flow_id: &'a str,
}

/// How a request ended. Fields are JSON text unless noted.
#[derive(Clone, Copy, Debug)]
pub enum RequestOutcome<'a> {
    /// The handler returned a payload.
    Payload(&'a str),
    /// The handler returned a whole response, which `EventRef` identifies.
    Response {
        /// The payload.
        payload: &'a str,
        /// Facts about the server.
        identity: &'a str,
        /// Facts about the response.
        metadata: &'a str,
    },
    /// The handler threw an exception of the protocol.
    Exception {
        /// The type of error without quotes: `notFound`, `userDenied`, …
        suffix: &'a str,
        /// The error code, with quotes.
        code: &'a str,
        /// The parameters, an object.
        parameters: &'a str,
    },
    /// The payload does not match the schema of the handler: a list of `{name, errorType, message}`.
    InvalidPayload(&'a str),
    /// The handler threw any other error: the parameters that the server exposes, an object.
    UnhandledError(&'a str),
    /// The handler did not finish in time: the digits of the limit in milliseconds.
    TimedOut(&'a str),
    /// Too many requests are in flight.
    TooManyEvents,
    /// No handler is registered for the event.
    NoHandler,
    /// The request is not an event.
    InvalidEvent(ReadError),
}

/// Writes the response for an outcome.
pub fn respond(event: &EventRef<'_>, outcome: &RequestOutcome<'_>) -> String {
    let EventRef { name, version, id, flow_id } = *event;
    let mut response = ResponseMembers {
        name,
        suffix: "error",
        version,
        id,
        flow_id,
        payload: &[],
        identity: "{}",
        metadata: "{}",
    };
    let parameter_parts: [&str; 4];
    let code = match *outcome {
        RequestOutcome::Payload(payload) => {
            response.suffix = "response";
            return wire::write_response(&ResponseMembers { payload: &[payload], ..response });
        }
        RequestOutcome::Response { payload, identity, metadata } => {
            return wire::write_response(&ResponseMembers {
                suffix: "",
                payload: &[payload],
                identity,
                metadata,
                ..response
            });
        }
        RequestOutcome::Exception { suffix, code, parameters } => {
            response.suffix = suffix;
            parameter_parts = [parameters, "", "", ""];
            code
        }
        RequestOutcome::InvalidPayload(fields) => {
            response.suffix = "badRequest";
            parameter_parts = ["{\"fields\":", fields, "}", ""];
            "\"MISSING_FIELDS\""
        }
        RequestOutcome::UnhandledError(parameters) => {
            parameter_parts = [parameters, "", "", ""];
            "\"UNHANDLED_ERROR\""
        }
        RequestOutcome::TimedOut(millis) => {
            parameter_parts = ["{\"message\":\"the handler did not finish within ", millis, " ms\"}", ""];
            "\"EVENT_TIMEOUT\""
        }
        RequestOutcome::TooManyEvents => {
            parameter_parts =
                ["{\"message\":\"too many events are in flight; try again later\"}", "", "", ""];
            "\"TOO_MANY_EVENTS\""
        }
        // The Kotlin original sends these two under their bare names, always in version 1.
        RequestOutcome::NoHandler => {
            response = ResponseMembers { name: "", suffix: "eventNotFound", version: "1", ..response };
            parameter_parts = ["{\"event\":\"", name, "\",\"version\":", version];
            "\"NO_EVENT_HANDLER_FOUND\""
        }
        RequestOutcome::InvalidEvent(error) => {
            response = ResponseMembers { name: "", suffix: "badProtocol", version: "1", ..response };
            parameter_parts = match error {
                ReadError::Member(member) => ["{\"propertyName\":\"", member.as_str(), "\"}", ""],
                error => ["{\"message\":\"", error.message(), "\"}", ""],
            };
            "\"INVALID_COMMUNICATION_PROTOCOL\""
        }
    };
    let end = if matches!(outcome, RequestOutcome::NoHandler) { "}}" } else { "}" };
    let [a, b, c, d] = parameter_parts;
    let payload = ["{\"code\":", code, ",\"parameters\":", a, b, c, d, end];
    wire::write_response(&ResponseMembers { payload: &payload, ..response })
}
