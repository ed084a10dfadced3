//! The simulated world of one scenario: one client, one clock, and what happened.
//!
//! It checks the laws that hold in every scenario: the machine waits at some point, a wait is final, an operation settles once.

use std::collections::BTreeMap;

use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::ExchangeId;
use eventferry::base::time::{Deadline, Millis, Moment};
use eventferry::bayeux::errors::SessionError;
use eventferry::bayeux::session::{Event, Notice, State};
use eventferry::engine::machine::{Input, Output};
use serde_json::{Value, json};

use crate::client::{Peer, peer};

/// Something that is going to happen.
pub(crate) enum Coming {
    Landing(ExchangeId, Result<Response, Failure>),
    /// The answer to a request that was given up.
    Late(ExchangeId, Response),
    Opened(u32),
    Text(u32, String),
    SocketClosed(u32, u16),
    Call(String),
}

/// Something that has happened.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    Sent {
        message: Value,
        /// The number of the request or frame, and how many messages it had.
        request: u32,
        with: usize,
        via: &'static str,
        url: String,
        headers: String,
        timeout: u64,
        bytes: usize,
    },
    Token {
        form: String,
        content_type: bool,
    },
    Landed {
        channel: String,
        failed: bool,
    },
    Late,
    /// What came over the socket.
    Frame(Value),
    Called(String),
    Cancelled(String),
    State(State),
    Event {
        channel: String,
        data: Value,
    },
    Settled(String, Result<(), SessionError>),
    Notice(Notice),
    Lost,
    Ended(Option<SessionError>),
    SocketOpen,
    SocketClose,
    /// The inbox is full, and is emptied.
    Paused,
    Consumed,
}

pub(crate) struct Step {
    pub(crate) step: Value,
    pub(crate) session: usize,
    pub(crate) taken_at: Option<u64>,
}

