//! One client of a stream in the simulated world, against a server that is a function of each message.

use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::OpId;
use eventferry::base::time::{Millis, Moment};
use eventferry::bayeux::dialect::DefaultDialect;
use eventferry::bayeux::errors::SessionError;
use eventferry::bayeux::session::{Event, Input, Options, Session};
use eventferry::bayeux::wire::Transport;
use eventferry::engine::machine::{self, Machine, Output, Poll};
use eventferry::salesforce::client as salesforce;
use serde_json::{Value, json};

use crate::world::{Reply, World};

/// A client of either kind, under the contract of the simulated world.
pub(super) enum Client {
    Bayeux(Box<Session>),
    Salesforce(Box<salesforce::Client>),
}

impl Client {
    pub(super) fn bayeux(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            url: "https://server.example/cometd".to_owned(),
            transports: vec![Transport::LongPolling],
            ..Options::default()
        };
        change(&mut options);
        Self::Bayeux(Box::new(Session::new(options, Box::new(DefaultDialect), 7)))
    }

    pub(super) fn salesforce(change: impl FnOnce(&mut salesforce::Options)) -> Self {
        let mut options = super::options();
        options.session = salesforce::session_defaults();
        options.session.limits.max_pending = usize::MAX;
        change(&mut options);
        Self::Salesforce(Box::new(salesforce::Client::new(options, 7)))
    }

    pub(super) fn input(&mut self, now: Moment, input: Input) {
        match self {
            Self::Bayeux(session) => session.handle(now, input),
            Self::Salesforce(client) => client.handle(now, salesforce::Input::Session(input)),
        }
    }
}

impl Machine for Client {
    type Input = machine::Input;
    type Output = Output<Event>;

    fn handle(&mut self, now: Moment, input: machine::Input) {
        let input = match input {
            machine::Input::Tick => Input::Tick,
            machine::Input::Exchange(id, outcome) => Input::Exchange(id, outcome),
        };
        self.input(now, input);
    }

    fn poll(&mut self) -> Poll<Output<Event>> {
        loop {
            return match self {
                Self::Bayeux(session) => session.poll(),
                Self::Salesforce(client) => match client.poll() {
                    Poll::Do(salesforce::Output::Session(output)) => Poll::Do(output),
                    Poll::Do(salesforce::Output::Login(id, request)) => Poll::Do(Output::Send(id, request)),
                    Poll::Do(_) => continue,
                    Poll::Wait(deadline) => Poll::Wait(deadline),
                },
            };
        }
    }
}

/// What a server does with a request.
pub(super) enum Answer {
    /// These messages, after a delay.
    Messages(u64, Vec<Value>),
    /// This status and body, after a delay.
    Body(u64, u16, String),
    /// The connection breaks, after a delay.
    Broken(u64),
    /// 503 with `Retry-After` in milliseconds, after a delay.
    Busy(u64, u64),
    /// Nothing.
    Hang,
}

pub(super) type StreamWorld = World<Client, Event>;

/// A world whose server answers a login, or the messages of a request with the token that came with them.
pub(super) fn world(
    client: Client,
    mut login: impl FnMut(u64) -> Answer + 'static,
    mut answer: impl FnMut(u64, &[Value], &str) -> Answer + 'static,
) -> StreamWorld {
    World::new(client, move |now, request: &Request| {
        let answer = if request.url().ends_with("/token") {
            login(now)
        } else {
            let messages: Vec<Value> = serde_json::from_slice(request.body()).expect("messages");
            let token =
                request.headers().lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
            answer(now, &messages, token.unwrap_or_default())
        };
        match answer {
            Answer::Messages(delay, messages) => ok(delay, 200, Value::Array(messages).to_string()),
            Answer::Body(delay, status, body) => ok(delay, status, body),
            Answer::Broken(delay) => Reply::After(delay, Err(Failure::Network)),
            Answer::Busy(delay, ms) => {
                let response = Response { retry_after: Some(Millis(ms)), ..Response::new(503) };
                Reply::After(delay, Ok(response))
            }
            Answer::Hang => Reply::Hang,
        }
    })
}

fn ok(delay: u64, status: u16, body: String) -> Reply {
    Reply::After(delay, Ok(Response { body: body.into_bytes(), ..Response::new(status) }))
}

