//! A Salesforce server in virtual time, with faults.

use std::collections::{BTreeMap, VecDeque};

use eventferry::engine::jitter::Rng;
use serde_json::{Value, json};

pub(super) const CHANNELS: [&str; 2] = ["/event/A__e", "/topic/T?Name='x'"];

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// The request is lost, or the response with its events.
    RequestLost,
    ResponseLost,
    /// The response is cut, or is not JSON at all.
    Cut,
    Garbage,
    Gateway,
    Unauthorized,
    Hangs,
}

pub(super) struct Session {
    /// The id of the last event sent, by channel.
    pub(super) sent: BTreeMap<String, u64>,
    /// Events for the next responses, also of channels that were unsubscribed meanwhile.
    pub(super) queue: VecDeque<Value>,
    pub(super) last_seen: u64,
}

pub(super) struct Server {
    pub(super) rng: Rng,
    /// Milliseconds between two events. Their ids count up, and their channels alternate.
    pub(super) interval: u64,
    pub(super) last: u64,
    /// The limit of events in one response.
    pub(super) max_events: usize,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) next_session: u32,
    pub(super) token: u32,
    /// The last token that worked. The client fails if a new token is refused.
    pub(super) accepted_token: String,
    /// Failures per thousand requests.
    pub(super) failure_rate: u64,
    pub(super) logins: u32,
    pub(super) handshakes: u32,
}

impl Server {
    pub(super) fn events_until(&self, now: u64) -> u64 {
        (now / self.interval).min(self.last)
    }

    pub(super) fn channel_of(id: u64) -> &'static str {
        CHANNELS[(id % 2) as usize].split('?').next().unwrap_or_default()
    }

    pub(super) fn pick(&mut self) -> Fault {
        if self.rng.up_to(999) >= self.failure_rate {
            return Fault::None;
        }
        [
            Fault::RequestLost,
            Fault::ResponseLost,
            Fault::ResponseLost,
            Fault::Cut,
            Fault::Garbage,
            Fault::Gateway,
            Fault::Unauthorized,
            Fault::Hangs,
        ][self.rng.up_to(7) as usize]
    }

    /// Queues the events up to a time.
    pub(super) fn fill(&mut self, client: &str, now: u64) {
        let until = self.events_until(now);
        let Some(session) = self.sessions.get_mut(client) else { return };
        let mut found = Vec::new();
        for (channel, sent) in &mut session.sent {
            let name = channel.split('?').next().unwrap_or_default();
            for id in *sent + 1..=until {
                if Self::channel_of(id) == name {
                    found.push((id, json!({ "channel": name, "data": { "event": { "replayId": id }, "payload": { "n": id } } })));
                }
            }
            *sent = until;
        }
        found.sort_by_key(|(id, _)| *id);
        session.queue.extend(found.into_iter().map(|(_, event)| event));
    }

    /// Takes the events of one response.
    /// Only the answer to a connect is limited: if events from before a new subscription stayed in the queue after
    /// its answer, nothing would tell them from those that it replays.
    pub(super) fn take(&mut self, client: &str, is_connect: bool) -> Vec<Value> {
        let max = if is_connect { self.max_events } else { usize::MAX };
        let Some(session) = self.sessions.get_mut(client) else { return Vec::new() };
        session.queue.drain(..session.queue.len().min(max)).collect()
    }

    /// When a connect request gets its response.
    pub(super) fn answers_at(&self, client: &str, now: u64, probes: bool) -> u64 {
        let Some(session) = self.sessions.get(client) else { return now };
        let has_waiting = session.sent.iter().any(|(channel, sent)| {
            (*sent + 1..=self.events_until(now))
                .any(|id| Self::channel_of(id) == channel.split('?').next().unwrap_or_default())
        });
        if probes || has_waiting || !session.queue.is_empty() {
            return now;
        }
        let next = self.events_until(now) + 1;
        if next > self.last || session.sent.is_empty() {
            now + 110_000
        } else {
            (next * self.interval + self.interval).min(now + 110_000)
        }
    }

    /// Queued events go with the answer to any request, and answers on two connections may overtake each other.
    pub(super) fn answer(&mut self, messages: &[Value], now: u64) -> Vec<Value> {
        let mut replies = Vec::new();
        for message in messages {
            let client = message["clientId"].as_str().unwrap_or_default().to_owned();
            let channel = message["channel"].as_str().unwrap_or_default();
            let reply = |successful: bool| json!({ "channel": channel, "id": message["id"], "successful": successful, "subscription": message["subscription"] });
            if channel == "/meta/handshake" {
                self.handshakes += 1;
                self.next_session += 1;
                let id = format!("c{}", self.next_session);
                self.sessions.insert(
                    id.clone(),
                    Session { sent: BTreeMap::new(), queue: VecDeque::new(), last_seen: now },
                );
                let mut granted = reply(true);
                granted["clientId"] = json!(id);
                granted["supportedConnectionTypes"] = json!(["long-polling"]);
                granted["ext"] = json!({ "replay": true });
                replies.push(granted);
                continue;
            }
            let is_forgotten =
                self.sessions.get(&client).is_none_or(|session| now > session.last_seen + 150_000);
            if is_forgotten {
                self.sessions.remove(&client);
                let mut refused = reply(false);
                refused["error"] = json!("403::Unknown client");
                if channel == "/meta/connect" {
                    refused["advice"] = json!({ "reconnect": "handshake", "interval": 0 });
                }
                replies.push(refused);
                continue;
            }
            // Earlier events precede the reply.
            self.fill(&client, now);
            let until = self.events_until(now);
            let session = self.sessions.get_mut(&client).expect("a session");
            session.last_seen = now;
            let subscription = message["subscription"].as_str().unwrap_or_default().to_owned();
            match channel {
                "/meta/subscribe" => {
                    let name = subscription.split('?').next().unwrap_or_default();
                    let from = match message["ext"]["replay"][name].as_i64() {
                        Some(-1) => until,
                        Some(-2) => 0,
                        Some(id) => id as u64,
                        None => panic!("{message} has no replay id"),
                    };
                    assert!(!session.sent.contains_key(&subscription), "subscribed twice");
                    session.sent.insert(subscription, from);
                    replies.push(reply(true));
                }
                "/meta/unsubscribe" => {
                    session.sent.remove(&subscription);
                    replies.push(reply(true));
                }
                "/meta/connect" => {
                    let mut granted = reply(true);
                    granted["advice"] = json!({ "reconnect": "retry", "interval": 0, "timeout": 110_000 });
                    replies.push(granted);
                }
                _ => replies.push(reply(true)),
            }
            self.fill(&client, now);
        }
        let client = messages.first().and_then(|message| message["clientId"].as_str()).unwrap_or_default();
        let is_connect = messages.iter().any(|message| message["channel"] == "/meta/connect");
        let mut answer = self.take(client, is_connect);
        answer.append(&mut replies);
        answer
    }
}
