//! Expectations about states, events, operations and replay positions.

use serde_json::{Value, json};

use eventferry::bayeux::session::State;

use super::{Check, Outcome, is_part, number, require, string_of};
use crate::scenarios::only_known;
use crate::simulation::{Record, text};

pub(super) fn state(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let wanted = match string_of(expected, "state")? {
        "connecting" => State::Connecting,
        "connected" => State::Connected,
        "disconnected" => State::Disconnected,
        other => return Err(format!("the runner does not know the state {other:?}")),
    };
    let from = check.cursor("state");
    let mut records = check.simulation.records.iter().enumerate().skip(from);
    let found = records.find(|(_, (_, record))| matches!(record, Record::State(state) if *state == wanted));
    let (at, _) = found.ok_or("never")?;
    check.advance("state", at);
    Ok(())
}

/// The events, with the index of their record.
fn arrived<'a>(check: &Check<'a>) -> Vec<(usize, &'a str, &'a Value)> {
    let records = check.simulation.records.iter().enumerate();
    records
        .filter_map(|(at, (_, record))| match record {
            Record::Event { channel, data } => Some((at, channel.as_str(), data)),
            _ => None,
        })
        .collect()
}

pub(super) fn event(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let all = arrived(check);
    let from = check.cursor("event");
    if let Some(kind) = expected["kind"].as_str() {
        require(["change", "gap"].contains(&kind), || format!("the runner does not know the kind {kind:?}"))?;
    }
    let change = |data: &Value| text(&data["payload"]["ChangeEventHeader"]["changeType"]);
    let found = all.iter().find(|(at, channel, data)| {
        *at >= from
            && expected["event"] == *channel
            && (expected["data"].is_null() || expected["data"] == **data)
            // Null means that the event has no replay id.
            && expected.get("replayId").is_none_or(|id| *id == data["event"]["replayId"])
            && expected["changeType"].as_str().is_none_or(|wanted| wanted == change(data))
            && expected["kind"].as_str().is_none_or(|kind| (kind == "gap") == change(data).starts_with("GAP_"))
    });
    match found {
        Some((at, ..)) => check.advance("event", *at),
        None if expected["if_received"] == true => {}
        None => return Err(format!("events were {all:?}")),
    }
    Ok(())
}

pub(super) fn events(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let all = arrived(check);
    let Some(ids) = expected["events"].as_array() else {
        let count = number(expected, "events")?;
        return require(all.len() as u64 == count, || format!("{} events", all.len()));
    };
    let found = all.iter().map(|(.., data)| data["event"]["replayId"].clone()).collect::<Vec<_>>();
    require(found == *ids, || format!("they had the ids {found:?}"))
}

pub(super) fn duplicates(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(number(expected, "duplicates")? == 0, || "duplicates must be 0".to_owned())?;
    let all = arrived(check);
    let mut ids = all.iter().filter_map(|(.., data)| data["event"]["replayId"].as_str()).collect::<Vec<_>>();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    require(ids.len() == count, || "there are some".to_owned())
}

pub(super) fn buffer_max(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let most = number(expected, "buffer_max")?;
    let pending = check.simulation.max_pending;
    require(pending as u64 <= most, || format!("{pending} were pending"))
}

fn is_done(record: &Record, call: &str) -> bool {
    matches!(record, Record::Settled(name, Ok(())) if name.starts_with(call))
}

fn done(check: &Check<'_>, call: &str) -> u64 {
    check.simulation.records.iter().filter(|(_, record)| is_done(record, call)).count() as u64
}

pub(super) fn ack_count(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let count = number(expected, "ack_count")?;
    require(done(check, "publish") == count, || format!("{} were done", done(check, "publish")))
}

