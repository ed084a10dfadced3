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
//! Parts with their own data and tests:
//!
//! | file | job |
//! |---|---|
//! | `link.rs` | the phase, with the session id |
//! | `endpoint.rs` | URL, transport, socket, credentials, cookies |
//! | `connect_loop.rs` | when the next handshake or connect is sent |
//! | `subscriptions.rs` | what is subscribed, and what may have a gap |
//! | `pending.rs` | messages that wait to be sent, or for a reply |
//! | `answer.rs` | a response whose messages are read |
//! | `held.rs` | a response that waits for another |
//! | `timer_keys.rs` | the timers and their fixed durations |
//!
//! What connects the parts:
//!
//! | file | job |
//! |---|---|
//! | `commands.rs` | what the owner can ask for: open, subscribe, publish, close |
//! | `outgoing.rs` | which message is sent next |
//! | `incoming.rs` | what a response means |
//! | `gaps.rs` | replay of lost events |
//! | `isolation.rs` | the search for the channel whose events cannot be read |
//! | `overtaking.rs` | responses that may arrive in another order than they were sent |
//! | `probing.rs` | checks of the connection on demand |
//! | `refusal.rs`, `recovery.rs` | what a refusal or a missing reply leads to |
//! | `sockets.rs`, `timers.rs`, `ending.rs` | the WebSocket, the timers, the end |
//! | `types.rs` | options, inputs, events |

mod answer;
mod commands;
mod connect_loop;
mod ending;
mod endpoint;
mod gaps;
mod held;
mod incoming;
mod isolation;
mod link;
mod outgoing;
mod overtaking;
mod pending;
mod probing;
mod recovery;
mod refusal;
mod sockets;
mod subscriptions;
mod timer_keys;
mod timers;
mod types;

use connect_loop::ConnectLoop;
use endpoint::Endpoint;
use held::{HeldResponse, RequestKind};
use link::Link;
use pending::Pending;
use subscriptions::Subscriptions;
use timer_keys::Timer;
pub use types::{Event, Input, Limits, Notice, Options, Probe, State, Times};

use super::dialect::Dialect;
use super::errors::SessionError;
use super::wire::Transport;
use crate::base::ids::OpId;
use crate::base::time::{Millis, Moment};
use crate::engine::backoff::Backoff;
use crate::engine::exchange::Exchanges;
use crate::engine::inbox::Inbox;
use crate::engine::jitter::Rng;
use crate::engine::machine::{Machine, Output, Poll};
use crate::engine::timers::Timers;

/// The state machine.
#[derive(Debug)]
pub struct Session {
    options: Options,
    dialect: Box<dyn Dialect>,
    rng: Rng,
    now: Moment,
    link: Link,
    /// The server has given a session at least once.
    has_had_session: bool,
    /// The operation that waits for the first successful connect.
    open_op: Option<OpId>,
    endpoint: Endpoint,
    connects: ConnectLoop,
    subscriptions: Subscriptions,
    pending: Pending,
    exchanges: Exchanges<RequestKind, Event>,
    /// Operations that wait for the end of the next connect.
    probe_ops: Vec<OpId>,
    /// When the server was last heard.
    heard_at: Moment,
    /// The last response that could not be read has brought events of a channel that is on trial, or of any
    /// channel if none is.
    has_progressed: bool,
    /// Since when the channels on trial are subscribed.
    trial_since: Option<Moment>,
    /// A trial without an incident for so long ends well.
    trial_proof: Millis,
    /// A response that waits for the end of the other request.
    held: Option<HeldResponse>,
    timers: Timers<Timer>,
}

impl Session {
    /// An idle session. `seed` determines the jitter of the delays.
    pub fn new(options: Options, dialect: Box<dyn Dialect>, seed: u64) -> Self {
        let transport = options.transports.first().copied().unwrap_or(Transport::LongPolling);
        let Times { poll_timeout, backoff_base, backoff_max, .. } = options.times;
        let backoff = Backoff::new(backoff_base, backoff_max, u32::MAX);
        Self {
            dialect,
            rng: Rng::new(seed),
            now: Moment::default(),
            link: Link::Idle,
            has_had_session: false,
            open_op: None,
            endpoint: Endpoint::new(options.url.clone(), transport),
            connects: ConnectLoop::new(poll_timeout, backoff, Inbox::new(options.limits.max_pending)),
            subscriptions: Subscriptions::default(),
            pending: Pending::default(),
            exchanges: Exchanges::new(),
            probe_ops: Vec::new(),
            heard_at: Moment::default(),
            has_progressed: false,
            trial_since: None,
            trial_proof: timer_keys::POLL_PROOF,
            held: None,
            timers: Timers::new(),
            options,
        }
    }

    /// The channels that the server has accepted at least once and that are not unsubscribed.
    pub fn subscriptions(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.accepted()
    }

    /// Whether the owner was asked for credentials and has not answered yet.
    pub const fn is_authorizing(&self) -> bool {
        matches!(self.link, Link::Authorizing)
    }

    /// The transport in use.
    pub const fn transport(&self) -> Transport {
        self.endpoint.transport
    }

    /// How many events the consumer must take before polling goes on; 0 if the inbox is not full.
    pub const fn excess_events(&self) -> usize {
        self.connects.excess_events()
    }

    /// The moment of the last input.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// The Unix time of the last input in milliseconds.
    pub const fn unix_ms(&self) -> u64 {
        self.options.epoch_unix_ms.saturating_add(self.now.as_millis())
    }

    /// How long the server holds a connect, and the interval between two connects.
    pub const fn timing(&self) -> (Millis, Millis) {
        (self.connects.timing.poll_timeout, self.connects.timing.interval)
    }
}

impl Machine for Session {
    type Input = Input;
    type Output = Output<Event>;

    fn handle(&mut self, now: Moment, input: Input) {
        self.now = now;
        match input {
            Input::Exchange(id, outcome) => {
                if let Some(kind) = self.exchanges.finish(id) {
                    if outcome.is_ok() {
                        self.heard_at = now;
                    }
                    self.on_outcome(kind, id, outcome);
                }
            }
            other => self.on_command(other),
        }
        while let Some(timer) = self.timers.pop_due(now) {
            self.on_timer(timer);
        }
        self.connects.release();
    }

    fn poll(&mut self) -> Poll<Output<Event>> {
        if let Some(output) = self.exchanges.next_output() {
            return Poll::Do(output);
        }
        if self.connects.take_due() {
            self.send_due_connect();
        }
        self.send_commands();
        let deadline = self.timers.next_deadline();
        self.exchanges.poll(|| deadline)
    }
}

/// Helpers of all parts.
impl Session {
    /// Enters a phase, and reports the state if it changes with that.
    fn enter(&mut self, link: Link) {
        let before = self.link.state();
        self.link = link;
        if let Some(state) = self.link.state().filter(|state| before != Some(*state)) {
            self.emit(Event::State(state));
        }
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
}