/// One client, one scripted server, one clock.
pub(crate) struct World {
    pub(crate) peer: Peer,
    pub(crate) now: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) sessions: usize,
    pub(crate) facts: Vec<(u64, Fact)>,
    pub(crate) coming: BTreeMap<(u64, u32), Coming>,
    pub(crate) count: u32,
    pub(crate) flying: BTreeMap<u32, (u64, String, bool)>,
    pub(crate) ops: BTreeMap<u32, String>,
    pub(crate) deadline: Deadline,
    /// The most connects, and the most requests, at the same time.
    pub(crate) most: (usize, usize),
    pub(crate) accepts_sockets: bool,
    /// How many events may wait for the application, and how long each takes it.
    pub(crate) consumer: Option<(usize, u64)>,
    pub(crate) pending: usize,
    pub(crate) most_pending: usize,
    /// The replay id of the last event, by channel; at first those that the client was given.
    pub(crate) positions: BTreeMap<String, String>,
    pub(crate) requests: u32,
    pub(crate) paces: Vec<(Millis, Millis)>,
    /// All goes over one socket, whatever the handshake of the script says.
    pub(crate) is_socket: bool,
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl World {
    pub(crate) fn new(case: &Value) -> Self {
        let config = &case["client"];
        let steps: Vec<Value> = case["server_script"].as_array().cloned().unwrap_or_default();
        let mut session = 1;
        let mut seen = 0;
        let steps: Vec<Step> = steps
            .into_iter()
            .map(|step| {
                if step["on"] == "/meta/handshake" && step["reply"][0]["successful"] == true {
                    seen += 1;
                    session = seen;
                }
                Step { step, session, taken_at: None }
            })
            .collect();
        let accepts_sockets =
            steps.iter().any(|step| step.step["on"] == "ws:open" && step.step["accept"] == true);
        Self {
            peer: peer(config),
            now: 0,
            steps,
            sessions: 0,
            facts: Vec::new(),
            coming: BTreeMap::new(),
            count: 0,
            flying: BTreeMap::new(),
            ops: BTreeMap::new(),
            deadline: Deadline::Never,
            most: (0, 0),
            accepts_sockets: accepts_sockets || config["transport"] == "websocket",
            consumer: config["highWaterMark"].as_u64().map(|mark| (mark as usize, 7000)),
            pending: 0,
            most_pending: 0,
            positions: config["replay"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(channel, id)| (channel.clone(), id.to_string()))
                .collect(),
            requests: 0,
            paces: Vec::new(),
            is_socket: config["transport"] == "websocket",
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    pub(crate) fn later(&mut self, after: u64, coming: Coming) {
        self.count += 1;
        self.coming.insert((self.now + after, self.count), coming);
    }

    pub(crate) fn note(&mut self, fact: Fact) {
        self.facts.push((self.now, fact));
    }

    pub(crate) fn subscribe(&mut self, channel: &str) {
        let now = self.moment();
        let op = self.peer.session().subscribe(now, channel);
        self.ops.insert(op.0, format!("subscribe {channel}"));
    }

    /// Does what the machine asks, until it waits.
    pub(crate) fn settle(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "the machine never waits");
            match self.peer.poll() {
                Output::Send(id, request) => self.serve(id, &request),
                Output::Cancel(id) => {
                    if let Some((_, channel, _)) = self.flying.remove(&id.0) {
                        self.note(Fact::Cancelled(channel));
                    }
                    self.coming
                        .retain(|_, coming| !matches!(coming, Coming::Landing(other, _) if *other == id));
                }
                Output::Event(event) => self.hear(event),
                Output::Load(_) | Output::Save(..) => unreachable!("a session keeps nothing"),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    let pace = self.peer.session().timing();
                    self.paces.push(pace);
                    assert!(
                        matches!(self.peer.poll(), Output::Wait(again) if again == deadline),
                        "wait is not final"
                    );
                    return;
                }
            }
        }
    }

    pub(crate) fn hear(&mut self, event: Event) {
        match event {
            Event::Messages { text, events, .. } => {
                let whole = String::from_utf8(text).expect("UTF-8");
                let units: Vec<u16> = whole.encode_utf16().collect();
                for row in events {
                    let data = &whole[row.data.start..row.data.end];
                    // JavaScript cuts the same text by UTF-16 units.
                    assert_eq!(
                        String::from_utf16_lossy(&units[row.data.start_unit..row.data.end_unit]),
                        data
                    );
                    let message: Value =
                        serde_json::from_str(&String::from_utf16_lossy(&units[row.message.0..row.message.1]))
                            .expect("JSON");
                    let mut data: Value = serde_json::from_str(data).expect("JSON");
                    let position =
                        row.ids.replay_id.map(|position| whole[position.start..position.end].to_owned());
                    if let Some(position) = &position {
                        data["event"]["replayId"] = json!(position);
                    }
                    assert_eq!(message["channel"], json!(whole[row.channel.start..row.channel.end]));
                    let channel = whole[row.channel.start..row.channel.end].to_owned();
                    if let Some(position) = position {
                        self.positions.insert(channel.clone(), position);
                    }
                    self.note(Fact::Event { channel, data });
                    self.pending += 1;
                }
                self.most_pending = self.most_pending.max(self.pending);
                if let Some((mark, each)) = self.consumer {
                    if self.pending >= mark {
                        let now = self.moment();
                        self.peer.session().pause(now);
                        self.note(Fact::Paused);
                    }
                    self.later(each, Coming::Call("consume".to_owned()));
                }
            }
            Event::Settled(op, result) => {
                let name =
                    self.ops.remove(&op.0).unwrap_or_else(|| panic!("{op:?} settles twice, or is not known"));
                self.note(Fact::Settled(name, result));
            }
            Event::State(state) => self.note(Fact::State(state)),
            Event::Notice(notice) => self.note(Fact::Notice(notice)),
            Event::ConnectionLost(_) => self.note(Fact::Lost),
            Event::Ended(error) => self.note(Fact::Ended(error)),
            Event::NeedsCredentials { .. } => unreachable!("nobody asked for authentication"),
            Event::SocketOpen { id, .. } => {
                self.note(Fact::SocketOpen);
                let step = self.take(|step| step["on"] == "ws:open");
                let accepts = step.map_or(self.accepts_sockets, |step| step["accept"] == true);
                let coming = if accepts { Coming::Opened(id) } else { Coming::SocketClosed(id, 1006) };
                self.later(1, coming);
            }
            Event::SocketSend { id, text } => self.serve_socket(id, &text),
            Event::SocketClose { id } => {
                self.note(Fact::SocketClose);
                self.coming.retain(|_, coming| {
                    !matches!(coming, Coming::Opened(other) | Coming::Text(other, _) | Coming::SocketClosed(other, _) if *other == id)
                });
            }
        }
    }

    /// Lets the next thing happen. False if nothing ever will.
    pub(crate) fn step(&mut self) -> bool {
        self.settle();
        let next = self.coming.keys().next().copied();
        let waking = match self.deadline {
            Deadline::At(at) => Some(at.as_millis()),
            Deadline::Never => None,
        };
        match (next, waking) {
            (Some(key), waking) if waking.is_none_or(|waking| key.0 <= waking) => {
                self.now = self.now.max(key.0);
                let coming = self.coming.remove(&key).expect("coming");
                self.happen(coming);
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                let now = self.moment();
                self.peer.handle(now, Input::Tick);
            }
            _ => return false,
        }
        self.settle();
        true
    }

    pub(crate) fn happen(&mut self, coming: Coming) {
        let now = self.moment();
        match coming {
            Coming::Landing(id, outcome) => {
                let (_, channel, failed) = self.flying.remove(&id.0).expect("in flight");
                self.note(Fact::Landed { channel, failed });
                self.peer.handle(now, Input::Exchange(id, outcome));
            }
            Coming::Late(id, response) => {
                self.note(Fact::Late);
                self.peer.handle(now, Input::Exchange(id, Ok(response)));
            }
            Coming::Opened(id) => self.peer.session().socket_opened(now, id),
            Coming::Text(id, text) => {
                // Some frames are no JSON on purpose.
                self.note(Fact::Frame(serde_json::from_str(&text).unwrap_or_default()));
                match &mut self.peer {
                    Peer::Bayeux(client) => client.socket_text(now, id, text.into_bytes()),
                    Peer::Salesforce(_) => unreachable!("no sockets"),
                }
            }
            Coming::SocketClosed(id, code) => match &mut self.peer {
                Peer::Bayeux(client) => client.socket_closed(now, id, code),
                Peer::Salesforce(client) => client.socket_closed(now, id, code),
            },
            Coming::Call(call) => self.call(&call),
        }
    }

    pub(crate) fn call(&mut self, call: &str) {
        let now = self.moment();
        self.note(Fact::Called(call.to_owned()));
        let mut words = call.splitn(2, ' ');
        match (words.next().unwrap_or_default(), words.next()) {
            ("subscribe", Some(channel)) => self.subscribe(channel),
            ("unsubscribe", Some(channel)) => {
                let op = self.peer.session().unsubscribe(now, channel, false);
                self.ops.insert(op.0, call.to_owned());
            }
            ("publish", Some(channel)) => {
                let op = self.peer.publish(now, channel, "{\"n\":1}");
                self.ops.insert(op.0, call.to_owned());
            }
            ("close", _) => self.peer.session().close(now),
            ("jump", Some(ms)) => {
                // Nothing happens while the machine sleeps.
                self.now += ms.parse::<u64>().expect("a number");
                let now = self.moment();
                self.peer.handle(now, Input::Tick);
            }
            ("consume", _) => {
                self.pending = 0;
                self.note(Fact::Consumed);
                self.peer.session().resume_polling(now);
            }
            other => unreachable!("{other:?}"),
        }
    }
}
