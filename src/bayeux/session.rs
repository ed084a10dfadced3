//! The session: everything that a Bayeux client does by itself.
//!
//! ```text
//!               needs credentials                     granted                 answered
//!   idle ──open──> authorizing ──> handshaking ───────────────> connecting ───────────> connected ─┐
//!                      ▲            ▲  │ ▲ └─ rest ─┘            │ ▲ └─ rest ─┘          │ ▲ └ interval, pause
//!                      │            │  │ └──── session unknown ──┘ └──── link lost ──────┘ │
//!                      └── refused ─┴──┴───────────────────────────────────────────────────┘
//!   any ──close──> closing ──> closed          any ──refused for good──> closed
//! ```
//!
//! Two lanes: one message holds the connect lane (a handshake or a connect, never two), everything else shares the other, merged as it waits.
//! What an answer has in it is taken in whole, events first, before the next message leaves.
//!
//! What lives here: the rules of Bayeux. What this file must not know: any one server, which is for a [`Dialect`]; what is in an event.

use std::collections::VecDeque;

use super::cookies::Jar;
use super::dialect::{Continuity, Dialect, Kind, Reaction};
use super::message::{Advice, Reading, Reconnect, Reply, Row, read};
use super::wire::{Complaint, Outgoing, Transport, at_host, socket_url, url_for, without_filter};
use crate::effect::{Input, Output};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::noise::Noise;
use crate::engine::timers::Timers;
use crate::engine::verdict::{self, Verdict};
use crate::error::{Code, Error};
use crate::http::{Failure, Request, Response};
use crate::ids::{Counter, ExchangeId, OpId};
use crate::json::find::Document;
use crate::json::padded::Padded;
use crate::secret::Secret;
use crate::time::{Deadline, Millis, Moment};

/// How a session works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub url: String,
    /// In the order of preference.
    pub transports: Vec<Transport>,
    /// Ask the server to repeat what was not acknowledged. Default true; servers that do not know it do not answer it.
    pub ack: bool,
    /// Ask for credentials before each first handshake.
    pub needs_auth: bool,
    /// Keep cookies, because the platform does not.
    pub keeps_cookies: bool,
    /// Go to the hosts that the server advises. Default false: credentials would go to a host that nobody named.
    pub follows_hosts: bool,
    /// Leave when the server has no more events.
    pub drains: bool,
    /// The Unix time in milliseconds at the zero of the owner's clock, for cookies that end.
    pub epoch: u64,
    /// How much longer than the server holds a connect an answer may take, and how long any other may. Default 10 000.
    pub network_delay: Millis,
    /// How long a server holds a connect if it does not say. Default 60 000.
    pub hold: Millis,
    /// The longest first rest after a failure, doubled each time. Default 1 000.
    pub base: Millis,
    /// The longest rest. Default 60 000.
    pub max: Millis,
    /// How long the link may be down before that is reported. Default 10 000; `None`: it is never.
    pub patience: Option<Millis>,
    /// How long polling may rest for a slow consumer. Default: for ever.
    pub max_pause: Option<Millis>,
    /// After events there is no further poll until the owner has called [`Session::resume_polling`], because only it knows what there is room for.
    pub waits_for_room: bool,
    /// How many bytes of messages go into one request. Default 65 536.
    pub max_request: usize,
    /// How many bytes of an answer are read. Default 64 MiB.
    pub max_answer: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            transports: vec![Transport::WebSocket, Transport::LongPolling],
            ack: true,
            needs_auth: false,
            keeps_cookies: true,
            follows_hosts: false,
            drains: false,
            epoch: 0,
            network_delay: Millis(10_000),
            hold: Millis(60_000),
            base: Millis(1000),
            max: Millis(60_000),
            patience: Some(Millis(10_000)),
            max_pause: None,
            waits_for_room: false,
            max_request: 65_536,
            max_answer: 64 << 20,
        }
    }
}

/// What went wrong, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The row of the table of errors.
    pub code: Code,
    /// The number of the server's complaint, or the HTTP status.
    pub status: Option<u16>,
    /// A whole sentence.
    pub message: String,
    /// What the server said, as it said it.
    pub said: Option<String>,
}

impl Trouble {
    /// With a sentence of its own.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: None, message: message.into(), said: None }
    }

    /// What a server said about a message of ours.
    #[cold]
    pub fn said(code: Code, what: &str, complaint: &str) -> Self {
        let cut: String = complaint.chars().filter(|char| !char.is_control()).take(500).collect();
        let reason = if cut.is_empty() { "it did not say why" } else { &cut };
        Self {
            code,
            status: Complaint::parse(complaint).code,
            message: format!("the server refused {what}: {reason}"),
            said: Some(complaint.to_owned()),
        }
    }

    fn of(error: &Error) -> Self {
        Self { code: error.code, status: error.status, message: error.to_string(), said: None }
    }
}

/// Where the session is, as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A session is being asked for.
    Handshaking,
    /// There is a session; whether the link works shows soon.
    Connecting,
    /// Events arrive.
    Connected,
    /// Over.
    Disconnected,
}

/// What the application may want to know although all goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `session_replaced`, `closed_by_server`, `multiple_clients`, `transport_fallback`, `replay_gap`, `possible_gap`, `replay_unsupported`,
    /// `subscription_lost`, `trouble`
    pub kind: &'static str,
    /// The channel that it is about.
    pub channel: Option<String>,
    /// What went wrong, if something did.
    pub trouble: Option<Trouble>,
}

