//! Compares what a scenario expects with what happened in its world.

use std::collections::BTreeMap;

use eventferry::bayeux::session::{Notice, Options, State, Trouble};
use eventferry::bayeux::wire::Complaint;
use eventferry::error::Code;
use eventferry::time::{Deadline, Millis};
use serde_json::Value;

use crate::client::Peer;
use crate::world::{Fact, World, text};

pub(crate) fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| is_part(value, other)))
        }
        (Value::Number(part), Value::String(whole)) => part.to_string() == *whole,
        _ => part == whole,
    }
}

/// Codes that stand for the kinds of errors of the cases.
pub(crate) fn is_kind(kind: &str, code: Code) -> bool {
    match kind {
        "server" | "cookies" => code == Code::Rejected,
        "transport" => matches!(code, Code::Network | Code::Timeout | Code::Unavailable | Code::Redirected),
        "protocol" => matches!(code, Code::Unavailable | Code::Rejected),
        "auth" => code == Code::Unauthorized,
        "limit" => code == Code::RateLimited,
        "config" | "unsupported" => code == Code::InvalidArgument,
        "closed" => code == Code::Closed,
        "timeout" => code == Code::Timeout,
        "replay" => code == Code::Gone,
        other => panic!("unknown kind {other}"),
    }
}

pub(crate) fn is_trouble(wanted: &Value, trouble: &Trouble) -> bool {
    let complaint = Complaint::parse(trouble.said.as_deref().unwrap_or_default());
    wanted["kind"].as_str().is_none_or(|kind| is_kind(kind, trouble.code))
        && wanted["code"].as_u64().is_none_or(|code| complaint.code == Some(code as u16))
        && wanted["code"]
            .as_str()
            .is_none_or(|code| trouble.said.as_deref().is_some_and(|said| said.starts_with(code)))
        && wanted["text"]
            .as_str()
            .is_none_or(|text| trouble.said.as_deref().is_some_and(|said| said.ends_with(text)))
        && wanted["args"].as_array().is_none_or(|args| {
            args.iter().filter_map(Value::as_str).eq(complaint.arguments.iter().map(String::as_str))
        })
}

