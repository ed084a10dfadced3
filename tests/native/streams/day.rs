//! A listener that is left alone for a day, with what happens to it on an ordinary one: Salesforce ends
//! sessions and tokens, the network fails for minutes, the computer sleeps. Every event arrives once and in
//! order, and the number of requests stays within a bound.

use std::collections::BTreeMap;

use eventferry::base::ids::OpId;
use eventferry::bayeux::session::{Input, Probe};
use eventferry::engine::jitter::Rng;
use serde_json::{Value, json};

use super::world::{Answer, Client, StreamWorld, event, refuse, reply_to, world};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
/// One event a minute, for the two channels in turn.
const EVENTS: u64 = DAY / MINUTE;
const CHANNELS: [&str; 2] = ["/event/A__e", "/event/B__e"];
const POLL_MS: u64 = 110 * SECOND;
/// A session without a connect for this long is forgotten.
const FORGOTTEN_MS: u64 = 150 * SECOND;

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    /// `/meta/disconnect` alone.
    Goodbye,
    /// The token ends: 401 beside a `/meta/disconnect`.
    TokenEnd,
    /// No answer for so long.
    Outage(u64),
    /// The computer sleeps for so long.
    Sleep(u64),
}

/// The troubles of a day, by the time at which they begin; none runs into another.
fn troubles(seed: u64) -> BTreeMap<u64, Trouble> {
    let mut rng = Rng::new(seed);
    let mut at = 10 * MINUTE;
    let mut troubles = BTreeMap::new();
    while at < DAY - 90 * MINUTE {
        let (trouble, length) = match rng.up_to(5) {
            0 | 1 => (Trouble::Goodbye, 0),
            2 | 3 => (Trouble::TokenEnd, 0),
            4 => {
                let length = SECOND + rng.up_to(10 * MINUTE);
                (Trouble::Outage(length), length)
            }
            _ => {
                let length = 10 * SECOND + rng.up_to(50 * MINUTE);
                (Trouble::Sleep(length), length)
            }
        };
        troubles.insert(at, trouble);
        at += length + SECOND + rng.up_to(30 * MINUTE);
    }
    troubles
}

struct Session {
    /// The id of the last event sent, by channel.
    sent: BTreeMap<String, u64>,
    last_seen: u64,
}

struct Salesforce {
    troubles: BTreeMap<u64, Trouble>,
    sessions: BTreeMap<String, Session>,
    count: u32,
    rng: Rng,
}

impl Salesforce {
    fn is_out(&self, now: u64) -> bool {
        self.troubles
            .range(..=now)
            .any(|(at, trouble)| matches!(trouble, Trouble::Outage(ms) if now < at + ms))
    }

    /// Tokens are named by the time of their login.
    fn is_valid(&self, token: &str, now: u64) -> bool {
        let granted: u64 = token.trim_start_matches('T').parse().expect("a time");
        !self.troubles.range(granted + 1..=now).any(|(_, trouble)| *trouble == Trouble::TokenEnd)
    }

    fn login(&mut self, now: u64) -> Answer {
        if self.is_out(now) { Answer::Broken(100) } else { super::world::grant(&format!("T{now}")) }
    }

    /// The events up to a time that a session has not got yet.
    fn unsent(&self, client: &str, until: u64) -> Vec<(u64, &'static str)> {
        let Some(session) = self.sessions.get(client) else { return Vec::new() };
        let last = (until / MINUTE).min(EVENTS);
        let ids = (1..=last).map(|id| (id, CHANNELS[(id % 2) as usize]));
        ids.filter(|(id, channel)| session.sent.get(*channel).is_some_and(|sent| sent < id)).collect()
    }

    fn answer(&mut self, now: u64, messages: &[Value], token: &str) -> Answer {
        let delay = 20 + self.rng.up_to(60);
        if self.is_out(now) {
            return Answer::Broken(100);
        }
        if !self.is_valid(token, now) {
            return Answer::Messages(
                delay,
                vec![refuse(&messages[0], "401::Authentication invalid", "none")],
            );
        }
        let client = messages[0]["clientId"].as_str().unwrap_or_default().to_owned();
        if messages[0]["channel"] == "/meta/connect" && messages[0]["advice"].is_null() {
            return self.poll(now, &messages[0], &client, delay);
        }
        let mut replies = Vec::new();
        for message in messages {
            let mut reply = reply_to(message, true);
            if message["channel"] == "/meta/handshake" {
                self.count += 1;
                let id = format!("c{}", self.count);
                reply["clientId"] = json!(id);
                reply["supportedConnectionTypes"] = json!(["long-polling"]);
                reply["ext"] = json!({ "replay": true });
                self.sessions.insert(id, Session { sent: BTreeMap::new(), last_seen: now });
            } else if self.forgets(&client, now) {
                reply = refuse(message, "403::Unknown client", "handshake");
            } else if let Some(session) = self.sessions.get_mut(&client) {
                let channel = message["subscription"].as_str().unwrap_or_default().to_owned();
                if message["channel"] == "/meta/unsubscribe" {
                    session.sent.remove(&channel);
                } else if message["channel"] == "/meta/subscribe" {
                    let from = message["ext"]["replay"][&channel].as_i64().expect("a position");
                    session.sent.insert(channel, u64::try_from(from).unwrap_or(0));
                }
            }
            replies.push(reply);
        }
        Answer::Messages(delay, replies)
    }

