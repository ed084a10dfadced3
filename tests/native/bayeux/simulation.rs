//! The simulation of one scenario: one client, one scripted server, one clock, and the records of what
//! happened.
//!
//! It checks the laws that hold in every scenario: `poll` returns `Wait` at some point, `Wait` is final, and
//! each operation settles once.

use std::collections::BTreeMap;

use eventferry::base::http::{Failure, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::time::{Deadline, Millis, Moment};
use eventferry::bayeux::errors::SessionError;
use eventferry::bayeux::session::{Event, Input, Notice, State};
use eventferry::engine::machine::{Output, Poll};
use serde_json::{Value, json};

use crate::test_client::{TestClient, new_client};

/// Something that will happen at a later time.
pub(crate) enum Scheduled {
    ExchangeEnd(ExchangeId, Result<Response, Failure>),
    /// The response to a request that has timed out.
    LateResponse(ExchangeId, Response),
    SocketOpened(u32),
    Frame(u32, String),
    SocketClosed(u32, u16),
    Call(String),
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Sent {
        message: Value,
        /// The number of the request or frame.
        request: u32,
        /// The number of messages in it.
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
    ExchangeEnd {
        channel: String,
        failed: bool,
    },
    LateResponse,
    /// A frame of the server.
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
    /// The inbox is full.
    Paused,
    /// The application has emptied the inbox.
    Consumed,
}

pub(crate) struct Step {
    pub(crate) step: Value,
    pub(crate) session: usize,
    pub(crate) taken_at: Option<u64>,
}

/// One client, one scripted server and one clock.
pub(crate) struct Simulation {
    pub(crate) client: TestClient,
    pub(crate) now: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) sessions: usize,
    pub(crate) records: Vec<(u64, Record)>,
    pub(crate) scheduled: BTreeMap<(u64, u32), Scheduled>,
    pub(crate) count: u32,
    pub(crate) in_flight: BTreeMap<u32, (u64, String, bool)>,
    pub(crate) ops: BTreeMap<u32, String>,
    op_count: u32,
    pub(crate) deadline: Deadline,
    /// The highest number of simultaneous connects and of simultaneous requests.
    pub(crate) max_in_flight: (usize, usize),
    pub(crate) accepts_sockets: bool,
    /// The capacity of the inbox, and the time between two reads in milliseconds.
    pub(crate) consumer: Option<(usize, u64)>,
    pub(crate) pending: usize,
    pub(crate) max_pending: usize,
    /// The replay id of the last event of each channel; before, the stored one.
    pub(crate) positions: BTreeMap<String, String>,
    pub(crate) requests: u32,
    pub(crate) timings: Vec<(Millis, Millis)>,
    /// All messages use one socket, whatever transports the handshake of the script offers.
    pub(crate) is_socket: bool,
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Simulation {
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
            client: new_client(config),
            now: 0,
            steps,
            sessions: 0,
            records: Vec::new(),
            scheduled: BTreeMap::new(),
            count: 0,
            in_flight: BTreeMap::new(),
            ops: BTreeMap::new(),
            op_count: 0,
            deadline: Deadline::Never,
            max_in_flight: (0, 0),
            accepts_sockets: accepts_sockets || config["transport"] == "websocket",
            consumer: config["highWaterMark"].as_u64().map(|mark| (mark as usize, 7000)),
            pending: 0,
            max_pending: 0,
            positions: config["replay"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(channel, id)| (channel.clone(), id.to_string()))
                .collect(),
            requests: 0,
            timings: Vec::new(),
            is_socket: config["transport"] == "websocket",
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    pub(crate) fn schedule(&mut self, after: u64, scheduled: Scheduled) {
        self.count += 1;
        self.scheduled.insert((self.now + after, self.count), scheduled);
    }

    pub(crate) fn log(&mut self, record: Record) {
        self.records.push((self.now, record));
    }

    pub(crate) fn input(&mut self, input: Input) {
        let now = self.moment();
        self.client.handle(now, input);
    }

    /// A new operation.
    pub(crate) fn op(&mut self, name: &str) -> OpId {
        self.op_count += 1;
        self.ops.insert(self.op_count, name.to_owned());
        OpId(self.op_count)
    }

    /// Carries out all outputs of the client until it waits.
    pub(crate) fn run_until_wait(&mut self) {
        for step in 0.. {
            assert!(step < 100_000, "the machine never waits");
            match self.client.poll() {
                Poll::Do(Output::Send(id, request)) => self.on_request(id, &request),
                Poll::Do(Output::Cancel(id)) => {
                    if let Some((_, channel, _)) = self.in_flight.remove(&id.0) {
                        self.log(Record::Cancelled(channel));
                    }
                    self.scheduled.retain(
                        |_, scheduled| !matches!(scheduled, Scheduled::ExchangeEnd(other, _) if *other == id),
                    );
                }
                Poll::Do(Output::Event(event)) => self.on_event(event),
                Poll::Wait(deadline) => {
                    self.deadline = deadline;
                    let timing = self.client.session().timing();
                    self.timings.push(timing);
                    assert!(
                        matches!(self.client.poll(), Poll::Wait(again) if again == deadline),
                        "wait is not final"
                    );
                    return;
                }
            }
        }
    }

    pub(crate) fn on_event(&mut self, event: Event) {
        match event {
            Event::Messages { text, events, .. } => {
                let whole = String::from_utf8(text).expect("UTF-8");
                let units: Vec<u16> = whole.encode_utf16().collect();
                for row in events {
                    let data = &whole[row.data.start..row.data.end];
                    // JavaScript slices the same text by UTF-16 units.
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
                    self.log(Record::Event { channel, data });
                    self.pending += 1;
                }
                self.max_pending = self.max_pending.max(self.pending);
                if let Some((mark, each)) = self.consumer {
                    if self.pending >= mark {
                        self.log(Record::Paused);
                    }
                    self.schedule(each, Scheduled::Call("consume".to_owned()));
                }
            }
            Event::Settled(op, result) => {
                let name =
                    self.ops.remove(&op.0).unwrap_or_else(|| panic!("{op:?} settles twice, or is not known"));
                self.log(Record::Settled(name, result));
            }
            Event::State(state) => self.log(Record::State(state)),
            Event::Notice(notice) => self.log(Record::Notice(notice)),
            Event::ConnectionLost(..) => self.log(Record::Lost),
            Event::Ended(error) => self.log(Record::Ended(error)),
            Event::NeedsCredentials { .. } => unreachable!("these clients have no auth option"),
            Event::SocketOpen { id, .. } => {
                self.log(Record::SocketOpen);
                let step = self.take_step(|step| step["on"] == "ws:open");
                let accepts = step.map_or(self.accepts_sockets, |step| step["accept"] == true);
                let scheduled =
                    if accepts { Scheduled::SocketOpened(id) } else { Scheduled::SocketClosed(id, 1006) };
                self.schedule(1, scheduled);
            }
            Event::SocketSend { id, text } => self.on_frame(id, &text),
            Event::SocketClose { id } => {
                self.log(Record::SocketClose);
                self.scheduled.retain(|_, scheduled| {
                    !matches!(scheduled, Scheduled::SocketOpened(other) | Scheduled::Frame(other, _) | Scheduled::SocketClosed(other, _) if *other == id)
                });
            }
        }
    }

    /// Runs the next scheduled item or timer. False if there is none.
    pub(crate) fn step(&mut self) -> bool {
        self.run_until_wait();
        let next = self.scheduled.keys().next().copied();
        let deadline = match self.deadline {
            Deadline::At(at) => Some(at.as_millis()),
            Deadline::Never => None,
        };
        match (next, deadline) {
            (Some(key), deadline) if deadline.is_none_or(|deadline| key.0 <= deadline) => {
                self.now = self.now.max(key.0);
                let scheduled = self.scheduled.remove(&key).expect("scheduled");
                self.run_scheduled(scheduled);
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                self.input(Input::Tick);
            }
            _ => return false,
        }
        self.run_until_wait();
        true
    }

    pub(crate) fn run_scheduled(&mut self, scheduled: Scheduled) {
        match scheduled {
            Scheduled::ExchangeEnd(id, outcome) => {
                let (_, channel, failed) = self.in_flight.remove(&id.0).expect("in flight");
                self.log(Record::ExchangeEnd { channel, failed });
                self.input(Input::Exchange(id, outcome));
            }
            Scheduled::LateResponse(id, response) => {
                self.log(Record::LateResponse);
                self.input(Input::Exchange(id, Ok(response)));
            }
            Scheduled::SocketOpened(id) => self.input(Input::SocketOpened(id)),
            Scheduled::Frame(id, text) => {
                // Some frames are deliberately not JSON.
                self.log(Record::Frame(serde_json::from_str(&text).unwrap_or_default()));
                self.input(Input::SocketText(id, text.into_bytes()));
            }
            Scheduled::SocketClosed(id, code) => self.input(Input::SocketClosed(id, code)),
            Scheduled::Call(call) => self.call(&call),
        }
    }

    pub(crate) fn call(&mut self, call: &str) {
        self.log(Record::Called(call.to_owned()));
        let mut words = call.splitn(2, ' ');
        match (words.next().unwrap_or_default(), words.next().map(str::to_owned)) {
            ("subscribe", Some(channel)) => {
                let op = self.op(call);
                self.input(Input::Subscribe(op, channel));
            }
            ("subscribe-together", Some(channels)) => {
                let ops: Vec<_> = channels
                    .split(',')
                    .map(|channel| (self.op(&format!("subscribe {channel}")), channel.to_owned()))
                    .collect();
                self.input(Input::SubscribeTogether(ops));
            }
            ("unsubscribe", Some(channel)) => {
                let op = self.op(call);
                self.input(Input::Unsubscribe { op, channel, all: false });
            }
            ("publish", Some(channel)) => {
                let op = self.op(call);
                self.input(Input::Publish { op, channel, data: "{\"n\":1}".to_owned() });
            }
            ("close", _) => self.input(Input::Close),
            ("jump", Some(ms)) => {
                // Nothing runs while the computer is asleep.
                self.now += ms.parse::<u64>().expect("a number");
                self.input(Input::Tick);
            }
            ("consume", _) => {
                let taken = core::mem::take(&mut self.pending);
                self.log(Record::Consumed);
                self.input(Input::Taken(taken));
            }
            other => unreachable!("{other:?}"),
        }
    }
}