/// What the application, or the owner of the socket, hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// Events have arrived; `source` is the exchange they came with, none for a socket. `rows` stand in `text`.
    Messages {
        /// The exchange.
        source: Option<ExchangeId>,
        /// The whole answer.
        text: Vec<u8>,
        /// The events in it.
        rows: Vec<Row>,
    },
    /// An operation has ended.
    Settled(OpId, Result<(), Trouble>),
    /// The session goes on to another state.
    State(State),
    /// Something to know.
    Notice(Notice),
    /// The link has been down for the patience of the application. Said again each time that has passed.
    Lost(Trouble),
    /// Nothing comes after it. Without a trouble if it was closed by us.
    Ended(Option<Trouble>),
    /// Credentials are wanted; `renew`: those there were are refused.
    NeedsToken {
        /// Whether there were some.
        renew: bool,
    },
    /// Open a socket.
    SocketOpen {
        /// Its number.
        id: u32,
        /// Where to.
        url: String,
    },
    /// Send a text frame.
    SocketSend {
        /// By which socket.
        id: u32,
        /// The text.
        text: String,
    },
    /// Close a socket, opened or not. Nothing that it says is heard any more.
    SocketClose {
        /// Which one.
        id: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Authorizing,
    Handshaking,
    Connecting,
    Connected,
    Closing,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Connect,
    Other,
    /// Not Bayeux: for the owner.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The next handshake or connect.
    Next,
    /// Subscriptions to ask for again.
    Again,
    /// The next try to get credentials.
    Token,
    /// An answer to the connect is so late that the machine must have slept.
    Watch,
    /// A reply by the socket, or its opening.
    Reply,
    /// The link has been down for too long.
    Lost,
    /// The consumer has been slow for too long.
    Pause,
    /// The server does not answer the goodbye.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    None,
    Opening(u32),
    Open(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Exchange(ExchangeId),
    Socket,
}

/// A message that is to be answered.
#[derive(Clone, Debug)]
struct Sent {
    id: u32,
    kind: Kind,
    channel: String,
    op: Option<OpId>,
    via: Via,
    due: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// To be asked for.
    Wanted,
    /// Asked for.
    Asked,
    /// Granted.
    Live,
}

#[derive(Clone, Debug)]
struct Subscription {
    channel: String,
    users: u32,
    standing: Standing,
    /// Granted at least once.
    was_live: bool,
    waiting: Vec<OpId>,
    /// An answer was lost, and what it had for this channel.
    has_gap: bool,
    /// Taken back for the time being: what the server had ready for it has to run off before it is asked for again.
    is_left: bool,
    refusals: u32,
}

/// A message for the other lane.
#[derive(Clone, Debug)]
enum Todo {
    Subscribe(String),
    Unsubscribe(String, Option<OpId>),
    Publish(OpId, String, String),
}

/// What the server advises, with what holds where it says nothing.
#[derive(Clone, Copy, Debug)]
struct Pace {
    interval: Millis,
    hold: Millis,
    /// How long the server keeps a session without a connect.
    keeps: Option<Millis>,
}

/// How late an answer must be for the machine to have slept.
const SLEPT: Millis = Millis(2000);
/// How long a goodbye may take.
const GOODBYE: Millis = Millis(2500);
/// The longest rest while the server is busy.
const BUSIEST: u64 = 600_000;

/// The machine, which its owner lends a dialect at each call.
#[derive(Clone, Debug)]
pub struct Session {
    options: Options,
    noise: Noise,
    now: Moment,
    phase: Phase,
    /// The host in use, which may be an advised one.
    url: String,
    hosts: VecDeque<String>,
    transport: Transport,
    credentials: Option<Secret>,
    /// The credentials are new since the last success.
    is_renewed: bool,
    client_id: Option<String>,
    has_had_session: bool,
    /// The session has answered no connect yet.
    is_unproven: bool,
    ack: Option<i64>,
    pace: Pace,
    ids: Counter,
    ops: Counter,
    opening: Option<OpId>,
    exchanges: Exchanges<Lane, Event>,
    sent: Vec<Sent>,
    todo: VecDeque<Todo>,
    subscriptions: Vec<Subscription>,
    timers: Timers<Timer>,
    backoff: Backoff,
    busy: u32,
    /// A handshake or connect is due as soon as all is said.
    is_due: bool,
    /// A connect was due, but waits for channels that are being taken up.
    is_held: bool,
    /// Events were held back, so the server may have more of them ready.
    has_more: bool,
    is_paused: bool,
    /// The pause has been too long for the server.
    is_overdue: bool,
    events_seen: usize,
    down_since: Option<Moment>,
    last_trouble: Option<Trouble>,
    socket: Socket,
    sockets: Counter,
    /// Sockets in a row that were not opened.
    socket_failures: u32,
    jar: Jar,
}

impl Session {
    /// A session that does nothing yet. The seed feeds the jitter of the rests.
    pub fn new(options: Options, seed: u64) -> Self {
        let transport = options.transports.first().copied().unwrap_or(Transport::LongPolling);
        Self {
            noise: Noise::new(seed),
            now: Moment::default(),
            phase: Phase::Idle,
            url: options.url.clone(),
            hosts: VecDeque::new(),
            transport,
            credentials: None,
            is_renewed: false,
            client_id: None,
            has_had_session: false,
            is_unproven: true,
            ack: None,
            pace: Pace { interval: Millis(0), hold: options.hold, keeps: None },
            ids: Counter::default(),
            ops: Counter::default(),
            opening: None,
            exchanges: Exchanges::new(),
            sent: Vec::new(),
            todo: VecDeque::new(),
            subscriptions: Vec::new(),
            timers: Timers::new(),
            backoff: Backoff::new(options.base, options.max, u32::MAX),
            busy: 0,
            is_due: false,
            is_held: false,
            has_more: false,
            is_paused: false,
            is_overdue: false,
            events_seen: 0,
            down_since: None,
            last_trouble: None,
            socket: Socket::None,
            sockets: Counter::default(),
            socket_failures: 0,
            jar: Jar::default(),
            options,
        }
    }

    /// Starts. The operation ends when the link works, or when it is clear that it will not.
    pub fn open(&mut self, now: Moment) -> OpId {
        let op = self.op(now);
        if self.phase == Phase::Idle {
            self.opening = Some(op);
            self.announce(Event::State(State::Handshaking));
            self.begin();
        } else {
            self.settle(op, Err(closed_or(self.phase, "the client is open already")));
        }
        op
    }

    /// Starts with a session that another client has left.
    pub fn resume(&mut self, now: Moment, client_id: &str, cookies: &str, channels: &[String]) -> OpId {
        let op = self.op(now);
        self.opening = Some(op);
        for cookie in cookies.split("; ").filter(|cookie| !cookie.is_empty()) {
            self.jar.store(&self.url, &format!("{cookie}; path=/"), self.unix(now));
        }
        for channel in channels {
            let mut subscription = Subscription::new(channel);
            (subscription.standing, subscription.was_live) = (Standing::Live, true);
            self.subscriptions.push(subscription);
        }
        self.has_had_session = true;
        self.client_id = Some(client_id.to_owned());
        self.phase = Phase::Connecting;
        self.announce(Event::State(State::Connecting));
        self.is_due = true;
        op
    }

    /// Subscribes to a channel or a pattern; before `open` as well. A second subscription to the same costs no message.
    pub fn subscribe(&mut self, now: Moment, channel: &str) -> OpId {
        let op = self.op(now);
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            self.settle(op, Err(Trouble::new(Code::Closed, Code::Closed.sentence())));
            return op;
        }
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == channel) {
            known.users += 1;
            if known.standing == Standing::Live {
                self.settle(op, Ok(()));
            } else {
                known.waiting.push(op);
            }
            return op;
        }
        let mut subscription = Subscription::new(channel);
        subscription.waiting.push(op);
        self.subscriptions.push(subscription);
        self.todo.push_back(Todo::Subscribe(channel.to_owned()));
        op
    }

    /// Takes back one subscription to a channel, or `all` of them. Only the last costs a message.
    pub fn unsubscribe(&mut self, now: Moment, channel: &str, all: bool) -> OpId {
        let op = self.op(now);
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            self.settle(op, Err(Trouble::new(Code::Closed, Code::Closed.sentence())));
            return op;
        }
        let Some(at) = self.subscriptions.iter().position(|known| known.channel == channel) else {
            self.settle(op, Ok(()));
            return op;
        };
        let Some(known) = self.subscriptions.get_mut(at) else { return op };
        known.users -= 1;
        if known.users > 0 && !all {
            self.settle(op, Ok(()));
            return op;
        }
        let gone = self.subscriptions.remove(at);
        for waiting in gone.waiting {
            self.settle(
                waiting,
                Err(Trouble::new(Code::Aborted, format!("{channel} was unsubscribed meanwhile"))),
            );
        }
        self.todo.retain(|todo| !matches!(todo, Todo::Subscribe(other) if other == channel));
        self.go_on_polling();
        if gone.standing == Standing::Wanted || self.client_id.is_none() {
            self.settle(op, Ok(()));
        } else {
            self.todo.push_back(Todo::Unsubscribe(channel.to_owned(), Some(op)));
        }
        op
    }

    /// Publishes `data`, a JSON text. It is sent once: if the answer is lost, nobody knows whether it arrived.
    pub fn publish(&mut self, now: Moment, channel: &str, data: &str, dialect: &dyn Dialect) -> OpId {
        let op = self.op(now);
        if !matches!(
            self.phase,
            Phase::Handshaking | Phase::Connecting | Phase::Connected | Phase::Authorizing
        ) {
            self.settle(op, Err(closed_or(self.phase, "the client is not open yet")));
        } else if let Some(trouble) = dialect.refuses_to_publish(channel) {
            self.settle(op, Err(trouble));
        } else {
            self.todo.push_back(Todo::Publish(op, channel.to_owned(), data.to_owned()));
        }
        op
    }

    /// Credentials, as header lines, and where the server is if they say so.
    pub fn authorize(&mut self, now: Moment, headers: String, url: Option<String>) {
        self.now = now;
        if self.phase == Phase::Authorizing {
            self.credentials = Some(Secret::new(headers));
            if let Some(url) = url {
                self.url = url;
            }
            self.phase = Phase::Handshaking;
            self.is_due = true;
        }
    }

    /// No credentials. Tried again after a rest, unless that `is_final`.
    pub fn unauthorized(&mut self, now: Moment, trouble: Trouble, hint: Option<Millis>, is_final: bool) {
        self.now = now;
        if self.phase == Phase::Authorizing {
            if is_final {
                return self.stop(trouble);
            }
            self.link_is_down(&trouble);
            let rest = self.rest(hint);
            self.timers.set(Timer::Token, now.after(rest));
        }
    }

    /// The consumer is slow: no further poll until [`Self::resume_polling`].
    pub fn pause(&mut self, now: Moment) {
        self.now = now;
        self.is_paused = true;
    }

    /// The consumer has room again.
    pub fn resume_polling(&mut self, now: Moment) {
        self.now = now;
        (self.is_paused, self.is_overdue) = (false, false);
        self.timers.clear(Timer::Pause);
        self.go_on_polling();
    }

    /// Says goodbye and ends. What is under way is refused with `ERR_CLOSED`.
    pub fn close(&mut self, now: Moment) {
        self.now = now;
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        self.refuse_all(&Trouble::new(Code::Closed, Code::Closed.sentence()));
        self.timers = Timers::new();
        self.is_due = false;
        self.phase = Phase::Closing;
        let shakes = self.sent.iter().any(|sent| sent.kind == Kind::Handshake);
        if !shakes {
            self.exchanges.cancel_all();
            self.sent.clear();
        }
        if let Some(client_id) = self.client_id.take() {
            self.goodbye(&client_id);
        } else if !shakes {
            self.end(None);
        }
        if self.phase == Phase::Closing {
            self.timers.set(Timer::Close, now.after(GOODBYE));
        }
    }

    /// A socket was opened.
    pub fn socket_opened(&mut self, now: Moment, id: u32) {
        self.now = now;
        if self.socket == Socket::Opening(id) {
            self.socket = Socket::Open(id);
            self.timers.clear(Timer::Reply);
            self.is_due = !self.is_connect_out();
        }
    }

    /// A socket has said something. What is not text comes as no bytes.
    pub fn socket_text(&mut self, now: Moment, id: u32, text: Vec<u8>, dialect: &mut dyn Dialect) {
        self.now = now;
        if self.socket != Socket::Open(id) {
            return;
        }
        let document = Document::new(text);
        match read(document.padded(), dialect.data_reader()) {
            Ok(reading) => self.take(None, document, reading, dialect),
            Err(_) => {
                let trouble = Trouble::new(
                    Code::Unavailable,
                    "the server sent a frame that is not Bayeux; the socket is opened anew",
                );
                self.notice("trouble", None, Some(trouble.clone()));
                self.drop_socket(trouble, dialect);
            }
        }
        self.watch_replies();
    }

    /// A socket was closed, or could not be opened.
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16, dialect: &mut dyn Dialect) {
        self.now = now;
        if self.socket == Socket::Opening(id) || self.socket == Socket::Open(id) {
            self.drop_socket(
                Trouble::new(Code::Network, format!("the WebSocket was closed ({code})")),
                dialect,
            );
        }
    }

    /// Takes a fact in. Gives the end of an exchange that is not Bayeux.
    pub fn handle(
        &mut self,
        now: Moment,
        input: Input,
        dialect: &mut dyn Dialect,
    ) -> Option<Result<Response, Failure>> {
        self.now = now;
        let mut foreign = None;
        if let Input::Exchange(id, outcome) = input
            && let Some(lane) = self.exchanges.land(id)
        {
            if lane == Lane::Foreign {
                foreign = Some(outcome);
            } else {
                self.land(id, outcome, dialect);
            }
        }
        while let Some(timer) = self.timers.due(now) {
            self.remind(timer, dialect);
        }
        foreign
    }

    /// Says the next thing to do.
    pub fn poll(&mut self, dialect: &mut dyn Dialect) -> Output<Event> {
        if let Some(output) = self.exchanges.poll() {
            return output;
        }
        if core::mem::take(&mut self.is_due) {
            self.proceed(dialect);
        }
        self.flush(dialect);
        self.exchanges.poll().unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    /// Starts an exchange whose end [`Self::handle`] gives back.
    pub fn send_foreign(&mut self, request: Request) {
        self.exchanges.start(Lane::Foreign, request);
    }

    /// The channels that are subscribed to, or were and will be again.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.iter().filter(|known| known.was_live).map(|known| known.channel.as_str())
    }

    /// The moment of the last command or input.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// How long a connect is held, and how long the client rests between two.
    pub const fn pace(&self) -> (Millis, Millis) {
        (self.pace.hold, self.pace.interval)
    }

    /// What an application needs to go on elsewhere with this session: its id, and the cookies.
    pub fn remains(&self) -> Option<(&str, String)> {
        let cookies = self.jar.header(&self.url, self.unix(self.now));
        self.client_id.as_deref().map(|id| (id, cookies))
    }
}

