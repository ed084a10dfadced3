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

mod incoming;
mod outgoing;
mod recovery;
mod types;

use std::collections::VecDeque;

pub use types::{Event, Notice, Options, State};

use super::cookies::CookieJar;
use super::dialect::{Dialect, MessageKind};
use super::errors::SessionError;
use super::message::parse_messages;
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
enum RequestKind {
    Connect,
    Messages,
    /// Not Bayeux: for the owner.
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The next handshake or connect.
    Connect,
    /// Subscriptions to ask for again.
    Resubscribe,
    /// The next try to get credentials.
    Authorize,
    /// An answer to the connect is so late that the machine must have slept.
    ConnectReply,
    /// A reply by the socket, or its opening.
    SocketReply,
    /// The link has been down for too long.
    ConnectionTimeout,
    /// The consumer has been slow for too long.
    MaxPause,
    /// The server does not answer the goodbye.
    Disconnect,
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
struct PendingMessage {
    id: u32,
    kind: MessageKind,
    channel: String,
    op: Option<OpId>,
    via: Via,
    due: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SubscriptionState {
    /// To be asked for.
    Pending,
    /// Asked for.
    Requested,
    /// Granted.
    Active,
}

#[derive(Clone, Debug)]
struct Subscription {
    channel: String,
    subscriber_count: u32,
    state: SubscriptionState,
    /// Granted at least once.
    has_been_active: bool,
    waiting: Vec<OpId>,
    /// An answer was lost, and what it had for this channel.
    has_gap: bool,
    /// Taken back for the time being: what the server had ready for it has to run off before it is asked for again.
    is_draining: bool,
    refusal_count: u32,
}

/// A message for the other lane.
#[derive(Clone, Debug)]
enum Command {
    Subscribe(String),
    Unsubscribe(String, Option<OpId>),
    Publish(OpId, String, String),
}

/// What the server advises, with what holds where it says nothing.
#[derive(Clone, Copy, Debug)]
struct Timing {
    interval: Millis,
    poll_timeout: Millis,
    /// How long the server keeps a session without a connect.
    max_interval: Option<Millis>,
}

/// How late an answer must be for the machine to have slept.
const SLEEP_THRESHOLD: Millis = Millis(2000);
/// How long a goodbye may take.
const DISCONNECT_TIMEOUT: Millis = Millis(2500);
/// The longest rest while the server is busy.
const MAX_BUSY_DELAY_MS: u64 = 600_000;

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
    has_new_credentials: bool,
    client_id: Option<String>,
    has_had_session: bool,
    /// The session has answered no connect yet.
    is_session_unproven: bool,
    last_ack: Option<i64>,
    timing: Timing,
    message_ids: Counter,
    op_ids: Counter,
    open_op: Option<OpId>,
    exchanges: Exchanges<RequestKind, Event>,
    pending: Vec<PendingMessage>,
    commands: VecDeque<Command>,
    subscriptions: Vec<Subscription>,
    timers: Timers<Timer>,
    backoff: Backoff,
    busy_count: u32,
    /// A handshake or connect is due as soon as all is said.
    is_connect_due: bool,
    /// A connect was due, but waits for channels that are being taken up.
    is_connect_held: bool,
    /// Events were held back, so the server may have more of them ready.
    has_queued_events: bool,
    is_paused: bool,
    /// The pause has been too long for the server.
    has_pause_expired: bool,
    last_event_count: usize,
    down_since: Option<Moment>,
    last_error: Option<SessionError>,
    socket: Socket,
    socket_ids: Counter,
    /// Sockets in a row that were not opened.
    socket_failures: u32,
    cookies: CookieJar,
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
            has_new_credentials: false,
            client_id: None,
            has_had_session: false,
            is_session_unproven: true,
            last_ack: None,
            timing: Timing { interval: Millis(0), poll_timeout: options.poll_timeout, max_interval: None },
            message_ids: Counter::default(),
            op_ids: Counter::default(),
            open_op: None,
            exchanges: Exchanges::new(),
            pending: Vec::new(),
            commands: VecDeque::new(),
            subscriptions: Vec::new(),
            timers: Timers::new(),
            backoff: Backoff::new(options.backoff_base, options.backoff_max, u32::MAX),
            busy_count: 0,
            is_connect_due: false,
            is_connect_held: false,
            has_queued_events: false,
            is_paused: false,
            has_pause_expired: false,
            last_event_count: 0,
            down_since: None,
            last_error: None,
            socket: Socket::None,
            socket_ids: Counter::default(),
            socket_failures: 0,
            cookies: CookieJar::default(),
            options,
        }
    }

    /// Starts. The operation ends when the link works, or when it is clear that it will not.
    pub fn open(&mut self, now: Moment) -> OpId {
        let op = self.next_op(now);
        if self.phase == Phase::Idle {
            self.open_op = Some(op);
            self.emit(Event::State(State::Handshaking));
            self.authorize_or_handshake();
        } else {
            self.settle(op, Err(closed_or(self.phase, "the client is open already")));
        }
        op
    }

    /// Starts with a session that another client has left.
    pub fn resume(&mut self, now: Moment, client_id: &str, cookies: &str, channels: &[String]) -> OpId {
        let op = self.next_op(now);
        self.open_op = Some(op);
        for cookie in cookies.split("; ").filter(|cookie| !cookie.is_empty()) {
            self.cookies.store(&self.url, &format!("{cookie}; path=/"), self.unix_ms(now));
        }
        for channel in channels {
            let mut subscription = Subscription::new(channel);
            (subscription.state, subscription.has_been_active) = (SubscriptionState::Active, true);
            self.subscriptions.push(subscription);
        }
        self.has_had_session = true;
        self.client_id = Some(client_id.to_owned());
        self.phase = Phase::Connecting;
        self.emit(Event::State(State::Connecting));
        self.is_connect_due = true;
        op
    }

    /// Subscribes to a channel or a pattern; before `open` as well. A second subscription to the same costs no message.
    pub fn subscribe(&mut self, now: Moment, channel: &str) -> OpId {
        let op = self.next_op(now);
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            self.settle(op, Err(SessionError::new(Code::Closed, Code::Closed.sentence())));
            return op;
        }
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.channel == channel) {
            known.subscriber_count += 1;
            if known.state == SubscriptionState::Active {
                self.settle(op, Ok(()));
            } else {
                known.waiting.push(op);
            }
            return op;
        }
        let mut subscription = Subscription::new(channel);
        subscription.waiting.push(op);
        self.subscriptions.push(subscription);
        self.commands.push_back(Command::Subscribe(channel.to_owned()));
        op
    }

    /// Takes back one subscription to a channel, or `all` of them. Only the last costs a message.
    pub fn unsubscribe(&mut self, now: Moment, channel: &str, all: bool) -> OpId {
        let op = self.next_op(now);
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            self.settle(op, Err(SessionError::new(Code::Closed, Code::Closed.sentence())));
            return op;
        }
        let Some(at) = self.subscriptions.iter().position(|known| known.channel == channel) else {
            self.settle(op, Ok(()));
            return op;
        };
        let Some(known) = self.subscriptions.get_mut(at) else { return op };
        known.subscriber_count -= 1;
        if known.subscriber_count > 0 && !all {
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
        self.commands.retain(|command| !matches!(command, Command::Subscribe(other) if other == channel));
        self.release_held_connect();
        if gone.state == SubscriptionState::Pending || self.client_id.is_none() {
            self.settle(op, Ok(()));
        } else {
            self.commands.push_back(Command::Unsubscribe(channel.to_owned(), Some(op)));
        }
        op
    }

    /// Publishes `data`, a JSON text. It is sent once: if the answer is lost, nobody knows whether it arrived.
    pub fn publish(&mut self, now: Moment, channel: &str, data: &str, dialect: &dyn Dialect) -> OpId {
        let op = self.next_op(now);
        if !matches!(
            self.phase,
            Phase::Handshaking | Phase::Connecting | Phase::Connected | Phase::Authorizing
        ) {
            self.settle(op, Err(closed_or(self.phase, "the client is not open yet")));
        } else if let Some(error) = dialect.publish_error(channel) {
            self.settle(op, Err(error));
        } else {
            self.commands.push_back(Command::Publish(op, channel.to_owned(), data.to_owned()));
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
            self.is_connect_due = true;
        }
    }

    /// No credentials. Tried again after a delay, unless that `is_final`.
    pub fn unauthorized(&mut self, now: Moment, error: SessionError, hint: Option<Millis>, is_final: bool) {
        self.now = now;
        if self.phase == Phase::Authorizing {
            if is_final {
                return self.stop(error);
            }
            self.connection_failed(&error);
            let delay = self.retry_delay(hint);
            self.timers.set(Timer::Authorize, now.after(delay));
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
        (self.is_paused, self.has_pause_expired) = (false, false);
        self.timers.clear(Timer::MaxPause);
        self.release_held_connect();
    }

    /// Says goodbye and ends. What is under way is refused with `ERR_CLOSED`.
    pub fn close(&mut self, now: Moment) {
        self.now = now;
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            return;
        }
        self.reject_all(&SessionError::new(Code::Closed, Code::Closed.sentence()));
        self.timers = Timers::new();
        self.is_connect_due = false;
        self.phase = Phase::Closing;
        let shakes = self.pending.iter().any(|sent| sent.kind == MessageKind::Handshake);
        if !shakes {
            self.exchanges.cancel_all();
            self.pending.clear();
        }
        if let Some(client_id) = self.client_id.take() {
            self.send_disconnect(&client_id);
        } else if !shakes {
            self.finish(None);
        }
        if self.phase == Phase::Closing {
            self.timers.set(Timer::Disconnect, now.after(DISCONNECT_TIMEOUT));
        }
    }

    /// A socket was opened.
    pub fn socket_opened(&mut self, now: Moment, id: u32) {
        self.now = now;
        if self.socket == Socket::Opening(id) {
            self.socket = Socket::Open(id);
            self.timers.clear(Timer::SocketReply);
            self.is_connect_due = !self.is_connect_pending();
        }
    }

    /// A socket has said something. What is not text comes as no bytes.
    pub fn socket_text(&mut self, now: Moment, id: u32, text: Vec<u8>, dialect: &mut dyn Dialect) {
        self.now = now;
        if self.socket != Socket::Open(id) {
            return;
        }
        let document = Document::new(text);
        match parse_messages(document.padded(), dialect.data_reader()) {
            Ok(messages) => self.process_messages(None, document, messages, dialect),
            Err(_) => {
                let error = SessionError::new(
                    Code::Unavailable,
                    "the server sent a frame that is not Bayeux; the socket is opened anew",
                );
                self.notify("trouble", None, Some(error.clone()));
                self.on_socket_failure(error);
            }
        }
        self.reset_reply_timer();
    }

    /// A socket was closed, or could not be opened.
    pub fn socket_closed(&mut self, now: Moment, id: u32, code: u16) {
        self.now = now;
        if self.socket == Socket::Opening(id) || self.socket == Socket::Open(id) {
            self.on_socket_failure(SessionError::new(
                Code::Network,
                format!("the WebSocket was closed ({code})"),
            ));
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
        let mut owner_outcome = None;
        if let Input::Exchange(id, outcome) = input
            && let Some(lane) = self.exchanges.land(id)
        {
            if lane == RequestKind::Owner {
                owner_outcome = Some(outcome);
            } else {
                self.on_exchange_end(id, outcome, dialect);
            }
        }
        while let Some(timer) = self.timers.due(now) {
            self.on_timer(timer);
        }
        owner_outcome
    }

    /// Says the next thing to do.
    pub fn poll(&mut self, dialect: &mut dyn Dialect) -> Output<Event> {
        if let Some(output) = self.exchanges.poll() {
            return output;
        }
        if core::mem::take(&mut self.is_connect_due) {
            self.send_due_connect(dialect);
        }
        self.send_commands(dialect);
        self.exchanges.poll().unwrap_or_else(|| Output::Wait(self.deadline()))
    }

    /// Starts an exchange whose end [`Self::handle`] gives back.
    pub fn send_for_owner(&mut self, request: Request) {
        self.exchanges.start(RequestKind::Owner, request);
    }

    /// The channels that are subscribed to, or were and will be again.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.iter().filter(|known| known.has_been_active).map(|known| known.channel.as_str())
    }

    /// The moment of the last command or input.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// How long a connect is held, and how long the client rests between two.
    pub const fn timing(&self) -> (Millis, Millis) {
        (self.timing.poll_timeout, self.timing.interval)
    }
}

