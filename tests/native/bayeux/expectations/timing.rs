//! Expectations about delays, timers and pauses.

use eventferry::base::time::{Deadline, Millis};
use eventferry::bayeux::session::Options;
use serde_json::Value;

use super::{Check, Outcome, number, require, string_of};
use crate::scenarios::only_known;
use crate::simulation::{Record, Simulation};

pub(super) fn timer(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let kind = string_of(expected, "timer")?;
    if let Some(attempt) = kind.strip_prefix("backoff#") {
        let attempt = attempt.parse::<u32>().map_err(|error| error.to_string())?;
        let most = 1000 << (attempt - 1);
        let delay = check.delays.next();
        return require(delay.is_some_and(|delay| delay <= most), || {
            format!("a delay of {delay:?} ms, at most {most}")
        });
    }
    match kind {
        "request" => {
            let ms = number(expected, "ms")?;
            let connects = check.sent("/meta/connect");
            let has = connects.iter().any(|sent| sent.timeout_ms == ms || sent.is_socket());
            require(has, || "another time limit".to_owned())
        }
        "interval" | "retry" | "busy" => {
            let exact = expected["ms"].as_u64();
            let least = exact.map_or_else(|| number(expected, "ms_at_least"), Ok)?;
            let gaps = gaps(check.simulation);
            let fits = |gap: &u64| *gap >= least && exact.is_none_or(|ms| *gap <= ms + 600);
            require(gaps.iter().any(fits), || format!("delays were {gaps:?}"))
        }
        other => Err(format!("the runner does not know the timer {other:?}")),
    }
}

pub(super) fn timers(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(number(expected, "timers")? == 0, || "timers must be 0".to_owned())?;
    require(check.simulation.deadline == Deadline::Never, || "there is one left".to_owned())
}

pub(super) fn advice(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let advice = &expected["advice"];
    only_known(advice, &["timeout", "interval"], "advice")?;
    let timeout = &advice["timeout"];
    let is_known = timeout.is_null() || timeout == "client default";
    require(is_known, || format!("the runner does not know the timeout {timeout}"))?;
    let hold = (!timeout.is_null()).then(|| Options::default().times.poll_timeout);
    let interval = advice["interval"].as_u64().map(Millis);
    let fits = |timing: &(Millis, Millis)| {
        hold.is_none_or(|hold| hold == timing.0) && interval.is_none_or(|interval| interval == timing.1)
    };
    require(check.simulation.timings.iter().any(fits), || format!("{:?}", check.simulation.timings))
}

/// While the inbox is full, only the poll that keeps the session alive may be sent.
pub(super) fn poll_paused_while(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let when = string_of(expected, "poll_paused_while")?;
    require(when == "buffer full", || format!("the runner does not know the condition {when:?}"))?;
    let (mut paused, mut pauses) = (None, 0);
    for (when, record) in &check.simulation.records {
        match record {
            Record::Paused => {
                paused = paused.or(Some(*when));
                pauses += 1;
            }
            Record::Consumed => paused = None,
            Record::Sent { message, .. } if message["channel"] == "/meta/connect" => {
                require(paused.is_none(), || format!("a poll at {when} ms, in a pause"))?;
            }
            _ => {}
        }
    }
    require(pauses > 0, || "the buffer was never full".to_owned())
}

pub(super) fn poll_pause_max_ms(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let most = number(expected, "poll_pause_max_ms")?;
    // Only up to the end of the script.
    let is_event = |(_, record): &(u64, Record)| matches!(record, Record::Event { .. });
    let last = check.simulation.records.iter().rposition(is_event).ok_or("there was no event")?;
    let polls = check
        .sent("/meta/connect")
        .iter()
        .filter(|sent| sent.at <= last)
        .map(|sent| sent.when)
        .collect::<Vec<_>>();
    require(polls.windows(2).all(|two| two[1] - two[0] <= most), || format!("{polls:?}"))
}

/// A late response to a poll that timed out neither changes the state nor leads to a second simultaneous
/// poll.
pub(super) fn no_state_change(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["no_state_change"] == true, || "no_state_change must be true".to_owned())?;
    let records = &check.simulation.records;
    let late = records
        .iter()
        .position(|(_, record)| matches!(record, Record::LateResponse))
        .ok_or("there was no late response")?;
    let mut after = records[late + 1..].iter().take_while(|(when, _)| *when == records[late].0);
    let state = after.find(|(_, record)| matches!(record, Record::State(_)));
    require(state.is_none(), || format!("the late response led to {state:?}"))?;
    let (connects, _) = check.simulation.max_in_flight;
    require(connects == 1, || format!("{connects} connects at the same time"))
}

/// The delays between the end of an exchange and the next message.
fn gaps(simulation: &Simulation) -> Vec<u64> {
    delays(simulation, |_, _| true)
}

/// The delays after failures of meta messages.
pub(super) fn delays_after_failures(simulation: &Simulation) -> Vec<u64> {
    delays(simulation, |channel, failed| failed && channel.starts_with("/meta/"))
}

fn delays(simulation: &Simulation, is_start: impl Fn(&str, bool) -> bool) -> Vec<u64> {
    let mut delays = Vec::new();
    let mut last = None;
    for (at, record) in &simulation.records {
        match record {
            Record::ExchangeEnd { channel, failed } if is_start(channel, *failed) => last = Some(*at),
            Record::Sent { .. } => delays.extend(last.take().map(|last| at - last)),
            _ => {}
        }
    }
    delays
}