/// Going on.
impl Session {
    fn begin(&mut self) {
        if self.options.needs_auth && self.credentials.is_none() {
            self.phase = Phase::Authorizing;
            self.announce(Event::NeedsToken { renew: self.is_renewed });
        } else {
            self.phase = Phase::Handshaking;
            self.is_due = true;
        }
    }

    /// Sends the handshake or connect that is due.
    fn proceed(&mut self, dialect: &mut dyn Dialect) {
        if self.is_connect_out() || !self.socket_is_ready() {
            return;
        }
        match self.phase {
            Phase::Handshaking => self.send_handshake(dialect),
            Phase::Connecting => self.send_connect(true),
            // What a connect brings must not overtake what comes with a subscription.
            Phase::Connected if self.takes_up(dialect) || self.leaves() => self.is_held = true,
            Phase::Connected if self.is_paused && !self.is_overdue => {
                self.is_held = true;
                if let Some(longest) = self.options.max_pause {
                    self.timers.set(Timer::Pause, self.now.after(longest));
                }
            }
            Phase::Connected => {
                let has_gap = self.subscriptions.iter().any(|known| known.has_gap);
                self.send_connect(self.is_overdue || has_gap || self.options.drains);
            }
            _ => {}
        }
    }

    /// Whether a message may leave now. Opens a socket if there is none.
    fn socket_is_ready(&mut self) -> bool {
        if self.transport == Transport::LongPolling {
            return true;
        }
        let wants = matches!(self.phase, Phase::Handshaking | Phase::Connecting | Phase::Connected);
        if self.socket == Socket::None && wants {
            let id = self.sockets.advance();
            self.socket = Socket::Opening(id);
            self.announce(Event::SocketOpen { id, url: socket_url(&self.url) });
            self.timers.set(Timer::Reply, self.now.after(self.options.network_delay));
        }
        matches!(self.socket, Socket::Open(_))
    }

    fn send_handshake(&mut self, dialect: &dyn Dialect) {
        let types: Vec<String> =
            self.options.transports.iter().map(|transport| format!("\"{}\"", transport.name())).collect();
        let mut ext = Vec::new();
        if self.options.ack {
            ext.push("\"ack\":true");
        }
        if !dialect.handshake_ext().is_empty() {
            ext.push(dialect.handshake_ext());
        }
        let id = self.ids.advance();
        let message = Outgoing::new("/meta/handshake", id)
            .string("version", "1.0")
            .string("minimumVersion", "1.0")
            .raw("supportedConnectionTypes", &format!("[{}]", types.join(",")))
            .raw_if("ext", &if ext.is_empty() { String::new() } else { format!("{{{}}}", ext.join(",")) })
            .end();
        self.send(Lane::Connect, vec![(id, Kind::Handshake, String::new(), None, message)]);
    }

    /// A probe asks for an answer at once, which tells whether the link works.
    fn send_connect(&mut self, probes: bool) {
        let Some(client_id) = &self.client_id else { return };
        let id = self.ids.advance();
        let message = Outgoing::new("/meta/connect", id)
            .string("clientId", client_id)
            .string("connectionType", self.transport.name())
            .raw_if("advice", if probes { "{\"timeout\":0}" } else { "" })
            .raw_if("ext", &self.ack.map(|batch| format!("{{\"ack\":{batch}}}")).unwrap_or_default())
            .end();
        self.send(Lane::Connect, vec![(id, Kind::Connect, String::new(), None, message)]);
    }

    fn goodbye(&mut self, client_id: &str) {
        let is_reachable = self.transport == Transport::LongPolling || matches!(self.socket, Socket::Open(_));
        if !is_reachable {
            return self.end(None);
        }
        let id = self.ids.advance();
        let message = Outgoing::new("/meta/disconnect", id).string("clientId", client_id).end();
        self.send(Lane::Other, vec![(id, Kind::Disconnect, String::new(), None, message)]);
    }

