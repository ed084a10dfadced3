//! The session: the state machine of a Bayeux client.
//!
//! ```text
//!               needs credentials                   successful               successful
//!   idle ──open──> authorizing ──> handshaking ───────────────> connecting ───────────> connected ─┐
//!                      ▲            ▲  │ ▲ └─ delay ─┘           │ ▲ └─ delay ─┘         │ ▲ └ interval, pause
//!                      │            │  │ └──── unknown session ──┘ └─ connection lost ───┘ │
//!                      └── refused ─┴──┴───────────────────────────────────────────────────┘
//!   any ──close──> closing ──> closed          any ──fatal error──> closed
//! ```
//!
//! At most two requests run at a time: one for the handshake or the connect, and one for all other messages,
//! which are batched while they wait. All messages of a response are processed, events first, before the next
//! message is sent.
//!
//! The rules of Bayeux are here. Rules of one server belong in a [`Dialect`]; the session does not read the
//! data of events.
//!
//! | file | job |
//! |---|---|
//! | `commands.rs` | what the owner can ask for: open, subscribe, publish, close |
//! | `outgoing.rs` | which message is sent next |
//! | `incoming.rs` | what a response means |
//! | `gaps.rs` | replay of lost events |
//! | `refusal.rs`, `recovery.rs` | what a refusal or a missing reply leads to |
//! | `sockets.rs`, `timers.rs`, `ending.rs` | the WebSocket, the timers, the end |
//! | `state.rs`, `types.rs` | internal state, public types |

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
    Command, OutgoingMessage, PendingMessage, Phase, RequestKind, Socket, Subscription, SubscriptionState,
    Timer, Timing, Via,
};
pub use types::{Event, Notice, Options, State};

use super::cookies::CookieJar;
use super::dialect::{Dialect, MessageKind};
use super::errors::SessionError;
use super::wire::Transport;
use crate::base::http::{Failure, Request, Response};
use crate::base::ids::{Counter, OpId};
use crate::base::secret::Secret;
use crate::base::time::{Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Input, Output, Poll};
use crate::engine::timers::Timers;

/// A timeout that fires this late means that the computer was asleep.
const SLEEP_THRESHOLD: Millis = Millis(2000);
/// How long the reply to a disconnect may take.
const DISCONNECT_TIMEOUT: Millis = Millis(2500);
/// The longest delay after the server has reported that it is busy.
const MAX_BUSY_DELAY_MS: u64 = 600_000;

/// The state machine. Its owner passes the dialect with each call.
#[derive(Clone, Debug)]
pub struct Session {
    options: Options,
    rng: Rng,
    now: Moment,
    phase: Phase,
    /// The URL in use; its host may be one that the server advised.
    url: String,
    hosts: VecDeque<String>,
    transport: Transport,
    credentials: Option<Secret>,
    /// The credentials were renewed since the last successful connect.
    has_new_credentials: bool,
    client_id: Option<String>,
    has_had_session: bool,
    /// No connect of this session has succeeded yet.
    is_session_unproven: bool,
    /// The last batch number of the ack extension; `None` if the server does not offer it.
    last_ack: Option<i64>,
    timing: Timing,
    message_ids: Counter,
    op_ids: Counter,
    open_op: Option<OpId>,
    exchanges: Exchanges<RequestKind, Event>,
    /// Messages that wait for a reply.
    pending: Vec<PendingMessage>,
    /// Messages that wait to be sent.
    commands: VecDeque<Command>,
    subscriptions: Vec<Subscription>,
    timers: Timers<Timer>,
    backoff: Backoff,
    /// Busy reports since the last successful connect.
    busy_count: u32,
    /// The next `poll` sends a handshake or connect.
    is_connect_due: bool,
    /// A connect is due, but waits for a subscription that is being resumed, or for the consumer.
    is_connect_held: bool,
    /// Events were dropped because they will be replayed, so the server may have more of them queued.
    has_queued_events: bool,
    is_paused: bool,
    /// The pause has reached `Options::max_pause`.
    has_pause_expired: bool,
    /// New events in the last response.
    last_event_count: usize,
    down_since: Option<Moment>,
    last_error: Option<SessionError>,
    socket: Socket,
    socket_ids: Counter,
    /// Consecutive sockets that could not be opened.
    socket_failures: u32,
    cookies: CookieJar,
}

impl Session {
    /// An idle session. `seed` determines the jitter of the delays.
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

    /// Processes one input. Returns the outcome of an exchange that [`Self::send_for_owner`] started.
    pub fn handle(
        &mut self,
        now: Moment,
        input: Input,
        dialect: &mut dyn Dialect,
    ) -> Option<Result<Response, Failure>> {
        self.now = now;
        let mut owner_outcome = None;
        if let Input::Exchange(id, outcome) = input
            && let Some(kind) = self.exchanges.finish(id)
        {
            if kind == RequestKind::Owner {
                owner_outcome = Some(outcome);
            } else {
                self.on_exchange_end(id, outcome, dialect);
            }
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.on_timer(timer);
        }
        owner_outcome
    }

    /// The next output.
    pub fn poll(&mut self, dialect: &mut dyn Dialect) -> Poll<Output<Event>> {
        if let Some(output) = self.exchanges.next_output() {
            return Poll::Do(output);
        }
        if core::mem::take(&mut self.is_connect_due) {
            self.send_due_connect(dialect);
        }
        self.send_commands(dialect);
        let deadline = self.timers.next_deadline();
        self.exchanges.poll(|| deadline)
    }

    /// Starts an exchange for the owner, such as a login. [`Self::handle`] returns its outcome.
    pub fn send_for_owner(&mut self, request: Request) {
        self.exchanges.start(RequestKind::Owner, request);
    }

    /// The channels that the server has accepted at least once and that are not unsubscribed.
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

    /// How long the server holds a connect, and the interval between two connects.
    pub const fn timing(&self) -> (Millis, Millis) {
        (self.timing.poll_timeout, self.timing.interval)
    }
}

/// Helpers of all parts.
impl Session {
    /// Schedules the connect that was held back; `send_due_connect` checks again whether it may be sent.
    const fn release_held_connect(&mut self) {
        self.is_connect_due |= core::mem::replace(&mut self.is_connect_held, false);
    }

    /// Channels to subscribe to again for which no command is queued.
    fn unqueued_channels(&self) -> Vec<String> {
        let unsubscribed = self.subscriptions.iter().filter(|subscription| {
            subscription.state == SubscriptionState::Pending && !subscription.is_draining
        });
        let is_queued = |channel: &str| {
            self.commands
                .iter()
                .any(|command| matches!(command, Command::Subscribe(other) if other == channel))
        };
        unsubscribed
            .filter(|subscription| !is_queued(&subscription.channel))
            .map(|subscription| subscription.channel.clone())
            .collect()
    }

    /// Whether a handshake or connect waits for its reply.
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
        self.exchanges.emit(event);
    }

    fn unix_ms(&self, now: Moment) -> u64 {
        self.options.epoch_unix_ms.saturating_add(now.as_millis())
    }
}
