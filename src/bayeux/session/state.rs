//! The parts of the state of a session.

use crate::base::ids::{ExchangeId, OpId};
use crate::base::time::{Millis, Moment};
use crate::bayeux::dialect::MessageKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    Authorizing,
    Handshaking,
    Connecting,
    Connected,
    Closing,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    Connect,
    Messages,
    /// Not Bayeux: for the owner.
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
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
pub(super) enum Socket {
    None,
    Opening(u32),
    Open(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    Exchange(ExchangeId),
    Socket,
}

/// A message that is to be answered.
#[derive(Clone, Debug)]
pub(super) struct PendingMessage {
    pub(super) id: u32,
    pub(super) kind: MessageKind,
    pub(super) channel: String,
    pub(super) op: Option<OpId>,
    pub(super) via: Via,
    pub(super) due: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionState {
    /// To be asked for.
    Pending,
    /// Asked for.
    Requested,
    /// Granted.
    Active,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) channel: String,
    pub(super) subscriber_count: u32,
    pub(super) state: SubscriptionState,
    /// Granted at least once.
    pub(super) has_been_active: bool,
    pub(super) waiting: Vec<OpId>,
    /// An answer was lost, and what it had for this channel.
    pub(super) has_gap: bool,
    /// Taken back for the time being: what the server had ready for it has to run off before it is asked for again.
    pub(super) is_draining: bool,
    pub(super) refusal_count: u32,
}

/// A message for the other lane.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Subscribe(String),
    Unsubscribe(String, Option<OpId>),
    Publish(OpId, String, String),
}

/// What the server advises, with what holds where it says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) interval: Millis,
    pub(super) poll_timeout: Millis,
    /// How long the server keeps a session without a connect.
    pub(super) max_interval: Option<Millis>,
}

impl Subscription {
    pub(super) fn new(channel: &str) -> Self {
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