    /// Sends what waits for the other lane.
    fn flush(&mut self, dialect: &dyn Dialect) {
        let Some(client_id) = self.client_id.clone() else { return };
        // Channels that are taken up somewhere are so between two connects.
        let is_early = self.phase == Phase::Connecting && self.takes_up(dialect);
        if self.todo.is_empty()
            || is_early
            || !matches!(self.phase, Phase::Connecting | Phase::Connected)
            || self.transport == Transport::WebSocket && !matches!(self.socket, Socket::Open(_))
            || self.transport == Transport::LongPolling
                && self.exchanges.values().any(|lane| *lane == Lane::Other)
        {
            return;
        }
        let mut messages = Vec::new();
        let mut size = 2;
        while let Some(next) = self.todo.pop_front() {
            let id = self.ids.advance();
            let (kind, channel, op, message) = match &next {
                Todo::Subscribe(channel) => {
                    let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == *channel)
                    else {
                        continue;
                    };
                    if known.standing != Standing::Wanted {
                        continue;
                    }
                    let message = Outgoing::new("/meta/subscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .raw_if("ext", &dialect.subscribe_ext(channel))
                        .end();
                    (Kind::Subscribe, channel.clone(), None, message)
                }
                Todo::Unsubscribe(channel, op) => {
                    let message = Outgoing::new("/meta/unsubscribe", id)
                        .string("clientId", &client_id)
                        .string("subscription", channel)
                        .end();
                    (Kind::Unsubscribe, channel.clone(), *op, message)
                }
                Todo::Publish(op, channel, data) => {
                    let message =
                        Outgoing::new(channel, id).string("clientId", &client_id).raw("data", data).end();
                    (Kind::Publish, channel.clone(), Some(*op), message)
                }
            };
            if !messages.is_empty() && size + message.len() + 1 > self.options.max_request {
                self.todo.push_front(next);
                break;
            }
            if kind == Kind::Subscribe
                && let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == channel)
            {
                (known.standing, known.has_gap, known.is_left) = (Standing::Asked, false, false);
            }
            size += message.len() + 1;
            messages.push((id, kind, channel, op, message));
        }
        if !messages.is_empty() {
            self.send(Lane::Other, messages);
        }
    }

    fn send(&mut self, lane: Lane, messages: Vec<(u32, Kind, String, Option<OpId>, String)>) {
        let is_connect = matches!(messages.first(), Some((_, Kind::Connect, ..)));
        let hold = if is_connect { self.pace.hold.0 } else { 0 };
        let patience = Millis(self.options.network_delay.0.saturating_add(hold));
        let due = self.now.after(patience);
        let mut body = String::from("[");
        for (at, (.., message)) in messages.iter().enumerate() {
            if at > 0 {
                body.push(',');
            }
            body.push_str(message);
        }
        body.push(']');
        let via = if let (Transport::WebSocket, Socket::Open(id)) = (self.transport, self.socket) {
            self.announce(Event::SocketSend { id, text: body });
            Via::Socket
        } else {
            let channel = match messages.first() {
                Some((_, Kind::Handshake, ..)) => "/meta/handshake",
                Some((_, Kind::Connect, ..)) => "/meta/connect",
                Some((_, Kind::Disconnect, ..)) => "/meta/disconnect",
                _ => "",
            };
            let url = url_for(&self.url, channel);
            let mut headers = String::from("content-type: application/json;charset=UTF-8");
            if let Some(credentials) = &self.credentials {
                headers.extend(["\n", credentials.expose()]);
            }
            if self.options.keeps_cookies {
                let cookies = self.jar.header(&url, self.unix(self.now));
                if !cookies.is_empty() {
                    headers.extend(["\ncookie: ", &cookies]);
                }
            }
            let wanted = if self.options.keeps_cookies { "set-cookie" } else { "" };
            let request = Request::post(url, headers, body.into_bytes())
                .with_patience(patience)
                .with_room(self.options.max_answer)
                .with_wanted(wanted);
            if is_connect {
                self.timers.set(Timer::Watch, due.after(Millis(1000)));
            }
            Via::Exchange(self.exchanges.start(lane, request))
        };
        let sent =
            messages.into_iter().map(|(id, kind, channel, op, _)| Sent { id, kind, channel, op, via, due });
        self.sent.extend(sent);
        self.watch_replies();
    }

    /// The next reply by the socket that may be missing.
    fn watch_replies(&mut self) {
        if matches!(self.socket, Socket::Opening(_)) {
            return;
        }
        match self.sent.iter().filter(|sent| sent.via == Via::Socket).map(|sent| sent.due).min() {
            Some(due) => self.timers.set(Timer::Reply, due),
            None => self.timers.clear(Timer::Reply),
        }
    }

    fn remind(&mut self, timer: Timer, dialect: &mut dyn Dialect) {
        match timer {
            Timer::Next => self.is_due = true,
            Timer::Token => self.announce(Event::NeedsToken { renew: self.is_renewed }),
            Timer::Again => {
                for channel in self.wanted() {
                    // The server may have it, and only its answer was lost.
                    self.todo.push_back(Todo::Unsubscribe(channel.clone(), None));
                    self.todo.push_back(Todo::Subscribe(channel));
                }
            }
            Timer::Watch => {
                if let Some(at) = self.sent.iter().position(|sent| sent.kind == Kind::Connect) {
                    let late = self.sent.remove(at);
                    if let Via::Exchange(id) = late.via {
                        self.exchanges.cancel(id);
                    }
                    self.unanswered(late, &Trouble::of(&Error::new(Code::Timeout)), None);
                }
            }
            Timer::Reply => {
                let trouble = Trouble::of(&Error::new(Code::Timeout));
                self.notice("trouble", None, Some(trouble.clone()));
                self.drop_socket(trouble, dialect);
            }
            Timer::Lost => {
                let last = self.last_trouble.clone();
                if self.opening.is_some() {
                    return self.stop(last.unwrap_or_else(|| Trouble::of(&Error::new(Code::Timeout))));
                }
                let why = last.map(|trouble| format!(" ({})", trouble.message)).unwrap_or_default();
                let trouble = Trouble::new(
                    Code::Timeout,
                    format!("the connection to the server is lost and could not be made again in time{why}"),
                );
                self.refuse_waiting(&trouble);
                self.announce(Event::Lost(trouble));
                self.expect_loss();
            }
            Timer::Pause => {
                if self.is_paused && self.phase == Phase::Connected {
                    (self.is_overdue, self.is_due) = (true, true);
                }
            }
            Timer::Close => {
                self.exchanges.cancel_all();
                self.end(None);
            }
        }
    }

    /// The next handshake or connect after a rest.
    fn again(&mut self, rest: Millis) {
        self.timers.clear(Timer::Next);
        if rest.0 == 0 {
            self.is_due = true;
        } else {
            self.timers.set(Timer::Next, self.now.after(rest));
        }
    }

    fn rest(&mut self, hint: Option<Millis>) -> Millis {
        let rest = self.backoff.rest(&mut self.noise);
        rest.max(hint.unwrap_or_default()).max(self.pace.interval)
    }

    /// A rest for a server that is busy: that long, doubled each time, and a tenth by chance.
    fn busy_rest(&mut self, least: Millis) -> Millis {
        let rest = least.0.saturating_mul(1 << self.busy.min(16)).min(BUSIEST.max(least.0));
        self.busy += 1;
        Millis(rest + self.noise.up_to(rest / 10))
    }
}

