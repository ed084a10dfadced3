//! Exports of the events protocol. Text lies in the arena; where the members of an event stand is left in the scratch space.

use wasm_bindgen::prelude::wasm_bindgen;

use super::arena;
use crate::base::json::block::Native;
use crate::base::json::scan::Kind;
use crate::events_protocol::event::{Envelope, Member, Rule};
use crate::events_protocol::server::{self, Outcome, Subject};
use crate::events_protocol::wire::Fault;

/// By the numbers of `Rule` in `js/systems/events-protocol/engine.ts`.
const RULES: [Rule; 4] = [Rule::Usual, Rule::Strict, Rule::Lenient, Rule::Answer];
/// Faults that are not about a member, by their numbers from 1 on. A member has 8 more than its own number.
const FAULTS: [Fault; 5] =
    [Fault::NotJson, Fault::NotUtf8, Fault::TooDeep, Fault::NotObject, Fault::TooLarge];
const FIRST_MEMBER: u32 = 8;

/// The first step of a server. 0, with the places of the members in the scratch space; or the number of a fault.
#[wasm_bindgen]
pub fn events_accept(len: usize, rule: usize) -> u32 {
    let parts = arena::parts(len);
    let rule = RULES.get(rule).copied().unwrap_or(Rule::Usual);
    match server::accept::<Native>(parts.text, rule) {
        Ok(envelope) => {
            write_places(&envelope, parts.desk.scratch);
            0
        }
        Err(fault) => number_of(fault),
    }
}

/// The second step. The arena has the pieces that the outcome needs, each of them followed by U+001E, which stands nowhere in JSON text.
#[wasm_bindgen]
pub fn events_settle(len: usize, outcome: u32) -> Vec<u8> {
    let parts = arena::parts(len);
    let text = core::str::from_utf8(parts.text.get(0, len)).unwrap_or_default();
    let mut pieces = text.split('\u{1e}');
    let mut next = || pieces.next().unwrap_or_default();
    let subject = Subject { name: next(), version: next(), id: next(), flow_id: next() };
    server::settle(&subject, &outcome_of(outcome, next(), next(), next())).into_bytes()
}

/// By the numbers of `Outcome` in `js/systems/events-protocol/engine.ts`.
fn outcome_of<'a>(number: u32, first: &'a str, second: &'a str, third: &'a str) -> Outcome<'a> {
    match number {
        0 => Outcome::Returned(first),
        1 => Outcome::Built { payload: first, identity: second, metadata: third },
        2 => Outcome::Raised { suffix: first, code: second, parameters: third },
        3 => Outcome::Refused(first),
        4 => Outcome::Unhandled(first),
        5 => Outcome::Late(first),
        6 => Outcome::Busy,
        7 => Outcome::NoHandler,
        fault => Outcome::Malformed(fault_of(fault - 8)),
    }
}

fn number_of(fault: Fault) -> u32 {
    match fault {
        Fault::Member(member) => FIRST_MEMBER + member as u32,
        fault => FAULTS.iter().position(|other| *other == fault).unwrap_or(0) as u32 + 1,
    }
}

fn fault_of(number: u32) -> Fault {
    let member = number.checked_sub(FIRST_MEMBER).and_then(|at| Member::ALL.get(at as usize));
    match member {
        Some(member) => Fault::Member(*member),
        None => FAULTS.get(number.wrapping_sub(1) as usize).copied().unwrap_or(Fault::NotJson),
    }
}

/// Three words for each member: where it starts and ends in UTF-16 units, and 0 absent, 1 text, 2 text with escapes, 3 other JSON.
fn write_places(envelope: &Envelope, scratch: &mut [u8]) {
    let words = Member::ALL.into_iter().flat_map(|member| match envelope.get(member) {
        None => [0, 0, 0],
        Some((kind, span)) => {
            let how = if kind != Kind::String { 3 } else { 1 + u32::from(span.has_escapes) };
            [span.start_unit as u32, span.end_unit as u32, how]
        }
    });
    for (to, word) in scratch.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
}