/// Looks at what a case expects. `Err`: not so. `Ok`: the names of what was not looked at.
pub(crate) fn check(case: &Value, world: &World) -> Result<Vec<String>, String> {
    let mut unseen = Vec::new();
    let mut cursors: BTreeMap<String, usize> = BTreeMap::new();
    let mut delays = rests(world).into_iter();
    let sent = |channel: &str| {
        world
            .facts
            .iter()
            .enumerate()
            .filter_map(move |(at, (when, fact))| match fact {
                Fact::Sent { message, with, via, url, headers, patience, bytes }
                    if message["channel"] == channel || channel == "*" =>
                {
                    Some((at, *when, message, *with, *via, url, headers, *patience, *bytes))
                }
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let started = |kind: &str| {
        world.facts.iter().position(|(_, fact)| matches!(fact, Fact::Ended(_)) && kind == "ended")
    };
    for expected in case["expect"].as_array().expect("expectations") {
        let object = expected.as_object().expect("an object");
        let fail = |why: &str| Err(format!("{expected}: {why}"));
        if let Some(channel) = object.get("send").and_then(Value::as_str) {
            let all = sent(channel);
            if let Some(count) = expected["count"].as_u64() {
                if all.len() as u64 != count {
                    return fail(&format!("{} were sent", all.len()));
                }
                continue;
            }
            if expected["every"] == true {
                if !all.iter().all(|(_, _, message, ..)| is_part(&expected["match"], message)) {
                    return fail("not every one");
                }
                continue;
            }
            let fits = |(_, _, message, with, via, url, ..): &(
                usize,
                u64,
                &Value,
                usize,
                &str,
                &String,
                &String,
                u64,
                usize,
            )| {
                (expected["match"].is_null() || is_part(&expected["match"], message))
                    && expected["absent"].as_array().is_none_or(|names| {
                        names.iter().all(|name| message[name.as_str().unwrap_or_default()].is_null())
                    })
                    && (expected["alone"] != true || *with == 1)
                    && expected["via"].as_str().is_none_or(|wanted| wanted == *via)
                    && expected["host"].as_str().is_none_or(|host| url.contains(&format!("//{host}/")))
            };
            if let Some(nth) = expected["nth"].as_u64() {
                match all.get(nth as usize - 1) {
                    Some(one) if fits(one) => continue,
                    other => return fail(&format!("it was {:?}", other.map(|one| one.2))),
                }
            }
            let from = cursors.get(channel).copied().unwrap_or(0);
            let in_time = |one: &&(usize, u64, &Value, usize, &str, &String, &String, u64, usize)| {
                let Some(range) = expected["after_ms"].as_array() else { return true };
                let cause = world.facts[..one.0]
                    .iter()
                    .rev()
                    .find(|(_, fact)| matches!(fact, Fact::Landed { .. } | Fact::Cancelled(_)));
                let after = one.1 - cause.map_or(0, |(at, _)| *at);
                after >= range[0].as_u64().unwrap_or(0) && after <= range[1].as_u64().unwrap_or(u64::MAX)
            };
            let Some(found) = all.iter().find(|one| one.0 >= from && fits(one) && in_time(one)) else {
                return fail(&format!(
                    "sent were {:?}",
                    all.iter().map(|one| one.2.to_string()).collect::<Vec<_>>()
                ));
            };
            cursors.insert(channel.to_owned(), found.0 + 1);
        } else if let Some(batch) = object.get("send_batch").and_then(Value::as_array) {
            let all: Vec<_> =
                sent("*").into_iter().filter(|one| one.2["channel"] == "/meta/subscribe").collect();
            let together = all.iter().filter(|one| one.3 == batch.len()).collect::<Vec<_>>();
            for part in batch {
                let found = match part.as_str().and_then(|part| part.split_once(' ')) {
                    Some((channel, subscription)) => together
                        .iter()
                        .any(|one| one.2["channel"] == channel && one.2["subscription"] == subscription),
                    None => together.iter().any(|one| {
                        is_part(part, one.2)
                            && one.2["ext"]["replay"].as_object().is_none_or(|map| map.len() == 1)
                    }),
                };
                if !found {
                    return fail(&format!("sent were {:?}", all.iter().map(|one| one.2).collect::<Vec<_>>()));
                }
            }
        } else if let Some(channel) = object.get("no_send").and_then(Value::as_str) {
            // From the moment that all is over, or at all.
            let from = match (started("ended"), channel) {
                (Some(at), _) => at,
                (None, "/meta/connect" | "*") => continue,
                (None, _) => 0,
            };
            if sent(channel).iter().any(|one| one.0 > from || from == 0) {
                return fail("it was sent");
            }
        } else if let Some(state) = object.get("state").and_then(Value::as_str) {
            let wanted = match state {
                "connecting" => State::Connecting,
                "connected" => State::Connected,
                "disconnected" => State::Disconnected,
                other => return fail(other),
            };
            let from = cursors.get("state").copied().unwrap_or(0);
            let Some(at) = world.facts.iter().enumerate().position(|(at, (_, fact))| {
                at >= from && matches!(fact, Fact::State(state) if *state == wanted)
            }) else {
                return fail("never");
            };
            cursors.insert("state".to_owned(), at + 1);
        } else if object.contains_key("event") || object.contains_key("events") {
            let all: Vec<_> = world
                .facts
                .iter()
                .enumerate()
                .filter_map(|(at, (_, fact))| match fact {
                    Fact::Event { channel, data } => Some((at, channel.as_str(), data)),
                    _ => None,
                })
                .collect();
            if let Some(count) = expected["events"].as_u64() {
                if all.len() as u64 != count {
                    return fail(&format!("{} events", all.len()));
                }
            } else if let Some(ids) = expected["events"].as_array() {
                if !all.iter().map(|one| one.2["event"]["replayId"].clone()).eq(ids.iter().cloned()) {
                    return fail("other events");
                }
            } else {
                let from = cursors.get("event").copied().unwrap_or(0);
                let found = all.iter().find(|(at, channel, data)| {
                    *at >= from
                        && expected["event"] == *channel
                        && (expected["data"].is_null() || expected["data"] == **data)
                        && (expected["replayId"].is_null()
                            || expected["replayId"] == data["event"]["replayId"])
                });
                match found {
                    Some((at, ..)) => drop(cursors.insert("event".to_owned(), at + 1)),
                    None if expected["if_received"] == true => {}
                    None => return fail(&format!("events were {all:?}")),
                }
            }
        } else if object.contains_key("resolve") || object.contains_key("reject") {
            let settled: Vec<_> = world
                .facts
                .iter()
                .filter_map(|(_, fact)| match fact {
                    Fact::Settled(name, result) => Some((name.as_str(), result)),
                    _ => None,
                })
                .collect();
            let name = |key: &str| object.get(key).and_then(Value::as_str);
            if let Some(count) = expected["resolve"].as_u64() {
                let done = settled
                    .iter()
                    .filter(|(name, result)| name.starts_with("subscribe") && result.is_ok())
                    .count();
                if done as u64 != count {
                    return fail(&format!("{done} were resolved"));
                }
            } else if let Some(name) = name("resolve") {
                let ended = started("ended").is_some() && (name == "close" || name == "drain");
                if !ended && !settled.iter().any(|(other, result)| other.starts_with(name) && result.is_ok())
                {
                    return fail(&format!("{settled:?}"));
                }
            } else if let Some(name) = name("reject") {
                let fits = |trouble: &Trouble| is_trouble(&expected["error"], trouble);
                if !settled
                    .iter()
                    .any(|(other, result)| other.starts_with(name) && result.as_ref().is_err_and(fits))
                {
                    return fail(&format!("{settled:?}"));
                }
            }
        } else if object.contains_key("error") {
            let fits = world.facts.iter().any(|(_, fact)| match fact {
                Fact::Ended(Some(trouble)) => {
                    expected["fatal"] != false && is_trouble(&expected["error"], trouble)
                }
                Fact::Notice(Notice { trouble: Some(trouble), .. }) => {
                    expected["fatal"] == false && is_trouble(&expected["error"], trouble)
                }
                _ => false,
            });
            if !fits {
                return fail("no such error");
            }
        } else if let Some(kind) = object.get("notice").and_then(Value::as_str) {
            if !world
                .facts
                .iter()
                .any(|(_, fact)| matches!(fact, Fact::Notice(notice) if notice.kind == kind))
            {
                return fail("never");
            }
        } else if let Some(kind) = object.get("timer").and_then(Value::as_str) {
            if let Some(number) = kind.strip_prefix("backoff#") {
                let most = 1000 << (number.parse::<u32>().expect("a number") - 1);
                match delays.next() {
                    Some(delay) if delay <= most => {}
                    other => return fail(&format!("a rest of {other:?} ms, at most {most}")),
                }
            } else if kind == "request" {
                let ms = expected["ms"].as_u64();
                let has = sent("/meta/connect").iter().any(|one| Some(one.7) == ms)
                    || sent("/meta/connect").iter().any(|one| one.4 == "websocket");
                if !has {
                    return fail("another time limit");
                }
            } else {
                let least = expected["ms"].as_u64().or_else(|| expected["ms_at_least"].as_u64()).unwrap_or(0);
                if !gaps(world)
                    .iter()
                    .any(|gap| *gap >= least && (expected["ms"].is_null() || *gap <= least + 600))
                {
                    return fail(&format!("rests were {:?}", gaps(world)));
                }
            }
        } else if let Some(header) = object.get("header") {
            let wanted = format!("{}: {}", text(&header["name"]).to_lowercase(), text(&header["value"]));
            if !sent(header["on"].as_str().unwrap_or_default())
                .iter()
                .any(|one| one.6.lines().any(|line| line == wanted))
            {
                return fail(&format!(
                    "headers were {:?}",
                    sent("*").iter().map(|one| one.6).collect::<Vec<_>>()
                ));
            }
        } else if let Some(header) = object.get("no_header") {
            let name = format!("{}:", text(&header["name"]).to_lowercase());
            let host = text(&header["host"]);
            if sent("*")
                .iter()
                .any(|one| one.5.contains(&host) && one.6.lines().any(|line| line.starts_with(&name)))
            {
                return fail("it was sent");
            }
        } else if let Some(form) = object.get("oauth").and_then(Value::as_object) {
            let Some(sent) = world.facts.iter().find_map(|(_, fact)| match fact {
                Fact::Token { form, content_type: true } => Some(form),
                _ => None,
            }) else {
                return fail("no login");
            };
            for (name, value) in form {
                let value = text(value).replace('@', "%40");
                if !sent.split('&').any(|field| *field == format!("{name}={value}")) {
                    return fail(sent);
                }
            }
        } else if let Some(count) = object.get("oauth_count").and_then(Value::as_u64) {
            let logins = world.facts.iter().filter(|(_, fact)| matches!(fact, Fact::Token { .. })).count();
            if logins as u64 != count {
                return fail(&format!("{logins} logins"));
            }
        } else if let Some(url) = object.get("url").and_then(Value::as_str) {
            if !sent("/meta/handshake").iter().any(|one| one.5 == url) {
                return fail("another URL");
            }
        } else if let Some(most) = object.get("max_outstanding") {
            let (connects, all) = world.most;
            if most["/meta/connect"].as_u64().is_some_and(|most| connects as u64 > most)
                || most["*"].as_u64().is_some_and(|most| all as u64 > most)
            {
                return fail(&format!("{connects} connects, {all} requests"));
            }
        } else if let Some(wanted) = object.get("subscriptions").and_then(Value::as_array) {
            let mut now = match &world.peer {
                Peer::Bayeux(client) => client.session.subscriptions().map(str::to_owned).collect::<Vec<_>>(),
                Peer::Salesforce(client) => client.session.subscriptions().map(str::to_owned).collect(),
            };
            now.sort();
            if !now.iter().eq(wanted.iter().filter_map(Value::as_str)) {
                return fail(&format!("they are {now:?}"));
            }
        } else if let Some(lost) = object.get("subscription_error") {
            let fits = world.facts.iter().any(|(_, fact)| {
                matches!(fact, Fact::Notice(Notice { kind: "subscription_lost", channel: Some(channel), trouble: Some(trouble) })
                    if lost["channel"] == **channel && is_trouble(lost, trouble))
            });
            if !fits {
                return fail("nobody was told");
            }
        } else if let Some(advice) = object.get("advice") {
            let hold = (advice["timeout"] == "client default").then(|| Options::default().hold);
            let interval = advice["interval"].as_u64().map(Millis);
            let fits = |pace: &(Millis, Millis)| {
                hold.is_none_or(|hold| hold == pace.0) && interval.is_none_or(|interval| interval == pace.1)
            };
            if !world.paces.iter().any(fits) {
                return fail(&format!("{:?}", world.paces));
            }
        } else if object.contains_key("abort") {
            if !world.facts.iter().any(|(_, fact)| matches!(fact, Fact::Cancelled(channel) if expected["abort"] == **channel) || matches!(fact, Fact::Landed { channel, failed: true } if expected["abort"] == **channel)) {
                return fail("never");
            }
        } else if object.get("timers").is_some() {
            if world.deadline != Deadline::Never {
                return fail("there is one left");
            }
        } else if object.contains_key("open") || object.contains_key("no_open") {
            let opened =
                world.facts.iter().filter(|(_, fact)| matches!(fact, Fact::SocketOpen)).count() as u64;
            let is_so = if object.contains_key("open") {
                opened >= expected["count"].as_u64().unwrap_or(1)
            } else {
                opened == 0
            };
            if !is_so {
                return fail(&format!("{opened} sockets"));
            }
        } else if object.contains_key("ws_close") {
            if !world.facts.iter().any(|(_, fact)| matches!(fact, Fact::SocketClose)) {
                return fail("never");
            }
        } else if let Some(most) = object.get("max_request_bytes").and_then(Value::as_u64) {
            if sent("*").iter().any(|one| one.8 as u64 > most) {
                return fail("a larger one");
            }
        } else if let Some(most) = object.get("buffer_max").and_then(Value::as_u64) {
            if world.most_pending as u64 > most {
                return fail(&format!("{} were pending", world.most_pending));
            }
        } else if let Some(most) = object.get("poll_pause_max_ms").and_then(Value::as_u64) {
            // Until the script ends.
            let last =
                world.facts.iter().rposition(|(_, fact)| matches!(fact, Fact::Event { .. })).unwrap_or(0);
            let polls: Vec<u64> =
                sent("/meta/connect").iter().filter(|one| one.0 <= last).map(|one| one.1).collect();
            if polls.windows(2).any(|two| two[1] - two[0] > most) {
                return fail(&format!("{polls:?}"));
            }
        } else if object.contains_key("duplicates") {
            let mut ids: Vec<_> = world
                .facts
                .iter()
                .filter_map(|(_, fact)| match fact {
                    Fact::Event { data, .. } => data["event"]["replayId"].as_str(),
                    _ => None,
                })
                .collect();
            let all = ids.len();
            ids.sort_unstable();
            ids.dedup();
            if ids.len() != all {
                return fail("there are some");
            }
        } else if let Some(count) = object.get("ack_count").and_then(Value::as_u64) {
            let done = world
                .facts
                .iter()
                .filter(
                    |(_, fact)| matches!(fact, Fact::Settled(name, Ok(())) if name.starts_with("publish")),
                )
                .count();
            if done as u64 != count {
                return fail(&format!("{done} were done"));
            }
        } else if !["call", "note", "clock_jump_ms"].iter().any(|key| object.contains_key(*key)) {
            unseen.extend(object.keys().next().cloned());
        }
    }
    if world.ops.len() > usize::from(case["id"] == "cn-22") && started("ended").is_some() {
        return Err(format!("never settled: {:?}", world.ops));
    }
    Ok(unseen)
}

/// How long the client rested between the end of one exchange of the connect lane (or a refused subscription) and the next message.
pub(crate) fn gaps(world: &World) -> Vec<u64> {
    let mut gaps = Vec::new();
    let mut last = None;
    for (at, fact) in &world.facts {
        match fact {
            Fact::Landed { .. } => last = Some(*at),
            Fact::Sent { .. } => gaps.extend(last.take().map(|last| at - last)),
            _ => {}
        }
    }
    gaps
}

/// The same, behind failures only.
pub(crate) fn rests(world: &World) -> Vec<u64> {
    let mut rests = Vec::new();
    let mut last = None;
    for (at, fact) in &world.facts {
        match fact {
            Fact::Landed { failed: true, channel } if channel.starts_with("/meta/") => last = Some(*at),
            Fact::Sent { .. } => rests.extend(last.take().map(|last| at - last)),
            _ => {}
        }
    }
    rests
}