/// What comes back.
impl Session {
    fn land(&mut self, id: ExchangeId, outcome: Result<Response, Failure>, dialect: &mut dyn Dialect) {
        let mut failure = None;
        match outcome {
            Ok(mut response) => {
                for cookie in response.headers_named("set-cookie") {
                    self.jar.store(&self.url, cookie, self.unix(self.now));
                }
                let document = Document::new(core::mem::take(&mut response.body));
                match read(document.padded(), dialect.data_reader()) {
                    Ok(reading) if !reading.rows.is_empty() || !reading.replies.is_empty() => {
                        self.take(Some(id), document, reading, dialect);
                    }
                    other => {
                        response.body = document.into_text();
                        failure = Some(failed(&Ok(response), other.is_ok()));
                    }
                }
            }
            Err(why) => failure = Some(failed(&Err(why), false)),
        }
        let (trouble, hint) = failure.unwrap_or_else(|| {
            (
                Trouble::new(Code::Unavailable, "the answer of the server has no reply to the message in it"),
                None,
            )
        });
        let mut left = Vec::new();
        self.sent.retain(|sent| {
            let is_left = sent.via == Via::Exchange(id);
            if is_left {
                left.push(sent.clone());
            }
            !is_left
        });
        if left.is_empty() {
            return;
        }
        if trouble.status == Some(401) && self.options.needs_auth && self.phase != Phase::Closing {
            self.refuse_sent(left, &trouble);
            return self.react(Reaction::Reauthorize, dialect);
        }
        self.notice("trouble", None, Some(trouble.clone()));
        for sent in left {
            self.unanswered(sent, &trouble, hint);
        }
    }

    /// Takes in everything that an answer or frame has in it.
    fn take(
        &mut self,
        source: Option<ExchangeId>,
        document: Document,
        reading: Reading,
        dialect: &mut dyn Dialect,
    ) {
        let Reading { mut rows, replies } = reading;
        let text = document.padded();
        let held_back = self.channels_held_back(source, dialect);
        if !held_back.is_empty() {
            let name = |row: &Row| text.get(row.channel.start, row.channel.end);
            for (channel, from) in held_back {
                let is_of = |row: &Row| row.marks.position.is_some() && name(row) == channel.as_bytes();
                // Of an answer to its own subscription what the server had ready before is left out: it comes again behind that.
                let until = if from { behind_descent(text, &rows, is_of) } else { rows.len() };
                let mut at = 0;
                let mut has_dropped = false;
                rows.retain(|row| {
                    let drops = at < until && is_of(row);
                    at += 1;
                    has_dropped |= drops;
                    !drops
                });
                if has_dropped && !from {
                    self.has_more = true;
                    for known in &mut self.subscriptions {
                        known.has_gap |= without_filter(&known.channel) == channel;
                    }
                }
            }
        }
        rows.retain(|row| dialect.arrived(text, row));
        self.events_seen = rows.len();
        if !rows.is_empty() && self.phase != Phase::Closed {
            self.is_paused |= self.options.waits_for_room;
            self.announce(Event::Messages { source, text: document.into_text(), rows });
        }
        for reply in replies {
            if self.phase == Phase::Closed {
                return;
            }
            self.hear(&reply, dialect);
        }
    }

    /// Channels whose events in this answer come again, and would overtake others now. True: only those that stand before what was asked for.
    fn channels_held_back(&self, source: Option<ExchangeId>, dialect: &dyn Dialect) -> Vec<(String, bool)> {
        let is_overdue = self.is_paused && self.is_overdue;
        let mut names = Vec::new();
        for known in &self.subscriptions {
            let is_usual = known.standing == Standing::Live && !known.has_gap && !is_overdue;
            if is_usual || self.ack.is_some() || dialect.continuity(&known.channel) != Continuity::Kept {
                continue;
            }
            let is_own = known.standing == Standing::Asked
                && self.sent.iter().any(|sent| {
                    sent.kind == Kind::Subscribe
                        && sent.channel == known.channel
                        && source.is_some_and(|source| sent.via == Via::Exchange(source))
                });
            // A new session that sends what was not asked for yet has it from the one before.
            let is_unasked = known.standing == Standing::Wanted && !known.has_gap;
            if !is_unasked {
                names.push((without_filter(&known.channel).to_owned(), is_own));
            }
        }
        names
    }

    /// Whether a channel that goes on where it was is being asked for, or is just going to be.
    fn takes_up(&self, dialect: &dyn Dialect) -> bool {
        self.subscriptions.iter().any(|known| {
            let is_asked = known.standing == Standing::Asked
                || known.standing == Standing::Wanted
                    && self
                        .todo
                        .iter()
                        .any(|todo| matches!(todo, Todo::Subscribe(channel) if *channel == known.channel));
            is_asked && dialect.continuity(&known.channel) == Continuity::Kept
        })
    }

    /// Whether a channel is just being taken back, to be asked for again.
    fn leaves(&self) -> bool {
        self.todo.iter().any(|todo| matches!(todo, Todo::Unsubscribe(_, None)))
            || self.sent.iter().any(|sent| sent.kind == Kind::Unsubscribe && sent.op.is_none())
    }

    fn hear(&mut self, reply: &Reply, dialect: &mut dyn Dialect) {
        let kind = match reply.channel.as_str() {
            "/meta/handshake" => Kind::Handshake,
            "/meta/connect" => Kind::Connect,
            "/meta/subscribe" => Kind::Subscribe,
            "/meta/unsubscribe" => Kind::Unsubscribe,
            "/meta/disconnect" => Kind::Disconnect,
            channel if channel.starts_with("/meta/") => return,
            _ => Kind::Publish,
        };
        let channels = reply.subscriptions();
        let answered = self.sent.iter().position(|sent| {
            sent.kind == kind
                && match &reply.id {
                    Some(id) => *id == sent.id.to_string(),
                    None => channels.is_empty() || channels.contains(&sent.channel),
                }
                && (kind != Kind::Publish || sent.channel == reply.channel)
        });
        let Some(at) = answered else {
            // A server may say goodbye unasked.
            if kind == Kind::Disconnect && self.phase != Phase::Closing {
                self.closed_by_server(reply);
            }
            return;
        };
        let Some(successful) = reply.successful else { return };
        let sent = self.sent.remove(at);
        if successful {
            self.granted(&sent, reply, dialect);
        } else {
            self.refused(sent, reply, dialect);
        }
    }