    fn forgets(&mut self, client: &str, now: u64) -> bool {
        match self.sessions.get_mut(client) {
            Some(session) if now < session.last_seen + FORGOTTEN_MS => {
                session.last_seen = now;
                false
            }
            _ => {
                self.sessions.remove(client);
                true
            }
        }
    }

    /// Holds a poll until there is an event, or a trouble.
    fn poll(&mut self, now: u64, poll: &Value, client: &str, delay: u64) -> Answer {
        if self.forgets(client, now) {
            return Answer::Messages(delay, vec![refuse(poll, "403::Unknown client", "handshake")]);
        }
        let due = self.unsent(client, now + POLL_MS).first().map(|(id, _)| (id * MINUTE).max(now));
        let trouble = self
            .troubles
            .range(now + 1..now + POLL_MS)
            .find(|(_, trouble)| !matches!(trouble, Trouble::Sleep(_)));
        let answered_at = due.unwrap_or(now + POLL_MS);
        if let Some((at, trouble)) = trouble.filter(|(at, _)| **at <= answered_at) {
            let (held, goodbye) = (at - now, json!({ "channel": "/meta/disconnect" }));
            return match trouble {
                Trouble::Outage(_) => Answer::Broken(held),
                Trouble::TokenEnd => {
                    self.sessions.remove(client);
                    let refusal = refuse(poll, "401::Authentication invalid", "none");
                    Answer::Messages(held, vec![goodbye, refusal])
                }
                _ => {
                    self.sessions.remove(client);
                    Answer::Messages(held, vec![goodbye])
                }
            };
        }
        let unsent = self.unsent(client, answered_at);
        let session = self.sessions.get_mut(client).expect("a session");
        session.last_seen = answered_at;
        for (id, channel) in &unsent {
            session.sent.insert((*channel).to_owned(), *id);
        }
        let mut replies: Vec<Value> = unsent.iter().map(|(id, channel)| event(channel, *id)).collect();
        replies.push(reply_to(poll, true));
        Answer::Messages(answered_at - now + delay, replies)
    }
}

/// Runs the day of a seed. Returns the world and the number of troubles.
fn run_day(seed: u64) -> (StreamWorld, usize) {
    let troubles = troubles(seed);
    let server = std::rc::Rc::new(std::cell::RefCell::new(Salesforce {
        troubles: troubles.clone(),
        sessions: BTreeMap::new(),
        count: 0,
        rng: Rng::new(seed ^ 0x5a),
    }));
    let login = std::rc::Rc::clone(&server);
    let mut world = world(
        Client::salesforce(|_| {}),
        move |now| login.borrow_mut().login(now),
        move |now, messages, token| server.borrow_mut().answer(now, messages, token),
    );
    world.input(Input::Subscribe(OpId(1), CHANNELS[0].to_owned()));
    world.input(Input::Subscribe(OpId(2), CHANNELS[1].to_owned()));
    world.input(Input::Open(OpId(3)));
    for (at, trouble) in &troubles {
        if let Trouble::Sleep(ms) = trouble {
            world.run_until(*at);
            world.sleep(*ms);
            world.input(Input::Probe(Probe::NetworkChanged));
        }
    }
    world.run_until(DAY + 10 * MINUTE);
    (world, troubles.len())
}

#[test]
fn a_listener_left_alone_for_a_day_gets_every_event_once_and_in_order() {
    for seed in 0..20 {
        let (world, troubles) = run_day(seed);
        assert_eq!(world.end(), None, "seed {seed}");
        let delivered = world.delivered();
        for half in 0..2 {
            let of_channel: Vec<u64> = delivered.iter().copied().filter(|id| id % 2 == half).collect();
            let wanted: Vec<u64> = (1..=EVENTS).filter(|id| id % 2 == half).collect();
            assert_eq!(of_channel, wanted, "seed {seed}, channel {half}");
        }
        // One poll for each event, and thirty requests for each trouble.
        let most = EVENTS as usize + 30 * troubles;
        let count = world.requests.len();
        assert!(count < most, "seed {seed}: {count} requests with {troubles} troubles, at most {most}");
    }
}
