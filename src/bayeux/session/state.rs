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
    /// A handshake or a connect.
    Connect,
    /// All other messages.
    Messages,
    /// Not Bayeux: started by the owner.
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The next handshake or connect.
    Connect,
    /// Subscribe again to channels that were refused or not answered.
    Resubscribe,
    /// The next request for credentials.
    Authorize,
    /// The owner has not reported the timeout of a connect: the computer was asleep.
    ConnectReply,
    /// The timeout of a reply over the socket, or of its opening.
    SocketReply,
    /// The connection has been down for `Options::connection_timeout`.
    ConnectionTimeout,
    /// Polling has been paused for `Options::max_pause`.
    MaxPause,
    /// The timeout of the disconnect.
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

/// A message that is ready to be sent.
pub(super) struct OutgoingMessage {
    pub(super) id: u32,
    pub(super) kind: MessageKind,
    /// The channel that it is about; empty for handshake, connect and disconnect.
    pub(super) channel: String,
    pub(super) op: Option<OpId>,
    /// The message as JSON.
    pub(super) text: String,
}

impl OutgoingMessage {
    /// A handshake, connect or disconnect.
    pub(super) const fn meta(id: u32, kind: MessageKind, text: String) -> Self {
        Self { id, kind, channel: String::new(), op: None, text }
    }
}

/// A message that waits for its reply.
#[derive(Clone, Debug)]
pub(super) struct PendingMessage {
    pub(super) id: u32,
    pub(super) kind: MessageKind,
    pub(super) channel: String,
    pub(super) op: Option<OpId>,
    pub(super) via: Via,
    /// When the reply times out.
    pub(super) due: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SubscriptionState {
    /// Not requested in this session yet.
    Pending,
    /// The request waits for its reply.
    Requested,
    /// The server has accepted it.
    Active,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) channel: String,
    pub(super) subscriber_count: u32,
    pub(super) state: SubscriptionState,
    /// The server has accepted it at least once.
    pub(super) has_been_active: bool,
    /// Operations that end when it is accepted or refused.
    pub(super) waiting: Vec<OpId>,
    /// A response was lost that may have contained events of this channel.
    pub(super) has_gap: bool,
    /// Temporarily unsubscribed, so that queued events drain before the client subscribes again.
    pub(super) is_draining: bool,
    /// Refusals since it was last accepted.
    pub(super) refusal_count: u32,
}

/// A message that waits to be sent.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Subscribe(String),
    /// Without an operation if the session itself unsubscribes, to subscribe again.
    Unsubscribe(String, Option<OpId>),
    /// Operation, channel, data.
    Publish(OpId, String, String),
}

/// The advice of the server, with the defaults of the client filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Between the end of a connect and the start of the next.
    pub(super) interval: Millis,
    /// How long the server holds a connect.
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
