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

mod commands;
mod ending;
mod gaps;
mod incoming;
mod outgoing;
mod recovery;
mod refusal;
mod sockets;
mod state;
mod timers;
mod types;

use std::collections::VecDeque;

use state::{
    Command, PendingMessage, Phase, RequestKind, Socket, Subscription, SubscriptionState, Timer, Timing, Via,
};
pub use types::{Event, Notice, Options, State};

use super::cookies::CookieJar;
use super::dialect::{Dialect, MessageKind};
use super::errors::SessionError;
use super::wire::Transport;
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, OpId};
use crate::base::secret::Secret;
use crate::base::time::{Deadline, Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Output};
use crate::engine::timers::Timers;

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
            && let Some(kind) = self.exchanges.land(id)
        {
            if kind == RequestKind::Owner {
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
        self.subscriptions
            .iter()
            .filter(|subscription| subscription.has_been_active)
            .map(|subscription| subscription.channel.as_str())
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
        let wanted = self.subscriptions.iter().filter(|subscription| {
            subscription.state == SubscriptionState::Pending && !subscription.is_draining
        });
        let waits = |channel: &str| {
            self.commands
                .iter()
                .any(|command| matches!(command, Command::Subscribe(other) if other == channel))
        };
        wanted
            .filter(|subscription| !waits(&subscription.channel))
            .map(|subscription| subscription.channel.clone())
            .collect()
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