/// What all of it needs.
impl Session {
    /// A connect that was held back leaves, if nothing holds it any more.
    const fn release_held_connect(&mut self) {
        self.is_connect_due |= core::mem::replace(&mut self.is_connect_held, false);
    }

    fn unqueued_channels(&self) -> Vec<String> {
        let wanted = self
            .subscriptions
            .iter()
            .filter(|known| known.state == SubscriptionState::Pending && !known.is_draining);
        let waits = |channel: &str| {
            self.commands
                .iter()
                .any(|command| matches!(command, Command::Subscribe(other) if other == channel))
        };
        wanted.filter(|known| !waits(&known.channel)).map(|known| known.channel.clone()).collect()
    }

    fn is_connect_pending(&self) -> bool {
        self.pending.iter().any(|sent| matches!(sent.kind, MessageKind::Handshake | MessageKind::Connect))
    }

    fn next_op(&mut self, now: Moment) -> OpId {
        self.now = now;
        OpId(self.op_ids.advance())
    }

    fn settle(&mut self, op: OpId, result: Result<(), SessionError>) {
        self.emit(Event::Settled(op, result));
    }

    fn settle_optional(&mut self, op: Option<OpId>, result: Result<(), SessionError>) {
        if let Some(op) = op {
            self.settle(op, result);
        }
    }

    fn notify(&mut self, kind: &'static str, channel: Option<String>, error: Option<SessionError>) {
        self.emit(Event::Notice(Notice { kind, channel, error }));
    }

    fn emit(&mut self, event: Event) {
        self.exchanges.announce(event);
    }

    fn unix_ms(&self, now: Moment) -> u64 {
        self.options.epoch_unix_ms.saturating_add(now.as_millis())
    }

    fn deadline(&self) -> Deadline {
        self.timers.next()
    }
}

impl Subscription {
    fn new(channel: &str) -> Self {
        Self {
            channel: channel.to_owned(),
            subscriber_count: 1,
            state: SubscriptionState::Pending,
            has_been_active: false,
            waiting: Vec::new(),
            has_gap: false,
            is_draining: false,
            refusal_count: 0,
        }
    }
}

fn closed_or(phase: Phase, otherwise: &str) -> SessionError {
    match phase {
        Phase::Closing | Phase::Closed => SessionError::new(Code::Closed, Code::Closed.sentence()),
        _ => SessionError::new(Code::InvalidArgument, otherwise),
    }
}
