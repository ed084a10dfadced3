//! Exports of the events protocol. The text lies in the arena; the positions of the members are left in the scratch
//! space.

use wasm_bindgen::prelude::wasm_bindgen;

use super::arena;
use crate::base::json::block::Native;
use crate::base::json::scan::Kind;
use crate::events_protocol::event::{Envelope, EnvelopeRule, Member};
use crate::events_protocol::server::{self, EventRef, RequestOutcome};
use crate::events_protocol::wire::{self, ReadError};

/// By the numbers of `ENVELOPE_RULE` in `js/systems/events-protocol/engine.ts`.
const RULES: [EnvelopeRule; 4] =
    [EnvelopeRule::Usual, EnvelopeRule::Strict, EnvelopeRule::Lenient, EnvelopeRule::Response];
/// Errors that do not concern one member, numbered from 1. The number of a member's error is [`FIRST_MEMBER`] plus
/// the member's own number.
const READ_ERRORS: [ReadError; 5] =
    [ReadError::NotJson, ReadError::NotUtf8, ReadError::TooDeep, ReadError::NotObject, ReadError::TooLarge];
const FIRST_MEMBER: u32 = 8;
/// The number of the first `RequestOutcome::InvalidEvent`; the number of the error is added to it.
const INVALID_EVENT: u32 = 8;

/// Reads an event. Returns 0 and leaves the positions of the members in the scratch space, or returns the number of
/// an error.
#[wasm_bindgen]
pub fn events_read(len: usize, rule: usize) -> u32 {
    let parts = arena::parts(len);
    let rule = RULES.get(rule).copied().unwrap_or(EnvelopeRule::Usual);
    match wire::read_event::<Native>(parts.text, rule) {
        Ok(envelope) => {
            write_positions(&envelope, parts.context.scratch);
            0
        }
        Err(error) => number_of(error),
    }
}

/// Writes the response for an outcome. The arena has the strings that the outcome needs, each followed by U+001E,
/// which never occurs in JSON text.
#[wasm_bindgen]
pub fn events_respond(len: usize, outcome: u32) -> Vec<u8> {
    let parts = arena::parts(len);
    let text = core::str::from_utf8(parts.text.get(0, len)).unwrap_or_default();
    let mut strings = text.split('\u{1e}');
    let mut next = || strings.next().unwrap_or_default();
    let event = EventRef { name: next(), version: next(), id: next(), flow_id: next() };
    server::respond(&event, &outcome_of(outcome, next(), next(), next())).into_bytes()
}

/// By the numbers of `REQUEST_OUTCOME` in `js/systems/events-protocol/engine.ts`.
fn outcome_of<'a>(number: u32, first: &'a str, second: &'a str, third: &'a str) -> RequestOutcome<'a> {
    match number {
        0 => RequestOutcome::Payload(first),
        1 => RequestOutcome::Response { payload: first, identity: second, metadata: third },
        2 => RequestOutcome::Exception { suffix: first, code: second, parameters: third },
        3 => RequestOutcome::InvalidPayload(first),
        4 => RequestOutcome::UnhandledError(first),
        5 => RequestOutcome::TimedOut(first),
        6 => RequestOutcome::TooManyEvents,
        7 => RequestOutcome::NoHandler,
        number => RequestOutcome::InvalidEvent(read_error_of(number - INVALID_EVENT)),
    }
}

fn number_of(error: ReadError) -> u32 {
    match error {
        ReadError::Member(member) => FIRST_MEMBER + member as u32,
        error => READ_ERRORS.iter().position(|other| *other == error).unwrap_or(0) as u32 + 1,
    }
}

fn read_error_of(number: u32) -> ReadError {
    let member = number.checked_sub(FIRST_MEMBER).and_then(|index| Member::ALL.get(index as usize));
    match member {
        Some(member) => ReadError::Member(*member),
        None => READ_ERRORS.get(number.wrapping_sub(1) as usize).copied().unwrap_or(ReadError::NotJson),
    }
}

/// Three numbers for each member: its start and end in UTF-16 units, and 0 missing, 1 string, 2 string with escapes,
/// 3 other JSON.
fn write_positions(envelope: &Envelope, scratch: &mut [u8]) {
    let numbers = Member::ALL.into_iter().flat_map(|member| match envelope.get(member) {
        None => [0, 0, 0],
        Some((kind, span)) => {
            let format = if kind != Kind::String { 3 } else { 1 + u32::from(span.has_escapes) };
            [span.start_unit as u32, span.end_unit as u32, format]
        }
    });
    for (bytes, number) in scratch.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
}
