//! What differs between servers: where a subscription starts, what a refusal means, which events are
//! duplicates.

use super::errors::SessionError;
use super::message::{DataReader, EventSpans, Reply, skip_data};
pub use super::wire::MessageKind;
use crate::base::json::padded::Padded;
use crate::base::time::Millis;

/// How the session reacts to a refusal.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Start a new session with the same credentials.
    Handshake {
        /// The cookies belong to another user.
        drop_cookies: bool,
    },
    /// Request new credentials, then start a new session.
    Reauthorize,
    /// Start a new session after at least that delay, which doubles each time.
    Busy(SessionError, Millis),
    /// Subscribe again after at least that delay.
    ResubscribeLater(SessionError, Millis),
    /// Subscribe again without delay: the start of the replay has changed, and there may be a gap.
    Resubscribe(SessionError),
    /// Reject the operation; the session goes on.
    Refuse(SessionError),
    /// End the session.
    Stop(SessionError),
}

impl Reaction {
    /// The reaction, whose error keeps the reply that tells why.
    #[must_use]
    pub(crate) fn with_reply(self, reply: &Reply) -> Self {
        match self {
            Self::Handshake { .. } | Self::Reauthorize => self,
            Self::Busy(error, delay) => Self::Busy(error.with_reply(reply), delay),
            Self::ResubscribeLater(error, delay) => Self::ResubscribeLater(error.with_reply(reply), delay),
            Self::Resubscribe(error) => Self::Resubscribe(error.with_reply(reply)),
            Self::Refuse(error) => Self::Refuse(error.with_reply(reply)),
            Self::Stop(error) => Self::Stop(error.with_reply(reply)),
        }
    }
}

/// What happens to lost events of a channel after a new subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The server replays them.
    Replayed,
    /// The server would replay them, but no replay id is known yet.
    PositionUnknown,
    /// The server does not store events.
    NotReplayed,
}

// Not of each dialect: what formats them would be in the module, because a machine has them as `dyn Dialect`.
impl core::fmt::Debug for dyn Dialect {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Dialect")
    }
}

/// The rules of one kind of server. The defaults are those of Bayeux 1.0.
pub trait Dialect {
    /// Sets the id after which the next subscription to a channel starts.
    fn set_position(&mut self, _channel: &str, _id: &str) {}

    /// The id after which the next subscription to a channel starts; empty if there is none.
    fn position(&self, _channel: &str) -> &str {
        ""
    }

    /// The events that follow may be later than others that have not arrived yet.
    fn keep_positions(&mut self) {}

    /// Those others have arrived, or they are lost: then subscriptions start at the positions that were kept.
    fn settle_positions(&mut self, _have_arrived: bool) {}

    /// The function that reads `data` of an event.
    fn data_reader(&self) -> DataReader {
        skip_data
    }

    /// Members for `ext` of the handshake, as JSON without braces.
    fn handshake_ext(&self) -> &'static str {
        ""
    }

    /// Processes a successful handshake. Returns the kind of a notice if the server lacks an extension.
    fn handshake_accepted(&mut self, _reply: &Reply) -> Option<&'static str> {
        None
    }

    /// Whether one message may subscribe to several channels.
    fn can_subscribe_together(&self) -> bool {
        true
    }

    /// The value of `ext` of a subscription, as JSON; empty for none.
    fn subscribe_ext(&self, _channel: &str) -> String {
        String::new()
    }

    /// The reaction to a refusal; `None` to follow the advice of the server. `channel` is that of a
    /// subscription. `is_opening`: no connect has succeeded yet.
    fn classify_refusal(
        &mut self,
        _kind: MessageKind,
        _reply: &Reply,
        _channel: &str,
        _is_opening: bool,
    ) -> Option<Reaction> {
        None
    }

    /// Whether a `/meta/disconnect` of the server ends the client. Otherwise it only ends the session.
    fn is_disconnect_final(&self) -> bool {
        true
    }

    /// Records an event. Returns false for a duplicate.
    fn record_event(&mut self, _text: Padded<'_>, _row: &EventSpans) -> bool {
        true
    }

    /// Whether lost events of a channel are replayed after a new subscription.
    fn continuity(&self, _channel: &str) -> Continuity {
        Continuity::NotReplayed
    }

    /// Prepares for a subscription. Returns why the client cannot subscribe to the channel; `None` if it can.
    fn subscribe_error(&mut self, _channel: &str) -> Option<SessionError> {
        None
    }

    /// Why the client cannot publish on a channel; `None` if it can.
    fn publish_error(&self, _channel: &str) -> Option<SessionError> {
        None
    }
}

/// The rules of Bayeux 1.0, without extensions of a server.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultDialect;

impl Dialect for DefaultDialect {}