    fn granted(&mut self, sent: &Sent, reply: &Reply, dialect: &mut dyn Dialect) {
        match sent.kind {
            Kind::Handshake => self.shaken(reply, dialect),
            Kind::Connect => self.connected(reply, dialect),
            Kind::Subscribe => {
                if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == sent.channel)
                {
                    (known.standing, known.was_live, known.refusals) = (Standing::Live, true, 0);
                    for op in core::mem::take(&mut known.waiting) {
                        self.settle(op, Ok(()));
                    }
                }
                self.go_on_polling();
            }
            Kind::Unsubscribe => {
                self.settle_if(sent.op, Ok(()));
                self.go_on_polling();
            }
            Kind::Publish => self.settle_if(sent.op, Ok(())),
            Kind::Disconnect => self.end(None),
        }
    }

    fn shaken(&mut self, reply: &Reply, dialect: &mut dyn Dialect) {
        let Some(client_id) = reply.client_id() else {
            let trouble =
                Trouble::new(Code::Unavailable, "the server granted a session, but gave no clientId");
            self.notice("trouble", None, Some(trouble));
            let rest = self.rest(None);
            return self.again(rest);
        };
        if self.phase == Phase::Closing {
            return self.goodbye(&client_id);
        }
        let offers =
            reply.get(&["supportedConnectionTypes"]).map(|value| value.strings()).unwrap_or_default();
        let offered =
            |transport: Transport| offers.is_empty() || offers.iter().any(|offer| offer == transport.name());
        if !offered(self.transport) {
            let Some(other) = self.options.transports.iter().copied().find(|other| offered(*other)) else {
                let message = format!("the server offers none of our transports, but {}", offers.join(", "));
                return self.stop(Trouble::new(Code::Rejected, message));
            };
            self.switch_to(other);
        }
        self.advise(&reply.advice(self.transport.name()).unwrap_or_default());
        self.ack = match reply.get(&["ext", "ack"]) {
            Some(offer) if self.options.ack => match offer.bool() {
                Some(true) => Some(0),
                Some(false) => None,
                None => match reply.get(&["ext", "ack", "enabled"]).and_then(|enabled| enabled.bool()) {
                    Some(true) => {
                        Some(reply.get(&["ext", "ack", "batch"]).and_then(|n| n.integer()).unwrap_or(0))
                    }
                    _ => None,
                },
            },
            _ => None,
        };
        self.client_id = Some(client_id);
        self.phase = Phase::Connecting;
        (self.is_unproven, self.is_held) = (true, false);
        self.announce(Event::State(State::Connecting));
        if core::mem::replace(&mut self.has_had_session, true) {
            self.notice("session_replaced", None, None);
        }
        if let Some(lack) = dialect.shaken(reply) {
            self.notice(lack, None, None);
        }
        self.subscribe_anew(dialect);
        self.again(Millis(0));
    }

    /// A new session knows no subscriptions.
    fn subscribe_anew(&mut self, dialect: &dyn Dialect) {
        for todo in core::mem::take(&mut self.todo) {
            match todo {
                Todo::Publish(..) => self.todo.push_back(todo),
                // That is done with the session.
                Todo::Unsubscribe(_, op) => self.settle_if(op, Ok(())),
                Todo::Subscribe(_) => {}
            }
        }
        let mut anew = Vec::new();
        let mut gaps = Vec::new();
        for known in &mut self.subscriptions {
            (known.standing, known.has_gap, known.is_left) = (Standing::Wanted, false, false);
            if known.was_live && dialect.continuity(&known.channel) != Continuity::Kept {
                gaps.push(known.channel.clone());
            }
            anew.push(Todo::Subscribe(known.channel.clone()));
        }
        for (at, todo) in anew.into_iter().enumerate() {
            self.todo.insert(at, todo);
        }
        for channel in gaps {
            self.notice("possible_gap", Some(channel), None);
        }
    }

    fn connected(&mut self, reply: &Reply, dialect: &dyn Dialect) {
        if !matches!(self.phase, Phase::Connecting | Phase::Connected) {
            return;
        }
        if let Some(batch) = reply.get(&["ext", "ack"]).and_then(|ack| ack.integer())
            && self.ack.is_some()
        {
            self.ack = Some(batch);
        }
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.advise(advice);
        }
        let advice = advice.unwrap_or_default();
        match advice.reconnect {
            Some(Reconnect::None) => return self.closed_by_server(reply),
            Some(Reconnect::Unknown) => return self.stop(unknown_advice()),
            Some(Reconnect::Handshake) => return self.new_session(false),
            Some(Reconnect::Retry) | None if advice.interval.is_some_and(|interval| interval < 0) => {
                return self.closed_by_server(reply);
            }
            Some(Reconnect::Retry) | None => {}
        }
        if advice.multiple_clients {
            self.notice("multiple_clients", None, None);
        }
        let was_connected = core::mem::replace(&mut self.phase, Phase::Connected) == Phase::Connected;
        self.link_is_up();
        if !was_connected {
            self.announce(Event::State(State::Connected));
        }
        if let Some(op) = self.opening.take() {
            self.settle(op, Ok(()));
        }
        if !self.is_paused {
            self.close_gaps(dialect);
        }
        let is_settled = self.subscriptions.iter().all(|known| known.standing == Standing::Live);
        if self.options.drains && was_connected && is_settled && self.events_seen == 0 {
            return self.close(self.now);
        }
        self.again(self.pace.interval);
    }

    /// Answers were lost. What was in them comes again to those who subscribe again from where they were; but first what the server has ready
    /// has to run off, because it would come before that.
    fn close_gaps(&mut self, dialect: &dyn Dialect) {
        let has_more = core::mem::take(&mut self.has_more);
        let mut gaps = Vec::new();
        for known in &mut self.subscriptions {
            // One that is being asked for keeps its gap until it is answered.
            if !known.has_gap || known.standing == Standing::Asked {
                continue;
            }
            let is_kept = dialect.continuity(&known.channel) == Continuity::Kept;
            // What the server repeats by itself is not lost.
            if self.ack.is_none() && is_kept {
                known.standing = Standing::Wanted;
                self.todo
                    .retain(|todo| !matches!(todo, Todo::Subscribe(channel) if *channel == known.channel));
                if !core::mem::replace(&mut known.is_left, true) {
                    self.todo.push_back(Todo::Unsubscribe(known.channel.clone(), None));
                }
                if !has_more {
                    self.todo.push_back(Todo::Subscribe(known.channel.clone()));
                }
            } else {
                known.has_gap = false;
                if self.ack.is_none() && known.was_live {
                    gaps.push(known.channel.clone());
                }
            }
        }
        for channel in gaps {
            self.notice("possible_gap", Some(channel), None);
        }
    }

    /// A connect that was held back leaves, if nothing holds it any more.
    const fn go_on_polling(&mut self) {
        self.is_due |= core::mem::replace(&mut self.is_held, false);
    }

    fn refused(&mut self, sent: Sent, reply: &Reply, dialect: &mut dyn Dialect) {
        if self.phase == Phase::Closing {
            return self.end(None);
        }
        let reaction = dialect.judge(sent.kind, reply, &sent.channel, self.opening.is_some());
        let complaint = reply.error().unwrap_or_default();
        let what = match sent.kind {
            Kind::Handshake => "a session".to_owned(),
            Kind::Connect => "the connection".to_owned(),
            Kind::Disconnect => "the end of the session".to_owned(),
            Kind::Subscribe => format!("the subscription to {}", sent.channel),
            Kind::Unsubscribe => format!("to end the subscription to {}", sent.channel),
            Kind::Publish => format!("an event for {}", sent.channel),
        };
        let trouble = Trouble::said(Code::Rejected, &what, &complaint);
        let advice = reply.advice(self.transport.name());
        if let Some(advice) = &advice {
            self.hosts = advice.hosts.iter().cloned().collect();
            if matches!(sent.kind, Kind::Handshake | Kind::Connect) {
                self.advise(advice);
            }
        }
        let advice = advice.unwrap_or_default();
        let is_lane = matches!(sent.kind, Kind::Handshake | Kind::Connect);
        let reaction = reaction.unwrap_or_else(|| {
            if is_lane && complaint.contains("BAYEUX_BROWSER") {
                return Reaction::Stop(cookies_missing(&complaint));
            }
            match advice.reconnect {
                Some(Reconnect::Handshake) if sent.kind != Kind::Handshake => {
                    Reaction::Handshake { drop_cookies: false }
                }
                Some(Reconnect::None) if is_lane => Reaction::Stop(trouble.clone()),
                Some(Reconnect::Unknown) if is_lane => Reaction::Stop(unknown_advice()),
                _ if is_lane && advice.interval.is_some_and(|interval| interval < 0) => {
                    Reaction::Stop(trouble.clone())
                }
                _ => Reaction::Refuse(trouble.clone()),
            }
        });
        match (sent.kind, reaction) {
            (Kind::Handshake, Reaction::Refuse(_)) => {
                self.notice("trouble", None, Some(trouble));
                let rest = self.rest(None);
                self.again(rest);
            }
            (Kind::Connect, Reaction::Refuse(_)) => {
                self.notice("trouble", None, Some(trouble.clone()));
                self.connect_failed(&trouble, None, false);
            }
            (
                Kind::Subscribe,
                reaction @ (Reaction::Refuse(_) | Reaction::Later(..) | Reaction::Again(_)),
            ) => {
                self.subscription_refused(&sent.channel, reaction);
            }
            (kind, reaction) => {
                // Its channel is asked for again with the next session.
                if kind != Kind::Subscribe {
                    let why = match &reaction {
                        Reaction::Stop(why) | Reaction::Refuse(why) => why.clone(),
                        _ => trouble,
                    };
                    self.settle_if(sent.op, Err(why));
                }
                self.react(reaction, dialect);
                if kind == Kind::Unsubscribe {
                    self.go_on_polling();
                }
            }
        }
    }

    fn subscription_refused(&mut self, channel: &str, reaction: Reaction) {
        let Some(at) = self.subscriptions.iter().position(|known| known.channel == channel) else { return };
        let Some(known) = self.subscriptions.get_mut(at) else { return };
        known.refusals += 1;
        // A server that refuses whatever is asked for.
        let is_stubborn = known.refusals > 10;
        match reaction {
            Reaction::Later(trouble, rest) if !is_stubborn => {
                known.standing = Standing::Wanted;
                let rest = Millis(rest.0 + self.noise.up_to(rest.0));
                self.notice("trouble", Some(channel.to_owned()), Some(trouble));
                self.timers.set(Timer::Again, self.now.after(rest));
                // The others need not wait for it.
                self.go_on_polling();
            }
            Reaction::Again(trouble) if !is_stubborn => {
                known.standing = Standing::Wanted;
                self.todo.push_back(Todo::Subscribe(channel.to_owned()));
                self.notice("replay_gap", Some(channel.to_owned()), Some(trouble));
            }
            Reaction::Later(trouble, _) | Reaction::Again(trouble) | Reaction::Refuse(trouble) => {
                let gone = self.subscriptions.remove(at);
                let nobody_waits = gone.waiting.is_empty();
                for op in gone.waiting {
                    self.settle(op, Err(trouble.clone()));
                }
                if nobody_waits || gone.was_live {
                    self.notice("subscription_lost", Some(channel.to_owned()), Some(trouble));
                }
                self.go_on_polling();
            }
            _ => {}
        }
    }

    fn react(&mut self, reaction: Reaction, _dialect: &mut dyn Dialect) {
        match reaction {
            Reaction::Handshake { drop_cookies } => self.new_session(drop_cookies),
            Reaction::Reauthorize => {
                if core::mem::replace(&mut self.is_renewed, true) {
                    return self.stop(Trouble::new(
                        Code::Unauthorized,
                        "the server refuses the credentials, although they are new",
                    ));
                }
                self.leave_session();
                self.credentials = None;
                self.begin();
            }
            Reaction::Busy(trouble, least) => {
                self.leave_session();
                self.notice("trouble", None, Some(trouble));
                self.phase = Phase::Handshaking;
                let rest = self.busy_rest(least);
                self.again(rest);
            }
            Reaction::Stop(trouble) => self.stop(trouble),
            Reaction::Refuse(trouble) | Reaction::Later(trouble, _) | Reaction::Again(trouble) => {
                self.notice("trouble", None, Some(trouble));
            }
        }
    }

    /// The session is gone.
    fn new_session(&mut self, drop_cookies: bool) {
        if drop_cookies {
            self.jar.clear();
        }
        let is_unproven = self.is_unproven;
        self.leave_session();
        self.phase = Phase::Handshaking;
        self.announce(Event::State(State::Handshaking));
        if self.options.follows_hosts
            && let Some(host) = self.hosts.pop_front()
        {
            self.url = at_host(&self.url, &host);
        }
        // A session that never worked is not followed by another without a rest.
        let rest = if is_unproven { self.rest(None) } else { self.pace.interval };
        self.again(rest);
    }

    fn leave_session(&mut self) {
        self.client_id = None;
        self.is_unproven = true;
        let mut left = core::mem::take(&mut self.sent);
        left.retain(|sent| sent.kind != Kind::Subscribe);
        for id in self.exchanges.ids_where(|lane| *lane != Lane::Foreign) {
            self.exchanges.cancel(id);
        }
        self.refuse_sent(
            left,
            &Trouble::new(Code::Network, "the session ended before the server had answered"),
        );
        for known in &mut self.subscriptions {
            known.standing = Standing::Wanted;
        }
        for timer in [Timer::Next, Timer::Watch, Timer::Pause, Timer::Again] {
            self.timers.clear(timer);
        }
        (self.is_due, self.is_held, self.has_more) = (false, false, false);
        // After a break down, the socket of before is of no use to the next session.
        self.watch_replies();
    }

    /// A message to which there was no reply.
    fn unanswered(&mut self, sent: Sent, trouble: &Trouble, hint: Option<Millis>) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.phase == Phase::Closing {
            return self.end(None);
        }
        // Events may have come with it.
        if sent.kind != Kind::Handshake {
            for known in self.subscriptions.iter_mut().filter(|known| known.standing != Standing::Wanted) {
                known.has_gap = true;
            }
        }
        let slept = trouble.code == Code::Timeout && self.now > sent.due.after(SLEPT);
        match sent.kind {
            Kind::Handshake => self.handshake_failed(trouble, hint),
            Kind::Connect => self.connect_failed(trouble, hint, slept),
            Kind::Subscribe => {
                let Some(at) = self.subscriptions.iter().position(|known| known.channel == sent.channel)
                else {
                    return;
                };
                let Some(known) = self.subscriptions.get_mut(at) else { return };
                known.standing = Standing::Wanted;
                known.has_gap = true;
                if known.waiting.is_empty() || known.was_live {
                    let rest = self.backoff.rest_after(2, &mut self.noise);
                    if self.phase == Phase::Connected && !self.is_connect_out() {
                        // The next connect asks for them again.
                        self.is_held = false;
                        self.again(rest);
                    } else {
                        self.timers.set(Timer::Again, self.now.after(rest));
                    }
                } else {
                    for op in self.subscriptions.remove(at).waiting {
                        self.settle(op, Err(trouble.clone()));
                    }
                }
            }
            Kind::Unsubscribe => {
                if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == sent.channel)
                {
                    known.is_left = false;
                }
                self.settle_if(sent.op, Err(trouble.clone()));
                self.go_on_polling();
            }
            Kind::Publish => self.settle_if(sent.op, Err(trouble.clone())),
            Kind::Disconnect => {}
        }
    }

    fn handshake_failed(&mut self, trouble: &Trouble, hint: Option<Millis>) {
        if self.gives_up(trouble) {
            return self.stop(trouble.clone());
        }
        self.link_is_down(trouble);
        if self.options.follows_hosts
            && let Some(host) = self.hosts.pop_front()
        {
            self.url = at_host(&self.url, &host);
            return self.again(Millis(0));
        }
        let rest = self.rest(hint);
        self.again(rest);
    }

    fn connect_failed(&mut self, trouble: &Trouble, hint: Option<Millis>, slept: bool) {
        if self.gives_up(trouble) {
            return self.stop(trouble.clone());
        }
        self.timers.clear(Timer::Watch);
        self.link_is_down(trouble);
        self.phase = Phase::Connecting;
        self.is_held = false;
        self.announce(Event::State(State::Connecting));
        let rest = if slept { Millis(0) } else { self.rest(hint) };
        let since = self.down_since.unwrap_or(self.now);
        if let Some(keeps) = self.pace.keeps {
            let longest = self.pace.hold.0.saturating_add(self.pace.interval.0).saturating_add(keeps.0);
            if self.now.after(rest) > since.after(Millis(longest)) {
                // By then the server has forgotten the session.
                self.is_unproven = false;
                self.leave_session();
                self.phase = Phase::Handshaking;
                self.announce(Event::State(State::Handshaking));
            }
        }
        self.again(rest);
    }

    /// Whether another try would be of no use. What has worked once is tried again.
    fn gives_up(&self, trouble: &Trouble) -> bool {
        trouble.code == Code::Redirected || self.opening.is_some() && !trouble.code.is_retryable()
    }

    fn drop_socket(&mut self, trouble: Trouble, _dialect: &mut dyn Dialect) {
        let was_open = matches!(self.socket, Socket::Open(_));
        self.close_socket();
        self.socket_failures = if was_open { 0 } else { self.socket_failures + 1 };
        let mut left = core::mem::take(&mut self.sent);
        self.sent = left.extract_if(.., |sent| sent.via != Via::Socket).collect();
        // The first time that it could not be opened, or the second if it has worked before.
        let has_other = self.options.transports.contains(&Transport::LongPolling);
        let falls_back = !was_open && has_other && (!self.has_had_session || self.socket_failures > 1);
        let has_lane = left.iter().any(|sent| matches!(sent.kind, Kind::Handshake | Kind::Connect));
        for sent in left {
            self.unanswered(sent, &trouble, None);
        }
        if matches!(self.phase, Phase::Closed | Phase::Closing) {
            return self.end(None);
        }
        if falls_back {
            self.notice("transport_fallback", None, Some(trouble));
            let had_session = self.client_id.is_some();
            self.switch_to(Transport::LongPolling);
            if had_session {
                self.leave_session();
                self.phase = Phase::Handshaking;
            }
            self.again(Millis(0));
        } else if !has_lane {
            match self.phase {
                Phase::Handshaking => self.handshake_failed(&trouble, None),
                Phase::Connecting | Phase::Connected => {
                    for known in &mut self.subscriptions {
                        known.has_gap = true;
                    }
                    self.connect_failed(&trouble, None, false);
                }
                _ => {}
            }
        }
    }

    fn switch_to(&mut self, transport: Transport) {
        self.close_socket();
        self.transport = transport;
    }

    fn close_socket(&mut self) {
        if let Socket::Opening(id) | Socket::Open(id) = core::mem::replace(&mut self.socket, Socket::None) {
            self.announce(Event::SocketClose { id });
            self.timers.clear(Timer::Reply);
        }
    }

    fn advise(&mut self, advice: &Advice) {
        let millis = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).map(Millis);
        self.pace = Pace {
            interval: millis(advice.interval).unwrap_or_default(),
            hold: millis(advice.timeout).unwrap_or(self.options.hold),
            keeps: millis(advice.max_interval).filter(|keeps| keeps.0 > 0),
        };
    }

    fn link_is_up(&mut self) {
        self.backoff.reset();
        self.busy = 0;
        (self.down_since, self.last_trouble) = (None, None);
        (self.is_unproven, self.is_renewed) = (false, false);
        for timer in [Timer::Lost, Timer::Watch, Timer::Next] {
            self.timers.clear(timer);
        }
    }

    fn link_is_down(&mut self, trouble: &Trouble) {
        self.last_trouble = Some(trouble.clone());
        if self.down_since.is_none() {
            self.down_since = Some(self.now);
            self.expect_loss();
        }
    }

    fn expect_loss(&mut self) {
        if let Some(patience) = self.options.patience {
            self.timers.set(Timer::Lost, self.now.after(patience));
        }
    }

    fn closed_by_server(&mut self, reply: &Reply) {
        self.notice("closed_by_server", None, None);
        let why = reply.error().map(|error| format!(": {error}")).unwrap_or_default();
        let mut trouble = Trouble::new(Code::Rejected, format!("the server closed the connection{why}"));
        trouble.said = reply.error();
        self.stop(trouble);
    }

    fn stop(&mut self, trouble: Trouble) {
        self.exchanges.cancel_all();
        // What was sent as well: its answer is not heard any more.
        self.refuse_all(&trouble);
        self.sent.clear();
        self.end(Some(trouble));
    }

    fn end(&mut self, trouble: Option<Trouble>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.close_socket();
        self.sent.clear();
        self.client_id = None;
        self.timers = Timers::new();
        self.is_due = false;
        self.announce(Event::State(State::Disconnected));
        self.announce(Event::Ended(trouble));
    }

    fn refuse_all(&mut self, trouble: &Trouble) {
        let sent = self.sent.iter().filter_map(|sent| sent.op).collect::<Vec<_>>();
        for op in sent {
            self.settle(op, Err(trouble.clone()));
        }
        for sent in &mut self.sent {
            sent.op = None;
        }
        if let Some(op) = self.opening.take() {
            self.settle(op, Err(trouble.clone()));
        }
        self.refuse_waiting(trouble);
        self.subscriptions.clear();
    }

    /// Refuses what waits to be sent, or for a subscription.
    fn refuse_waiting(&mut self, trouble: &Trouble) {
        let mut ops = Vec::new();
        for known in &mut self.subscriptions {
            ops.append(&mut known.waiting);
        }
        self.subscriptions.retain(|known| known.was_live);
        for todo in core::mem::take(&mut self.todo) {
            match todo {
                Todo::Publish(op, ..) | Todo::Unsubscribe(_, Some(op)) => ops.push(op),
                Todo::Subscribe(channel) => {
                    if self.subscriptions.iter().any(|known| known.channel == channel) {
                        self.todo.push_back(Todo::Subscribe(channel));
                    }
                }
                Todo::Unsubscribe(_, None) => {}
            }
        }
        for op in ops {
            self.settle(op, Err(trouble.clone()));
        }
    }

    fn refuse_sent(&mut self, sent: Vec<Sent>, trouble: &Trouble) {
        for sent in sent {
            self.settle_if(sent.op, Err(trouble.clone()));
        }
    }

    fn wanted(&self) -> Vec<String> {
        let wanted =
            self.subscriptions.iter().filter(|known| known.standing == Standing::Wanted && !known.is_left);
        let waits = |channel: &str| {
            self.todo.iter().any(|todo| matches!(todo, Todo::Subscribe(other) if other == channel))
        };
        wanted.filter(|known| !waits(&known.channel)).map(|known| known.channel.clone()).collect()
    }

    fn is_connect_out(&self) -> bool {
        self.sent.iter().any(|sent| matches!(sent.kind, Kind::Handshake | Kind::Connect))
    }

    fn op(&mut self, now: Moment) -> OpId {
        self.now = now;
        OpId(self.ops.advance())
    }

    fn settle(&mut self, op: OpId, result: Result<(), Trouble>) {
        self.announce(Event::Settled(op, result));
    }

    fn settle_if(&mut self, op: Option<OpId>, result: Result<(), Trouble>) {
        if let Some(op) = op {
            self.settle(op, result);
        }
    }

    fn notice(&mut self, kind: &'static str, channel: Option<String>, trouble: Option<Trouble>) {
        self.announce(Event::Notice(Notice { kind, channel, trouble }));
    }

    fn announce(&mut self, event: Event) {
        self.exchanges.announce(event);
    }

    fn unix(&self, now: Moment) -> u64 {
        self.options.epoch.saturating_add(now.as_millis())
    }

    fn deadline(&self) -> Deadline {
        self.timers.next()
    }
}

