//! Expectations about what the client sends, and about its sockets.

use serde_json::Value;

use super::{Check, Outcome, is_part, number, require, string_of};
use crate::scenarios::only_known;
use crate::simulation::{Record, text};

/// One message that was sent.
pub(super) struct Sent<'a> {
    pub(super) at: usize,
    pub(super) when: u64,
    pub(super) message: &'a Value,
    pub(super) request: u32,
    with: usize,
    via: &'static str,
    url: &'a str,
    headers: &'a str,
    pub(super) timeout_ms: u64,
    bytes: usize,
}

impl Sent<'_> {
    pub(super) fn is_socket(&self) -> bool {
        self.via == "websocket"
    }
}

impl<'a> Check<'a> {
    /// The messages sent on a channel, `*` for all.
    pub(super) fn sent(&self, channel: &str) -> Vec<Sent<'a>> {
        let records = self.simulation.records.iter().enumerate();
        records
            .filter_map(|(at, (when, record))| match record {
                Record::Sent { message, request, with, via, url, headers, timeout, bytes }
                    if channel == "*" || message["channel"] == channel =>
                {
                    Some(Sent {
                        at,
                        when: *when,
                        message,
                        request: *request,
                        with: *with,
                        via,
                        url,
                        headers,
                        timeout_ms: *timeout,
                        bytes: *bytes,
                    })
                }
                _ => None,
            })
            .collect()
    }

    /// The delay between the end of the previous exchange and a message.
    fn delay_of(&self, sent: &Sent<'_>) -> u64 {
        let before = self.simulation.records[..sent.at].iter().rev();
        let mut causes =
            before.filter(|(_, record)| matches!(record, Record::ExchangeEnd { .. } | Record::Cancelled(_)));
        sent.when - causes.next().map_or(0, |(when, _)| *when)
    }

    /// Whether a message was sent after the event that `after` of a scenario names.
    fn is_after(&self, what: &str, sent: &Sent<'_>) -> Result<bool, String> {
        let before = &self.simulation.records[..sent.at];
        let events = before.iter().filter(|(_, record)| matches!(record, Record::Event { .. })).count();
        match what {
            "event" => Ok(events >= 1),
            "both events" => Ok(events >= 2),
            // The advice of the script: 30 s, 0 s and 10 s.
            "unconnected > timeout+interval+maxInterval" => {
                let last = before
                    .iter()
                    .rev()
                    .find(|(_, record)| matches!(record, Record::ExchangeEnd { channel, failed: false } if channel == "/meta/connect"));
                Ok(last.is_some_and(|(when, _)| sent.when - when > 40_000))
            }
            other => Err(format!("the runner does not know the value {other:?} of after")),
        }
    }
}

pub(super) fn send(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let channel = string_of(expected, "send")?;
    let all = check.sent(channel);
    if expected.get("count").is_some() {
        let count = number(expected, "count")?;
        return require(all.len() as u64 == count, || format!("{} were sent", all.len()));
    }
    if expected.get("count_at_least").is_some() {
        let count = number(expected, "count_at_least")?;
        return require(all.len() as u64 >= count, || format!("{} were sent", all.len()));
    }
    if expected["every"] == true {
        let is_every = !all.is_empty() && all.iter().all(|sent| is_part(&expected["match"], sent.message));
        return require(is_every, || "not every one".to_owned());
    }
    let fits = |sent: &Sent<'_>| {
        (expected["match"].is_null() || is_part(&expected["match"], sent.message))
            && expected["absent"].as_array().is_none_or(|names| {
                names.iter().all(|name| sent.message[name.as_str().unwrap_or_default()].is_null())
            })
            && (expected["alone"] != true || sent.with == 1)
            && expected["via"].as_str().is_none_or(|wanted| wanted == sent.via)
            && expected["host"].as_str().is_none_or(|host| sent.url.contains(&format!("//{host}/")))
    };
    if expected.get("nth").is_some() {
        let nth = number(expected, "nth")? as usize;
        let one = all.get(nth - 1);
        return require(one.is_some_and(fits), || format!("it was {:?}", one.map(|one| one.message)));
    }
    let from = check.cursor(channel);
    let mut found = None;
    for sent in all.iter().filter(|sent| sent.at >= from && fits(sent)) {
        let in_time = expected["after_ms"].as_array().is_none_or(|range| {
            let delay = check.delay_of(sent);
            delay >= range[0].as_u64().unwrap_or(0) && delay <= range[1].as_u64().unwrap_or(u64::MAX)
        });
        let is_after = match expected["after"].as_str() {
            Some(what) => check.is_after(what, sent)?,
            None => true,
        };
        if in_time && is_after {
            found = Some(sent.at);
            break;
        }
    }
    let Some(found) = found else {
        let messages = all.iter().map(|sent| sent.message.to_string()).collect::<Vec<_>>();
        return Err(format!("sent were {messages:?}"));
    };
    check.advance(channel, found);
    Ok(())
}

pub(super) fn send_batch(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let batch = expected["send_batch"].as_array().ok_or("send_batch must be a list")?;
    let all = check.sent("/meta/subscribe");
    let together = all.iter().filter(|sent| sent.with == batch.len()).collect::<Vec<_>>();
    for part in batch {
        let found = match part.as_str().and_then(|part| part.split_once(' ')) {
            Some((channel, subscription)) => together.iter().any(|sent| {
                sent.message["channel"] == channel && sent.message["subscription"] == subscription
            }),
            None => together.iter().any(|sent| {
                is_part(part, sent.message)
                    && sent.message["ext"]["replay"].as_object().is_none_or(|map| map.len() == 1)
            }),
        };
        let messages = all.iter().map(|sent| sent.message).collect::<Vec<_>>();
        require(found, || format!("sent were {messages:?}"))?;
    }
    if expected.get("requests").is_some() {
        let count = number(expected, "requests")?;
        let mut requests = all.iter().map(|sent| sent.request).collect::<Vec<_>>();
        requests.dedup();
        require(requests.len() as u64 == count, || format!("they went in {} requests", requests.len()))?;
    }
    Ok(())
}

