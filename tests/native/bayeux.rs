//! Bayeux and Salesforce in a simulated world: the scripted scenarios of `../shared/cases`, where that folder is there, and laws.
//!
//! A script is a list of steps. A request takes the first step that fits it and that belongs to the session it was sent in (steps behind the
//! second granted handshake are not for the first session). What no step speaks of is granted, but handshakes and connects, which are held.

use std::collections::BTreeMap;

use eventferry::base::error::Code;
use eventferry::base::http::{Failure, Request, Response};
use eventferry::base::ids::{ExchangeId, OpId};
use eventferry::base::secret::Secret;
use eventferry::base::time::{Deadline, Millis, Moment};
use eventferry::bayeux::client::Client;
use eventferry::bayeux::session::{Event, Notice, Options, Session, SessionError, State};
use eventferry::bayeux::wire::{Complaint, Transport};
use eventferry::engine::machine::{Input, Machine, Output};
use eventferry::salesforce::auth::Flow;
use eventferry::salesforce::client as salesforce;
use serde_json::{Value, json};

/// Both kinds of clients.
enum Peer {
    Bayeux(Box<Client>),
    Salesforce(Box<salesforce::Client>),
}

impl Peer {
    fn session(&mut self) -> &mut Session {
        match self {
            Self::Bayeux(client) => &mut client.session,
            Self::Salesforce(client) => &mut client.session,
        }
    }

    fn handle(&mut self, now: Moment, input: Input) {
        match self {
            Self::Bayeux(client) => client.handle(now, input),
            Self::Salesforce(client) => client.handle(now, input),
        }
    }

    fn poll(&mut self) -> Output<Event> {
        match self {
            Self::Bayeux(client) => client.poll(),
            Self::Salesforce(client) => loop {
                return match client.poll() {
                    Output::Event(salesforce::Event::Session(event)) => Output::Event(event),
                    Output::Event(_) => continue,
                    Output::Send(id, request) => Output::Send(id, request),
                    Output::Cancel(id) => Output::Cancel(id),
                    Output::Load(key) => Output::Load(key),
                    Output::Save(key, bytes) => Output::Save(key, bytes),
                    Output::Wait(deadline) => Output::Wait(deadline),
                };
            },
        }
    }

    fn publish(&mut self, now: Moment, channel: &str, data: &str) -> OpId {
        match self {
            Self::Bayeux(client) => client.publish(now, channel, data),
            Self::Salesforce(client) => client.publish(now, channel, data),
        }
    }
}

/// Something that is going to happen.
enum Coming {
    Landing(ExchangeId, Result<Response, Failure>),
    Opened(u32),
    Text(u32, String),
    SocketClosed(u32, u16),
    Call(String),
}

/// Something that has happened.
#[derive(Clone, Debug)]
enum Fact {
    Sent {
        message: Value,
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
}

struct Step {
    step: Value,
    session: usize,
    taken_at: Option<u64>,
}

/// One client, one scripted server, one clock.
struct World {
    peer: Peer,
    now: u64,
    steps: Vec<Step>,
    sessions: usize,
    facts: Vec<(u64, Fact)>,
    coming: BTreeMap<(u64, u32), Coming>,
    count: u32,
    flying: BTreeMap<u32, (u64, String, bool)>,
    ops: BTreeMap<u32, String>,
    deadline: Deadline,
    /// The most connects, and the most requests, at the same time.
    most: (usize, usize),
    accepts_sockets: bool,
    /// How many events may wait for the application, and how long each takes it.
    consumer: Option<(usize, u64)>,
    pending: usize,
    most_pending: usize,
    paces: Vec<(Millis, Millis)>,
    /// All goes over one socket, whatever the handshake of the script says.
    is_socket: bool,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl World {
    fn new(case: &Value) -> Self {
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
            paces: Vec::new(),
            is_socket: config["transport"] == "websocket",
        }
    }

