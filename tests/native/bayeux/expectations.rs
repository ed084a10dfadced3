//! Compares the expectations of a scenario with the records of its simulation.
//!
//! An expectation is an object. One key is its kind, the others are details. [`KINDS`] lists all keys; an
//! unknown key fails the scenario.

mod errors;
mod outcomes;
mod requests;
mod timing;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scenarios::only_known;
use crate::simulation::{Record, Simulation};

/// The comparison of one scenario. Expectations about the same channel must be met in their order.
pub(crate) struct Check<'a> {
    simulation: &'a Simulation,
    /// By channel or subject: the index after the last record that met an expectation.
    cursors: BTreeMap<String, usize>,
    /// The delays after failures that no expectation has used yet.
    delays: std::vec::IntoIter<u64>,
}

type Outcome = Result<(), String>;

struct Kind {
    key: &'static str,
    details: &'static [&'static str],
    check: for<'a> fn(&mut Check<'a>, &Value) -> Outcome,
}

const fn kind(
    key: &'static str,
    details: &'static [&'static str],
    check: for<'a> fn(&mut Check<'a>, &Value) -> Outcome,
) -> Kind {
    Kind { key, details, check }
}

const KINDS: &[Kind] = &[
    kind(
        "send",
        &[
            "match",
            "absent",
            "alone",
            "via",
            "host",
            "nth",
            "count",
            "count_at_least",
            "every",
            "after",
            "after_ms",
        ],
        requests::send,
    ),
    kind("send_batch", &["requests"], requests::send_batch),
    kind("no_send", &["for_ms"], requests::no_send),
    kind("header", &[], requests::header),
    kind("no_header", &[], requests::no_header),
    kind("oauth", &["ctype"], requests::oauth),
    kind("oauth_count", &[], requests::oauth_count),
    kind("no_auth", &[], requests::no_auth),
    kind("url", &[], requests::url),
    kind("max_outstanding", &[], requests::max_outstanding),
    kind("max_request_bytes", &[], requests::max_request_bytes),
    kind("abort", &[], requests::abort),
    kind("open", &["count"], requests::open),
    kind("no_open", &[], requests::no_open),
    kind("ws_close", &[], requests::ws_close),
    kind("timer", &["ms", "ms_at_least"], timing::timer),
    kind("timers", &[], timing::timers),
    kind("advice", &[], timing::advice),
    kind("poll_paused_while", &[], timing::poll_paused_while),
    kind("poll_pause_max_ms", &[], timing::poll_pause_max_ms),
    kind("no_state_change", &[], timing::no_state_change),
    kind("state", &[], outcomes::state),
    kind("event", &["data", "replayId", "kind", "changeType", "if_received"], outcomes::event),
    kind("events", &[], outcomes::events),
    kind("duplicates", &[], outcomes::duplicates),
    kind("buffer_max", &[], outcomes::buffer_max),
    kind("ack_count", &[], outcomes::ack_count),
    kind("resolve", &["match", "result", "within_ms"], outcomes::resolve),
    kind("no_resolve", &[], outcomes::no_resolve),
    kind("subscriptions", &[], outcomes::subscriptions),
    kind("marker", &[], outcomes::marker),
    kind("markers", &[], outcomes::markers),
    kind("marker_kept", &[], outcomes::marker_kept),
    kind("markers_kept", &[], outcomes::markers_kept),
    kind("reject", &["error"], errors::reject),
    kind("error", &["fatal"], errors::error),
    kind("notice", &[], errors::notice),
    kind("subscription_error", &[], errors::subscription_error),
    // Documentation: the calls of the application, which `application.rs` makes.
    kind("call", &[], documentation),
    kind("clock_jump_ms", &[], documentation),
    // Documentation: a remark.
    kind("note", &[], documentation),
];

fn documentation(_: &mut Check<'_>, _: &Value) -> Outcome {
    Ok(())
}

/// Checks all expectations. `Err` names the first that is not met, and the reason.
pub(crate) fn check(case: &Value, simulation: &Simulation) -> Outcome {
    let delays = timing::delays_after_failures(simulation).into_iter();
    let mut check = Check { simulation, cursors: BTreeMap::new(), delays };
    for expected in case["expect"].as_array().expect("expectations") {
        let Some(kind) = KINDS.iter().find(|kind| expected.get(kind.key).is_some()) else {
            return Err(format!("the runner does not support this expectation: {expected}"));
        };
        let known = [&[kind.key], kind.details].concat();
        only_known(expected, &known, "an expectation")?;
        (kind.check)(&mut check, expected).map_err(|why| format!("{expected}: {why}"))?;
    }
    if !simulation.ops.is_empty() && check.ended_at().is_some() && case["id"] != "cn-22" {
        return Err(format!("never settled: {:?}", simulation.ops));
    }
    Ok(())
}

impl Check<'_> {
    /// The index of the record of the end of the session.
    fn ended_at(&self) -> Option<usize> {
        self.simulation.records.iter().position(|(_, record)| matches!(record, Record::Ended(_)))
    }

    fn cursor(&self, subject: &str) -> usize {
        self.cursors.get(subject).copied().unwrap_or(0)
    }

    fn advance(&mut self, subject: &str, found: usize) {
        self.cursors.insert(subject.to_owned(), found + 1);
    }

    fn has(&self, wanted: impl Fn(&Record) -> bool) -> bool {
        self.simulation.records.iter().any(|(_, record)| wanted(record))
    }
}

/// Whether `whole` has all members of `part`. A number equals its text, because servers send ids as either.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| is_part(value, other)))
        }
        (Value::Number(part), Value::String(whole)) => part.to_string() == *whole,
        _ => part == whole,
    }
}

/// Fails with a reason unless the condition is met.
fn require(is_met: bool, reason: impl FnOnce() -> String) -> Outcome {
    if is_met { Ok(()) } else { Err(reason()) }
}

/// A member that must be a whole number.
fn number(expected: &Value, key: &str) -> Result<u64, String> {
    expected[key].as_u64().ok_or_else(|| format!("{key} must be a whole number; received {}", expected[key]))
}

/// A member that must be a string.
fn string_of<'v>(expected: &'v Value, key: &str) -> Result<&'v str, String> {
    expected[key].as_str().ok_or_else(|| format!("{key} must be a string; received {}", expected[key]))
}