pub(super) fn no_send(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let channel = string_of(expected, "no_send")?;
    let all = check.sent(channel);
    // Messages that every session sends are forbidden after its end only; other messages at any time.
    let Some(end) = check.ended_at() else {
        require(!["/meta/connect", "*"].contains(&channel), || "the session has not ended".to_owned())?;
        return require(all.is_empty(), || "it was sent".to_owned());
    };
    let ended = check.simulation.records[end].0;
    let for_ms = expected.get("for_ms").map(|_| number(expected, "for_ms")).transpose()?;
    let is_late = |sent: &&Sent<'_>| sent.at > end && for_ms.is_none_or(|ms| sent.when <= ended + ms);
    require(!all.iter().any(|sent| is_late(&sent)), || "it was sent".to_owned())
}

pub(super) fn header(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let header = &expected["header"];
    only_known(header, &["on", "name", "value"], "header")?;
    let wanted = format!("{}: {}", text(&header["name"]).to_lowercase(), text(&header["value"]));
    let all = check.sent(string_of(header, "on")?);
    let has = all.iter().any(|sent| sent.headers.lines().any(|line| line == wanted));
    require(has, || format!("headers were {:?}", all.iter().map(|sent| sent.headers).collect::<Vec<_>>()))
}

pub(super) fn no_header(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let header = &expected["no_header"];
    only_known(header, &["host", "name"], "no_header")?;
    let name = format!("{}:", text(&header["name"]).to_lowercase());
    let host = text(&header["host"]);
    let has = check
        .sent("*")
        .iter()
        .any(|sent| sent.url.contains(&host) && sent.headers.lines().any(|line| line.starts_with(&name)));
    require(!has, || "it was sent".to_owned())
}

pub(super) fn oauth(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let known = ["application/x-www-form-urlencoded"];
    require(known.contains(&string_of(expected, "ctype")?), || {
        "the runner does not know this ctype".to_owned()
    })?;
    let sent = check.simulation.records.iter().find_map(|(_, record)| match record {
        Record::Token { form, content_type: true } => Some(form),
        _ => None,
    });
    let sent = sent.ok_or("no login")?;
    for (name, value) in expected["oauth"].as_object().ok_or("oauth must be an object")? {
        let field = format!("{name}={}", text(value).replace('@', "%40"));
        require(sent.split('&').any(|other| other == field), || sent.clone())?;
    }
    Ok(())
}

fn logins(check: &Check<'_>) -> u64 {
    check.simulation.records.iter().filter(|(_, record)| matches!(record, Record::Token { .. })).count()
        as u64
}

pub(super) fn oauth_count(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let count = number(expected, "oauth_count")?;
    require(logins(check) == count, || format!("{} logins", logins(check)))
}

/// The client neither logs in nor sends credentials.
pub(super) fn no_auth(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["no_auth"] == true, || "no_auth must be true".to_owned())?;
    require(logins(check) == 0, || format!("{} logins", logins(check)))?;
    let all = check.sent("*");
    let has = all.iter().any(|sent| sent.headers.lines().any(|line| line.starts_with("authorization:")));
    require(!has, || "credentials were sent".to_owned())
}

pub(super) fn url(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let url = string_of(expected, "url")?;
    require(check.sent("/meta/handshake").iter().any(|sent| sent.url == url), || {
        "it used another URL".to_owned()
    })
}

pub(super) fn max_outstanding(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let limits = &expected["max_outstanding"];
    only_known(limits, &["/meta/connect", "*"], "max_outstanding")?;
    let (connects, all) = check.simulation.max_in_flight;
    let holds = limits["/meta/connect"].as_u64().is_none_or(|most| connects as u64 <= most)
        && limits["*"].as_u64().is_none_or(|most| all as u64 <= most);
    require(holds, || format!("{connects} connects, {all} requests"))
}

pub(super) fn max_request_bytes(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let most = number(expected, "max_request_bytes")?;
    require(check.sent("*").iter().all(|sent| sent.bytes as u64 <= most), || "a larger one".to_owned())
}

pub(super) fn abort(check: &mut Check<'_>, expected: &Value) -> Outcome {
    let wanted = string_of(expected, "abort")?;
    let is_aborted = check.has(|record| match record {
        Record::Cancelled(channel) | Record::ExchangeEnd { channel, failed: true } => channel == wanted,
        _ => false,
    });
    require(is_aborted, || "never".to_owned())
}

fn sockets(check: &Check<'_>) -> u64 {
    check.simulation.records.iter().filter(|(_, record)| matches!(record, Record::SocketOpen)).count() as u64
}

pub(super) fn open(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["open"] == "websocket", || "the runner does not know what to open".to_owned())?;
    let least = expected["count"].as_u64().unwrap_or(1);
    require(sockets(check) >= least, || format!("{} sockets", sockets(check)))
}

pub(super) fn no_open(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["no_open"] == "websocket", || "the runner does not know what to open".to_owned())?;
    require(sockets(check) == 0, || format!("{} sockets", sockets(check)))
}

/// The owner closes the socket with 1000, the only code that the client uses.
pub(super) fn ws_close(check: &mut Check<'_>, expected: &Value) -> Outcome {
    require(expected["ws_close"] == 1000, || "the client closes with 1000 only".to_owned())?;
    require(check.has(|record| matches!(record, Record::SocketClose)), || "never".to_owned())
}
