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

mod errors;
mod incoming;
mod outgoing;
mod types;

use std::collections::VecDeque;

pub use types::{Event, Notice, Options, SessionError, State};

use super::cookies::Jar;
use super::dialect::{Dialect, Kind};
use super::message::read;
use super::wire::Transport;
use crate::base::error::Code;
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, ExchangeId, OpId};
use crate::base::json::find::Document;
use crate::base::secret::Secret;
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Output};
use crate::engine::timers::Timers;

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
    rng: Rng,
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
    last_trouble: Option<SessionError>,
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
            rng: Rng::new(seed),
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
            self.settle(op, Err(SessionError::new(Code::Closed, Code::Closed.sentence())));
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
            self.settle(op, Err(SessionError::new(Code::Closed, Code::Closed.sentence())));
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
                Err(SessionError::new(Code::Aborted, format!("{channel} was unsubscribed meanwhile"))),
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
    pub fn unauthorized(&mut self, now: Moment, trouble: SessionError, hint: Option<Millis>, is_final: bool) {
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
        self.refuse_all(&SessionError::new(Code::Closed, Code::Closed.sentence()));
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
                let trouble = SessionError::new(
                    Code::Unavailable,
                    "the server sent a frame that is not Bayeux; the socket is opened anew",
                );
                self.notice("trouble", None, Some(trouble.clone()));
                self.drop_socket(trouble);
            }
        }
        self.watch_replies();
    }

    /// A socket was closed, or could not be opened.
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16) {
        self.now = now;
        if self.socket == Socket::Opening(id) || self.socket == Socket::Open(id) {
            self.drop_socket(SessionError::new(Code::Network, format!("the WebSocket was closed ({code})")));
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
            && let Some(lane) = self.exchanges.finish(id)
        {
            if lane == Lane::Foreign {
                foreign = Some(outcome);
            } else {
                self.land(id, outcome, dialect);
            }
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.remind(timer);
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
}

/// What all of it needs.
impl Session {
    /// A connect that was held back leaves, if nothing holds it any more.
    const fn go_on_polling(&mut self) {
        self.is_due |= core::mem::replace(&mut self.is_held, false);
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

    fn settle(&mut self, op: OpId, result: Result<(), SessionError>) {
        self.announce(Event::Settled(op, result));
    }

    fn settle_if(&mut self, op: Option<OpId>, result: Result<(), SessionError>) {
        if let Some(op) = op {
            self.settle(op, result);
        }
    }

    fn notice(&mut self, kind: &'static str, channel: Option<String>, trouble: Option<SessionError>) {
        self.announce(Event::Notice(Notice { kind, channel, trouble }));
    }

    fn announce(&mut self, event: Event) {
        self.exchanges.emit(event);
    }

    fn unix(&self, now: Moment) -> u64 {
        self.options.epoch.saturating_add(now.as_millis())
    }

    fn deadline(&self) -> Deadline {
        self.timers.next_deadline()
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

fn closed_or(phase: Phase, otherwise: &str) -> SessionError {
    match phase {
        Phase::Closing | Phase::Closed => SessionError::new(Code::Closed, Code::Closed.sentence()),
        _ => SessionError::new(Code::InvalidArgument, otherwise),
    }
}