/// The answer of a login with that token.
pub(super) fn grant(token: &str) -> Answer {
    let body = json!({ "access_token": token, "instance_url": "https://acme.my.salesforce.com" });
    Answer::Body(5, 200, body.to_string())
}

/// The answers of a server that accepts everything: a poll is held, a probe is answered.
pub(super) fn accept(message: &Value) -> Option<Value> {
    let mut reply = reply_to(message, true);
    match message["channel"].as_str().unwrap_or_default() {
        "/meta/handshake" => {
            reply["clientId"] = json!("c1");
            reply["supportedConnectionTypes"] = json!(["long-polling"]);
            reply["ext"] = json!({ "replay": true });
        }
        "/meta/connect" if message["advice"].is_null() => return None,
        _ => {}
    }
    Some(reply)
}

/// Accepts all messages; hangs if one of them is a poll.
pub(super) fn accept_all(messages: &[Value]) -> Answer {
    match messages.iter().map(accept).collect::<Option<Vec<_>>>() {
        Some(replies) => Answer::Messages(5, replies),
        None => Answer::Hang,
    }
}

pub(super) fn reply_to(message: &Value, is_successful: bool) -> Value {
    let mut reply =
        json!({ "channel": message["channel"], "id": message["id"], "successful": is_successful });
    if !message["subscription"].is_null() {
        reply["subscription"] = message["subscription"].clone();
    }
    reply
}

pub(super) fn refuse(message: &Value, error: &str, reconnect: &str) -> Value {
    let mut reply = reply_to(message, false);
    reply["error"] = json!(error);
    if !reconnect.is_empty() {
        reply["advice"] = json!({ "reconnect": reconnect, "interval": 0 });
    }
    reply
}

pub(super) fn event(channel: &str, id: u64) -> Value {
    json!({ "channel": channel, "data": { "payload": {}, "event": { "replayId": id } } })
}

/// Whether a request is a poll that the server holds.
pub(super) fn is_poll(messages: &[Value]) -> bool {
    messages[0]["channel"] == "/meta/connect" && messages[0]["advice"].is_null()
}

impl StreamWorld {
    pub(super) fn input(&mut self, input: Input) {
        let now = self.moment();
        self.machine.input(now, input);
        self.settle();
    }

    /// Subscribes to a channel with operation 1, and opens with operation 2.
    pub(super) fn start(&mut self, channel: &str) {
        self.input(Input::Subscribe(OpId(1), channel.to_owned()));
        self.input(Input::Open(OpId(2)));
    }

    pub(super) fn run_until(&mut self, ms: u64) {
        for step in 0.. {
            assert!(step < 200_000, "too much happens");
            if self.now >= ms || !self.step() {
                return;
            }
        }
    }

    /// How often a message of a channel was sent.
    pub(super) fn sent(&self, channel: &str) -> usize {
        let quoted = format!("\"{channel}\"");
        let bodies = self.requests.iter().map(|(_, request)| String::from_utf8_lossy(request.body()));
        bodies.filter(|body| body.contains(&quoted)).count()
    }

    /// The replay ids of the events that were delivered.
    pub(super) fn delivered(&self) -> Vec<u64> {
        let mut ids = Vec::new();
        for (_, event) in &self.events {
            if let Event::Messages { text, events, .. } = event {
                for row in events {
                    let id = row.ids.replay_id.expect("a position");
                    let text = std::str::from_utf8(&text[id.start..id.end]).expect("digits");
                    ids.push(text.parse().expect("a number"));
                }
            }
        }
        ids
    }

    /// When and how the stream ended.
    pub(super) fn end(&self) -> Option<&Option<SessionError>> {
        self.events.iter().find_map(|(_, event)| match event {
            Event::Ended(error) => Some(error),
            _ => None,
        })
    }

    /// When and how an operation settled.
    pub(super) fn settled(&self, op: u32) -> Option<(u64, &Result<(), SessionError>)> {
        self.events.iter().find_map(|(at, event)| match event {
            Event::Settled(OpId(other), result) if *other == op => Some((*at, result)),
            _ => None,
        })
    }

    /// When the loss of the connection was reported.
    pub(super) fn lost_at(&self) -> Vec<u64> {
        let lost = self.events.iter().filter(|(_, event)| matches!(event, Event::ConnectionLost(..)));
        lost.map(|(at, _)| *at).collect()
    }
}
