//! Expectations about states, events, operations and replay positions.

use serde_json::{Value, json};

use eventferry::bayeux::session::State;

use super::{Check, Outcome, is_part, number, require, word};
use crate::scenarios::only_known;
use crate::world::{Fact, text};

pub(super) fn state(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let wanted = match word(expected, "state")? {
        "connecting" => State::Connecting,
        "connected" => State::Connected,
        "disconnected" => State::Disconnected,
        other => return Err(format!("the runner does not know the state {other:?}")),
    };
    let from = check.cursor("state");
    let mut facts = check.world.facts.iter().enumerate().skip(from);
    let found = facts.find(|(_, (_, fact))| matches!(fact, Fact::State(state) if *state == wanted));
    let (at, _) = found.ok_or("never")?;
    check.advance("state", at);
    Ok(())
}

/// The events, with the index of their fact.
fn arrived<'a>(check: &Check<'a>) -> Vec<(usize, &'a str, &'a Value)> {
    let facts = check.world.facts.iter().enumerate();
    facts
        .filter_map(|(at, (_, fact))| match fact {
            Fact::Event { channel, data } => Some((at, channel.as_str(), data)),
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
            // Null is a value here: the event has no replay id.
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
    let pending = check.world.most_pending;
    require(pending as u64 <= most, || format!("{pending} were pending"))
}

fn is_done(fact: &Fact, call: &str) -> bool {
    matches!(fact, Fact::Settled(name, Ok(())) if name.starts_with(call))
}

fn done(check: &Check<'_>, call: &str) -> u64 {
    check.world.facts.iter().filter(|(_, fact)| is_done(fact, call)).count() as u64
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
    let call = word(expected, "resolve")?;
    let facts = &check.world.facts;
    // These two are done when the session has ended.
    let end = if ["close", "drain"].contains(&call) { check.ended_at() } else { None };
    let settled = facts.iter().position(|(_, fact)| is_done(fact, call)).or(end);
    let settled = settled.ok_or("never")?;
    if let Some(wanted) = expected.get("match") {
        let frame = facts[..settled].iter().rev().find_map(|(_, fact)| match fact {
            Fact::Frame(messages) => Some(messages),
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
        let called = facts.iter().find(|(_, fact)| matches!(fact, Fact::Called(other) if other == call));
        let (called, _) = called.ok_or("nobody called it")?;
        let took = facts[settled].0 - called;
        require(took <= most, || format!("it took {took} ms"))?;
    }
    Ok(())
}

/// An event may have the id of a request; it settles nothing.
pub(super) fn no_resolve(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let request = word(expected, "no_resolve")?;
    let id = request.strip_prefix("request ").ok_or("the runner knows only requests")?;
    require(check.sent("*").iter().any(|sent| sent.message["id"] == id), || {
        format!("no message had the id {id}")
    })?;
    let facts = &check.world.facts;
    let is_landing = |(_, fact): &(u64, Fact)| matches!(fact, Fact::Landed { .. });
    let event =
        facts.iter().position(|(_, fact)| matches!(fact, Fact::Event { .. })).ok_or("there was no event")?;
    let from = facts[..event].iter().rposition(is_landing).ok_or("the event came with no answer")?;
    let to = facts[event..].iter().position(is_landing).map_or(facts.len(), |after| event + after);
    let settled = facts[from..to].iter().find(|(_, fact)| matches!(fact, Fact::Settled(..)));
    require(settled.is_none(), || format!("it settled {settled:?}"))
}

pub(super) fn subscriptions(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let wanted = expected["subscriptions"].as_array().ok_or("subscriptions must be a list")?;
    let mut found = check.world.peer.subscriptions();
    found.sort();
    require(found.iter().eq(wanted.iter().filter_map(Value::as_str)), || format!("they are {found:?}"))
}

/// The replay id of each channel behind which a new subscription starts, as the events brought them.
fn positions(check: &Check<'_>) -> Value {
    json!(check.world.positions)
}

pub(super) fn marker(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let found = positions(check);
    require(is_part(&expected["marker"], &found), || format!("markers are {found}"))
}

pub(super) fn markers(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let found = positions(check);
    require(expected["markers"] == found, || format!("markers are {found}"))
}

/// A second subscription starts where the first one did, which was refused.
pub(super) fn marker_kept(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let id = word(expected, "marker_kept")?.parse::<u64>().map_err(|error| error.to_string())?;
    let all = check.sent("/meta/subscribe");
    require(all.len() >= 2, || "nobody subscribed again".to_owned())?;
    let starts = |message: &Value| {
        let replay = message["ext"]["replay"].as_object();
        replay.is_some_and(|replay| !replay.is_empty() && replay.values().all(|start| *start == id))
    };
    let messages = all.iter().map(|sent| sent.message).collect::<Vec<_>>();
    require(messages.iter().all(|message| starts(message)), || format!("sent were {messages:?}"))
}

/// The owner of the markers is not told of a gap, which is what makes it drop them.
pub(super) fn markers_kept(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["markers_kept"] == true, || "markers_kept must be true".to_owned())?;
    let is_gap = |fact: &Fact| matches!(fact, Fact::Notice(notice) if notice.kind.ends_with("_gap"));
    require(!check.has(is_gap), || "there was a gap".to_owned())
}