    fn moment(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    fn later(&mut self, after: u64, coming: Coming) {
        self.count += 1;
        self.coming.insert((self.now + after, self.count), coming);
    }

    fn note(&mut self, fact: Fact) {
        self.facts.push((self.now, fact));
    }

    fn subscribe(&mut self, channel: &str) {
        let now = self.moment();
        let op = self.peer.session().subscribe(now, channel);
        self.ops.insert(op.0, format!("subscribe {channel}"));
    }

    /// Does what the machine asks, until it waits.
    fn settle(&mut self) {
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
                    let pace = self.peer.session().pace();
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

    fn hear(&mut self, event: Event) {
        match event {
            Event::Messages { text, rows, .. } => {
                let whole = String::from_utf8(text).expect("UTF-8");
                let units: Vec<u16> = whole.encode_utf16().collect();
                for row in rows {
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
                    if let Some(position) = row.marks.position {
                        data["event"]["replayId"] = json!(whole[position.start..position.end]);
                    }
                    assert_eq!(message["channel"], json!(whole[row.channel.start..row.channel.end]));
                    let channel = whole[row.channel.start..row.channel.end].to_owned();
                    self.note(Fact::Event { channel, data });
                    self.pending += 1;
                }
                self.most_pending = self.most_pending.max(self.pending);
                if let Some((mark, each)) = self.consumer {
                    if self.pending >= mark {
                        let now = self.moment();
                        self.peer.session().pause(now);
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
            Event::Lost(_) => self.note(Fact::Lost),
            Event::Ended(trouble) => self.note(Fact::Ended(trouble)),
            Event::NeedsToken { .. } => unreachable!("nobody asked for authentication"),
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

    /// The first step that fits, which is used up.
    fn take(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let (now, sessions) = (self.now, self.sessions.max(1));
        let found = self.steps.iter_mut().find(|step| {
            let repeats = step.step["repeat_for_ms"].as_u64();
            let is_free = match (step.taken_at, repeats) {
                (None, _) => true,
                (Some(at), Some(ms)) => now < at + ms,
                (Some(_), None) => false,
            };
            is_free && (step.session <= sessions || step.step["on"] == "/meta/handshake") && fits(&step.step)
        })?;
        found.taken_at.get_or_insert(now);
        Some(found.step.clone())
    }

    /// The steps for a request: one for all of its messages, or one for each.
    fn steps_for(
        &mut self,
        messages: &[Value],
        via: &'static str,
        url: &str,
    ) -> Vec<(Option<Value>, Vec<Value>)> {
        let channels: Vec<String> = messages.iter().map(|message| text(&message["channel"])).collect();
        let host =
            url.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default().to_owned();
        let fits = move |step: &Value, on: &dyn Fn(&str) -> bool| {
            on(step["on"].as_str().unwrap_or_default())
                && step["via"].as_str().is_none_or(|wanted| wanted == via)
                && step["host"].as_str().is_none_or(|wanted| wanted == host)
        };
        let batched = self.take(|step| {
            fits(step, &|on| {
                on.strip_prefix("batch:").is_some_and(|on| {
                    let mut on = on.split(',');
                    channels.iter().all(|channel| on.clone().any(|on| on == channel))
                        && on.all(|on| channels.iter().any(|channel| on == channel))
                })
            })
        });
        if let Some(step) = batched {
            return vec![(Some(step), messages.to_vec())];
        }
        let mut found = Vec::new();
        for message in messages {
            let channel = text(&message["channel"]);
            let fitting = |step: &Value| {
                let about = &step["reply"]
                    .as_array()
                    .and_then(|reply| reply.iter().find(|part| part["channel"] == channel).cloned());
                let subscription =
                    about.as_ref().map(|about| about["subscription"].clone()).unwrap_or_default();
                let is_same = subscription.is_null() || subscription == message["subscription"];
                fits(step, &|on| on == channel || on == "*") && is_same
            };
            let step = self.take(fitting);
            found.push((step, vec![message.clone()]));
        }
        found
    }

    fn serve(&mut self, id: ExchangeId, request: &Request) {
        let body = String::from_utf8(request.body().to_vec()).expect("UTF-8");
        if request.url().contains("/oauth2/token") {
            let content_type = request.headers().contains("application/x-www-form-urlencoded");
            self.note(Fact::Token { form: body, content_type });
            let step = self.take(|step| step["on"].as_str().is_some_and(|on| on.starts_with("POST")));
            self.flying.insert(id.0, (self.now, "token".to_owned(), false));
            let (after, outcome) = step.map_or((0, Err(Failure::Network)), |step| http(&step, &[], request));
            return self.later(after + 1, Coming::Landing(id, outcome));
        }
        let messages: Vec<Value> = serde_json::from_str(&body).expect("an array");
        self.sent(&messages, "http", request.url(), request.headers(), request.timeout().0, body.len());
        let channel = text(&messages[0]["channel"]);
        let mut parts = Vec::new();
        let mut landing = None;
        for (step, messages) in self.steps_for(&messages, "http", request.url()) {
            let Some(step) = step else {
                if messages.iter().any(|message| {
                    ["/meta/handshake", "/meta/connect"]
                        .contains(&message["channel"].as_str().unwrap_or_default())
                }) {
                    landing = Some((request.timeout().0, Err(Failure::Timeout)));
                } else {
                    parts.extend(messages.iter().map(granted));
                }
                continue;
            };
            if step["reply"].is_array() || step["reply"] == "$ack_all" {
                parts.extend(answer(&step, &messages));
            }
            let (after, outcome) = http(&step, &messages, request);
            landing = Some((landing.map_or(0, |(after, _)| after).max(after), outcome));
        }
        let (after, mut outcome) = landing.unwrap_or((0, Ok(Response::new(200))));
        if let Ok(response) = &mut outcome
            && (!parts.is_empty())
        {
            response.body = serde_json::to_vec(&parts).expect("JSON");
        }
        let (after, outcome) = if after >= request.timeout().0 {
            (request.timeout().0, Err(Failure::Timeout))
        } else {
            (after + 1, outcome)
        };
        if parts.iter().any(|part| part["channel"] == "/meta/handshake" && part["successful"] == true) {
            self.sessions += 1;
        }
        let failed =
            outcome.is_err() || parts.iter().any(|part| part["successful"] == false) || parts.is_empty();
        self.flying.insert(id.0, (self.now, channel, failed));
        let connects = self.flying.values().filter(|(_, channel, _)| channel == "/meta/connect").count();
        self.most = (self.most.0.max(connects), self.most.1.max(self.flying.len()));
        self.later(after, Coming::Landing(id, outcome));
    }

    fn sent(
        &mut self,
        messages: &[Value],
        via: &'static str,
        url: &str,
        headers: &str,
        timeout: u64,
        bytes: usize,
    ) {
        for message in messages {
            let (url, headers) = (url.to_owned(), headers.to_owned());
            let with = messages.len();
            self.note(Fact::Sent { message: message.clone(), with, via, url, headers, timeout, bytes });
        }
    }

    fn serve_socket(&mut self, id: u32, body: &str) {
        let messages: Vec<Value> = serde_json::from_str(body).expect("an array");
        self.sent(&messages, "websocket", "ws://server/", "", 0, body.len());
        for (step, messages) in self.steps_for(&messages, "websocket", "ws://server/") {
            let Some(step) = step else {
                let quiet = ["/meta/handshake", "/meta/connect"];
                for message in messages
                    .iter()
                    .filter(|message| !quiet.contains(&message["channel"].as_str().unwrap_or_default()))
                {
                    self.later(5, Coming::Text(id, json!([granted(message)]).to_string()));
                }
                continue;
            };
            let delay = step["delay"].as_u64().unwrap_or(0) + 1;
            if let Some(code) = step["ws_close"].as_u64() {
                self.later(delay, Coming::SocketClosed(id, code as u16));
            } else if step["raw"] == "not json" {
                self.later(delay, Coming::Text(id, "not json".to_owned()));
            } else if !step["reply"].is_null() {
                let mut parts = answer(&step, &messages);
                if self.is_socket && parts[0]["channel"] == "/meta/handshake" {
                    parts[0]["supportedConnectionTypes"] = json!(["websocket"]);
                }
                if parts.iter().any(|part| part["channel"] == "/meta/handshake" && part["successful"] == true)
                {
                    self.sessions += 1;
                }
                let frame = if step["raw"] == "object" {
                    parts[0].to_string()
                } else {
                    Value::Array(parts).to_string()
                };
                self.later(delay, Coming::Text(id, frame));
            }
            for later in step["then"].as_array().into_iter().flatten() {
                let frame = Value::Array(answer(later, &messages)).to_string();
                self.later(later["after_ms"].as_u64().unwrap_or(1) + delay, Coming::Text(id, frame));
            }
            for (at, push) in step["push"].as_array().into_iter().flatten().enumerate() {
                self.later(10 + at as u64, Coming::Text(id, push.to_string()));
            }
        }
    }

    /// Lets the next thing happen. False if nothing ever will.
    fn step(&mut self) -> bool {
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

    fn happen(&mut self, coming: Coming) {
        let now = self.moment();
        match coming {
            Coming::Landing(id, outcome) => {
                let (_, channel, failed) = self.flying.remove(&id.0).expect("in flight");
                self.note(Fact::Landed { channel, failed });
                self.peer.handle(now, Input::Exchange(id, outcome));
            }
            Coming::Opened(id) => self.peer.session().socket_opened(now, id),
            Coming::Text(id, text) => match &mut self.peer {
                Peer::Bayeux(client) => client.socket_text(now, id, text.into_bytes()),
                Peer::Salesforce(_) => unreachable!("no sockets"),
            },
            Coming::SocketClosed(id, code) => match &mut self.peer {
                Peer::Bayeux(client) => client.socket_closed(now, id, code),
                Peer::Salesforce(client) => client.socket_closed(now, id, code),
            },
            Coming::Call(call) => self.call(&call),
        }
    }

    fn call(&mut self, call: &str) {
        let now = self.moment();
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
                self.peer.session().resume_polling(now);
            }
            other => unreachable!("{other:?}"),
        }
    }
}

fn peer(config: &Value) -> Peer {
    let transports: Vec<Transport> = match config["transports"].as_array() {
        Some(names) => names
            .iter()
            .map(|name| if name == "websocket" { Transport::WebSocket } else { Transport::LongPolling })
            .collect(),
        None if config["transport"] == "websocket" => vec![Transport::WebSocket],
        None => vec![Transport::LongPolling],
    };
    let scheme = config["scheme"].as_str().unwrap_or("https");
    let has_ack = config["extensions"].as_array().is_some_and(|names| names.iter().any(|name| name == "ack"));
    // Its timeout is tried by a test of its own; the scripts do not know of it.
    let common = Options {
        url: format!("{scheme}://server.example/cometd"),
        transports,
        ack: has_ack,
        keeps_cookies: config["environment"] != "browser",
        follows_hosts: config["followHosts"] == true,
        drains: config["mode"] == "drain",
        epoch: 1_700_000_000_000,
        timeout: None,
        ..Options::default()
    };
    if config["salesforce"] != true {
        return Peer::Bayeux(Box::new(Client::new(common, 7)));
    }
    let token = config["auth"]["securityToken"].as_str().unwrap_or_default();
    let start = match &config["replay"] {
        Value::Number(id) => id.to_string(),
        _ => "-1".to_owned(),
    };
    let mut client = salesforce::Client::new(
        salesforce::Options {
            flow: Flow::Password {
                consumer_key: "key".to_owned(),
                consumer_secret: Secret::new("secret".to_owned()),
                username: "u@example.com".to_owned(),
                password: Secret::new(format!("pw{token}")),
            },
            token_url: "https://login.salesforce.com/services/oauth2/token".to_owned(),
            endpoint: None,
            api_version: config["apiVersion"].as_str().unwrap_or("68.0").to_owned(),
            start,
            fallback: config["replayFallback"].as_i64().map(|id| id.to_string()),
            session: Options {
                drains: common.drains,
                epoch: common.epoch,
                timeout: None,
                ..salesforce::streaming()
            },
        },
        7,
    );
    for (channel, id) in config["replay"].as_object().into_iter().flatten() {
        client.set_mark(channel, &id.to_string());
    }
    Peer::Salesforce(Box::new(client))
}

fn granted(message: &Value) -> Value {
    let mut reply = json!({ "channel": message["channel"], "id": message["id"], "successful": true });
    if !message["subscription"].is_null() {
        reply["subscription"] = message["subscription"].clone();
    }
    reply
}

/// The replies of a step, with the ids of what they answer.
fn answer(step: &Value, messages: &[Value]) -> Vec<Value> {
    if step["reply"] == "$ack_all" {
        return messages.iter().map(granted).collect();
    }
    let mut parts: Vec<Value> = step["reply"].as_array().cloned().unwrap_or_default();
    for part in &mut parts {
        let asked = messages.iter().find(|message| {
            message["channel"] == part["channel"]
                && (part["subscription"].is_null() || part["subscription"] == message["subscription"])
        });
        let id = asked.map(|message| message["id"].clone()).unwrap_or_default();
        if part["id"] == "$id" {
            part["id"] = id;
        } else if part["id"] == "$id_as_number" {
            part["id"] = json!(text(&id).parse::<u32>().expect("a number"));
        }
    }
    parts
}

/// What a step does with a request over HTTP, and when.
fn http(step: &Value, messages: &[Value], request: &Request) -> (u64, Result<Response, Failure>) {
    let delay = step["delay"].as_u64().unwrap_or(0);
    if step["drop"] == true {
        return (delay, Err(Failure::Network));
    }
    if step["hang"] == true {
        return (request.timeout().0, Err(Failure::Timeout));
    }
    let mut response = Response::new(step["status"].as_u64().unwrap_or(200) as u16);
    for (name, value) in step["headers"].as_object().into_iter().flatten() {
        if name == "Retry-After" {
            response.retry_after = Some(Millis(text(value).parse::<u64>().expect("seconds") * 1000));
        }
    }
    let joined = step["joined_set_cookie"].as_str().into_iter();
    for cookie in step["set_cookie"].as_array().into_iter().flatten().filter_map(Value::as_str).chain(joined)
    {
        if request.response_headers() == "set-cookie" {
            response.headers.push_str(&format!("set-cookie: {cookie}\n"));
        }
    }
    response.body = if let Some(raw) = step["raw_reply"].as_str() {
        let id = messages.first().map(|message| text(&message["id"])).unwrap_or_default();
        raw.replace("$id", &id).into_bytes()
    } else if let Some(body) = step["body"].as_str() {
        body.as_bytes().to_vec()
    } else if !step["json"].is_null() {
        step["json"].to_string().into_bytes()
    } else {
        Value::Array(answer(step, messages)).to_string().into_bytes()
    };
    (delay, Ok(response))
}

/// What the test does, and when: as the case says, or what its script is evidently waiting for.
fn calls(case: &Value) -> Vec<(u64, String)> {
    const HELD: u64 = 100;
    let id = case["id"].as_str().unwrap_or_default();
    let subscribed: Vec<String> =
        case["client"]["subscribed"].as_array().into_iter().flatten().map(text).collect();
    let mut calls: Vec<(u64, String)> =
        subscribed.iter().map(|channel| (0, format!("subscribe {channel}"))).collect();
    let say = |at: u64, words: &[&str]| words.iter().map(|word| (at, (*word).to_owned())).collect::<Vec<_>>();
    let special = match id {
        "hs-02" => say(0, &["subscribe /a", "subscribe /b"]),
        "cn-06" => say(HELD, &["subscribe /a", "publish /p"]),
        "cn-20" => (0..5).map(|at| (HELD + at, "publish /pub".to_owned())).collect(),
        "cn-22" => say(HELD, &["jump 600000"]),
        "sb-03" => say(HELD, &["subscribe /a", "subscribe /a"]),
        "sb-04" => [
            say(HELD, &["subscribe /a", "subscribe /a"]),
            say(HELD + 50, &["unsubscribe /a", "unsubscribe /a"]),
        ]
        .concat(),
        "sb-08" => say(HELD, &["publish /chat"]),
        "sb-10" => say(HELD, &["publish /pub"]),
        "dc-01" | "dc-02" => say(HELD, &["close"]),
        "dc-03" => say(HELD, &["close"]),
        "dc-04" => say(HELD, &["subscribe /a"]).into_iter().chain(say(HELD + 10, &["close"])).collect(),
        "ws-04" => say(HELD, &["subscribe /a"]),
        "sf-21" => say(0, &["subscribe /event/A__e", "subscribe /event/B__e"]),
        "sf-32" => (0..400).map(|at| (HELD, format!("subscribe /event/Channel_{at}__e"))).collect(),
        "sf-34" => say(0, &["subscribe /event/A__e"]),
        "sf-38" => say(HELD, &["publish /event/A__e"]),
        _ => Vec::new(),
    };
    if !special.is_empty() {
        calls.extend(special);
        return calls;
    }
    // What the script grants or refuses, somebody must have asked for.
    for step in case["server_script"].as_array().into_iter().flatten() {
        for reply in step["reply"].as_array().into_iter().flatten() {
            let channel = text(&reply["subscription"]);
            let call =
                (if case["client"]["salesforce"] == true { 0 } else { HELD }, format!("subscribe {channel}"));
            if reply["channel"] == "/meta/subscribe"
                && !calls.iter().any(|(_, other)| *other == call.1)
                && case["client"]["resume"].is_null()
            {
                calls.push(call);
            }
        }
    }
    calls
}

fn run(case: &Value) -> World {
    let mut world = World::new(case);
    let calls = calls(case);
    let (early, late): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(at, _)| *at == 0);
    let resume = &case["client"]["resume"];
    let op = if resume.is_null() {
        for (_, call) in early {
            world.call(&call);
        }
        world.peer.session().open(Moment::default())
    } else {
        let list = |name: &str| resume[name].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        world.peer.session().resume(
            Moment::default(),
            resume["clientId"].as_str().unwrap_or_default(),
            &list("cookies").join("; "),
            &list("subscriptions"),
        )
    };
    world.ops.insert(op.0, "open".to_owned());
    for (at, call) in late {
        world.later(at, Coming::Call(call));
    }
    // As long as something can still come; a client in good order never stops polling.
    for _ in 0..3000 {
        if world.now > 2_000_000 || !world.step() {
            break;
        }
    }
    world
}

fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| is_part(value, other)))
        }
        (Value::Number(part), Value::String(whole)) => part.to_string() == *whole,
        _ => part == whole,
    }
}

/// Codes that stand for the kinds of errors of the cases.
fn is_kind(kind: &str, code: Code) -> bool {
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

fn is_trouble(wanted: &Value, trouble: &SessionError) -> bool {
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
fn check(case: &Value, world: &World) -> Result<Vec<String>, String> {
    let mut unseen = Vec::new();
    let mut cursors: BTreeMap<String, usize> = BTreeMap::new();
    let mut delays = rests(world).into_iter();
    let sent = |channel: &str| {
        world
            .facts
            .iter()
            .enumerate()
            .filter_map(move |(at, (when, fact))| match fact {
                Fact::Sent { message, with, via, url, headers, timeout, bytes }
                    if message["channel"] == channel || channel == "*" =>
                {
                    Some((at, *when, message, *with, *via, url, headers, *timeout, *bytes))
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
                let fits = |trouble: &SessionError| is_trouble(&expected["error"], trouble);
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
fn gaps(world: &World) -> Vec<u64> {
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
fn rests(world: &World) -> Vec<u64> {
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

/// Scenarios that speak of what is not in the machine, and where that is tried.
const ELSEWHERE: &[(&str, &str)] = &[
    ("sb-11", "listeners are dispatched by js/systems/bayeux/index.ts, see tests/js/bayeux-client.test.mjs"),
    ("sb-13", "one subscribe message speaks of one channel; several go in one request"),
    ("ex-05", "timesync is not offered: nothing here needs the clock of the server"),
    (
        "ex-08",
        "extensions of the application run in js/systems/bayeux/index.ts, see tests/js/bayeux-client.test.mjs",
    ),
    ("ck-02", "credentials are set by js/systems/bayeux/index.ts, see tests/js/bayeux-browser.test.mjs"),
    // With both transports, ws-01 opens a socket before it has asked, and hs-03 asks by HTTP before it opens one: one of them cannot be.
    ("hs-03", "contradicts ws-01, which opens the socket first"),
];

#[test]
fn scripted_scenarios() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/cases/bayeux_scenarios.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        return eprintln!("skipped: the scenarios are not here");
    };
    let cases: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let only = std::env::var("SCENARIO").unwrap_or_default();
    let (mut passed, mut failures, mut unseen) = (0, Vec::new(), BTreeMap::<String, Vec<String>>::new());
    for case in cases.iter().filter(|case| case["id"].as_str().is_some_and(|id| id.contains(&only))) {
        let id = case["id"].as_str().expect("an id");
        if let Some((_, why)) = ELSEWHERE.iter().find(|(other, _)| *other == id) {
            eprintln!("{id} is not run here: {why}");
            continue;
        }
        let world = run(case);
        match check(case, &world) {
            Ok(names) => {
                passed += 1;
                for name in names {
                    unseen.entry(name).or_default().push(id.to_owned());
                }
            }
            Err(why) => failures.push(format!("{id} {}\n  {why}", case["title"])),
        }
        if !only.is_empty() {
            for (at, fact) in &world.facts {
                eprintln!("{at:>8} {fact:?}");
            }
        }
    }
    eprintln!("{passed} scenarios passed; not looked at: {unseen:?}");
    assert!(failures.is_empty(), "{} of {} scenarios:\n{}", failures.len(), cases.len(), failures.join("\n"));
}
