//! Expectations about delays, timers and pauses.

use eventferry::base::time::{Deadline, Millis};
use eventferry::bayeux::session::Options;
use serde_json::Value;

use super::{Check, Outcome, number, require, word};
use crate::scenarios::only_known;
use crate::world::{Fact, World};

pub(super) fn timer(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let kind = word(expected, "timer")?;
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
            let gaps = gaps(check.world);
            let fits = |gap: &u64| *gap >= least && exact.is_none_or(|ms| *gap <= ms + 600);
            require(gaps.iter().any(fits), || format!("delays were {gaps:?}"))
        }
        other => Err(format!("the runner does not know the timer {other:?}")),
    }
}

pub(super) fn timers(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(number(expected, "timers")? == 0, || "timers must be 0".to_owned())?;
    require(check.world.deadline == Deadline::Never, || "there is one left".to_owned())
}

pub(super) fn advice(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let advice = &expected["advice"];
    only_known(advice, &["timeout", "interval"], "advice")?;
    let timeout = &advice["timeout"];
    let is_known = timeout.is_null() || timeout == "client default";
    require(is_known, || format!("the runner does not know the timeout {timeout}"))?;
    let hold = (!timeout.is_null()).then(|| Options::default().poll_timeout);
    let interval = advice["interval"].as_u64().map(Millis);
    let fits = |pace: &(Millis, Millis)| {
        hold.is_none_or(|hold| hold == pace.0) && interval.is_none_or(|interval| interval == pace.1)
    };
    require(check.world.paces.iter().any(fits), || format!("{:?}", check.world.paces))
}

/// While the inbox is full no poll leaves, but for the one that keeps the session alive.
pub(super) fn poll_paused_while(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let when = word(expected, "poll_paused_while")?;
    require(when == "buffer full", || format!("the runner does not know the condition {when:?}"))?;
    let (mut paused, mut pauses) = (None, 0);
    for (when, fact) in &check.world.facts {
        match fact {
            Fact::Paused => {
                paused = paused.or(Some(*when));
                pauses += 1;
            }
            Fact::Consumed => paused = None,
            Fact::Sent { message, .. } if message["channel"] == "/meta/connect" => {
                require(paused.is_none(), || format!("a poll at {when} ms, in a pause"))?;
            }
            _ => {}
        }
    }
    require(pauses > 0, || "the buffer was never full".to_owned())
}

pub(super) fn poll_pause_max_ms(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let most = number(expected, "poll_pause_max_ms")?;
    // Until the script ends.
    let is_event = |(_, fact): &(u64, Fact)| matches!(fact, Fact::Event { .. });
    let last = check.world.facts.iter().rposition(is_event).ok_or("there was no event")?;
    let polls = check
        .sent("/meta/connect")
        .iter()
        .filter(|sent| sent.at <= last)
        .map(|sent| sent.when)
        .collect::<Vec<_>>();
    require(polls.windows(2).all(|two| two[1] - two[0] <= most), || format!("{polls:?}"))
}

/// The late answer to a poll that was given up neither changes the state nor starts a second poll beside the first.
pub(super) fn no_state_change(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["no_state_change"] == true, || "no_state_change must be true".to_owned())?;
    let facts = &check.world.facts;
    let late = facts.iter().position(|(_, fact)| matches!(fact, Fact::Late)).ok_or("no answer came late")?;
    let mut behind = facts[late + 1..].iter().take_while(|(when, _)| *when == facts[late].0);
    let state = behind.find(|(_, fact)| matches!(fact, Fact::State(_)));
    require(state.is_none(), || format!("the late answer led to {state:?}"))?;
    let (connects, _) = check.world.most;
    require(connects == 1, || format!("{connects} connects at the same time"))
}

/// The delays between the end of an exchange and the next message.
fn gaps(world: &World) -> Vec<u64> {
    delays(world, |_, _| true)
}

/// The delays behind failures of meta messages only.
pub(super) fn delays_behind_failures(world: &World) -> Vec<u64> {
    delays(world, |channel, failed| failed && channel.starts_with("/meta/"))
}

fn delays(world: &World, is_start: impl Fn(&str, bool) -> bool) -> Vec<u64> {
    let mut delays = Vec::new();
    let mut last = None;
    for (at, fact) in &world.facts {
        match fact {
            Fact::Landed { channel, failed } if is_start(channel, *failed) => last = Some(*at),
            Fact::Sent { .. } => delays.extend(last.take().map(|last| at - last)),
            _ => {}
        }
    }
    delays
}