impl Subscription {
    fn new(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            users: 1,
            standing: Standing::Wanted,
            was_live: false,
            waiting: Vec::new(),
            has_gap: false,
            is_left: false,
            refusals: 0,
        }
    }
}

fn closed_or(phase: Phase, otherwise: &str) -> Trouble {
    match phase {
        Phase::Closing | Phase::Closed => Trouble::new(Code::Closed, Code::Closed.sentence()),
        _ => Trouble::new(Code::InvalidArgument, otherwise),
    }
}

/// Behind the last event whose id is lower than that of the one before: there begins what is repeated. 0 if there is none.
fn behind_descent(text: Padded<'_>, rows: &[Row], is_of: impl Fn(&Row) -> bool) -> usize {
    let (mut behind, mut last) = (0, 0);
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| is_of(row)) {
        let id = row.marks.position.map(|span| text.get(span.start, span.end)).unwrap_or_default();
        let Some(id) = core::str::from_utf8(id).ok().and_then(|id| id.parse::<u64>().ok()) else { continue };
        if id < last {
            behind = at;
        }
        last = id;
    }
    behind
}

#[cold]
fn unknown_advice() -> Trouble {
    Trouble::new(
        Code::Rejected,
        "the server gave an advice that is not known, so the client must not go on by itself",
    )
}

#[cold]
fn cookies_missing(complaint: &str) -> Trouble {
    let mut trouble = Trouble::said(Code::Rejected, "the connection", complaint);
    trouble.message.push_str(
        " - the session cookie did not come back: in a browser, cookies of the server's site are blocked; elsewhere, something between takes them away",
    );
    trouble
}

/// Why an exchange gave nothing, and how long the server asked to wait.
#[cold]
fn failed(outcome: &Result<Response, Failure>, is_empty: bool) -> (Trouble, Option<Millis>) {
    match verdict::judge(outcome) {
        Verdict::Later(error, hint) => (Trouble::of(&error), hint),
        Verdict::Fail(error) => (Trouble::of(&error), None),
        Verdict::Done => {
            let what = if is_empty { "without a message in it" } else { "that is not Bayeux" };
            let mut trouble = Trouble::new(Code::Unavailable, format!("the server gave an answer {what}"));
            trouble.status = outcome.as_ref().ok().map(|response| response.status);
            (trouble, None)
        }
    }
}