pub(super) fn resolve(check: &mut Check<'_>, expected: &Value) -> Outcome {
    if expected["resolve"].is_number() {
        let count = number(expected, "resolve")?;
        return require(done(check, "subscribe") == count, || {
            format!("{} were resolved", done(check, "subscribe"))
        });
    }
    let call = string_of(expected, "resolve")?;
    let records = &check.simulation.records;
    // These two resolve at the end of the session.
    let end = if ["close", "drain"].contains(&call) { check.ended_at() } else { None };
    let settled = records.iter().position(|(_, record)| is_done(record, call)).or(end);
    let settled = settled.ok_or("never")?;
    if let Some(wanted) = expected.get("match") {
        let frame = records[..settled].iter().rev().find_map(|(_, record)| match record {
            Record::Frame(messages) => Some(messages),
            _ => None,
        });
        let replies = frame.and_then(Value::as_array).ok_or("no frame came before it")?;
        require(replies.iter().any(|reply| is_part(wanted, reply)), || {
            format!("it was settled by {replies:?}")
        })?;
    }
    if let Some(result) = expected.get("result") {
        only_known(result, &["events", "markers"], "result")?;
        let count = arrived(check).len();
        require(result["events"] == count, || format!("{count} events"))?;
        require(result["markers"] == positions(check), || format!("markers are {}", positions(check)))?;
    }
    if expected.get("within_ms").is_some() {
        let most = number(expected, "within_ms")?;
        let called =
            records.iter().find(|(_, record)| matches!(record, Record::Called(other) if other == call));
        let (called, _) = called.ok_or("it was not called")?;
        let took = records[settled].0 - called;
        require(took <= most, || format!("it took {took} ms"))?;
    }
    Ok(())
}

/// An event with the id of a request must not settle it.
pub(super) fn no_resolve(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let request = string_of(expected, "no_resolve")?;
    let id = request.strip_prefix("request ").ok_or("the runner knows only requests")?;
    require(check.sent("*").iter().any(|sent| sent.message["id"] == id), || {
        format!("no message had the id {id}")
    })?;
    let records = &check.simulation.records;
    let is_exchange_end = |(_, record): &(u64, Record)| matches!(record, Record::ExchangeEnd { .. });
    let event = records
        .iter()
        .position(|(_, record)| matches!(record, Record::Event { .. }))
        .ok_or("there was no event")?;
    let from =
        records[..event].iter().rposition(is_exchange_end).ok_or("the event did not arrive in a response")?;
    let to = records[event..].iter().position(is_exchange_end).map_or(records.len(), |after| event + after);
    let settled = records[from..to].iter().find(|(_, record)| matches!(record, Record::Settled(..)));
    require(settled.is_none(), || format!("it settled {settled:?}"))
}

pub(super) fn subscriptions(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let wanted = expected["subscriptions"].as_array().ok_or("subscriptions must be a list")?;
    let mut found: Vec<String> =
        check.simulation.client.session().subscriptions().map(str::to_owned).collect();
    found.sort();
    require(found.iter().eq(wanted.iter().filter_map(Value::as_str)), || format!("they are {found:?}"))
}

/// The replay id of each channel after which a new subscription starts.
fn positions(check: &Check<'_>) -> Value {
    json!(check.simulation.positions)
}

pub(super) fn marker(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let found = positions(check);
    require(is_part(&expected["marker"], &found), || format!("markers are {found}"))
}

pub(super) fn markers(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let found = positions(check);
    require(expected["markers"] == found, || format!("markers are {found}"))
}

/// A second subscription starts after the same replay id as the first, which was refused.
pub(super) fn marker_kept(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let id = string_of(expected, "marker_kept")?.parse::<u64>().map_err(|error| error.to_string())?;
    let all = check.sent("/meta/subscribe");
    require(all.len() >= 2, || "there was no second subscription".to_owned())?;
    let starts = |message: &Value| {
        let replay = message["ext"]["replay"].as_object();
        replay.is_some_and(|replay| !replay.is_empty() && replay.values().all(|start| *start == id))
    };
    let messages = all.iter().map(|sent| sent.message).collect::<Vec<_>>();
    require(messages.iter().all(|message| starts(message)), || format!("sent were {messages:?}"))
}

/// No notice of a gap is emitted; on such a notice, the application would drop its markers.
pub(super) fn markers_kept(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["markers_kept"] == true, || "markers_kept must be true".to_owned())?;
    let is_gap = |record: &Record| matches!(record, Record::Notice(notice) if notice.kind.ends_with("_gap"));
    require(!check.has(is_gap), || "there was a gap".to_owned())
}
