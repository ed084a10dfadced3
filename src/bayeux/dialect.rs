//! What a server may do in its own way: where a subscription starts, what a refusal means, which events were here before.

use super::errors::SessionError;
use super::message::{DataReader, EventSpans, Reply, skip_data};
use crate::base::json::padded::Padded;
use crate::base::time::Millis;

/// What a reply answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The start of a session.
    Handshake,
    /// The heartbeat, with which most events come.
    Connect,
    /// A channel from now on.
    Subscribe,
    /// A channel no longer.
    Unsubscribe,
    /// An event of ours.
    Publish,
    /// The end of a session.
    Disconnect,
}

/// What to do about a refusal.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Start a new session at once, with the same credentials.
    Handshake {
        /// The cookies belong to somebody else.
        drop_cookies: bool,
    },
    /// The credentials are no longer good: ask for new ones, then start a new session.
    Reauthorize,
    /// Rest at least that long, longer each time, then start a new session.
    Busy(SessionError, Millis),
    /// Ask for the same subscription again after a rest of that length.
    ResubscribeLater(SessionError, Millis),
    /// Ask for the same subscription again at once: where it starts has changed, and there may be a gap.
    Resubscribe(SessionError),
    /// Refuse the operation, and go on.
    Refuse(SessionError),
    /// Go no further.
    Stop(SessionError),
}

/// Whether a subscription can be taken up where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The server repeats what was lost.
    Replayed,
    /// It would, if a place were known.
    PositionUnknown,
    /// The server keeps nothing.
    NotReplayed,
}

/// A way to speak Bayeux.
pub trait Dialect {
    /// How `data` is read.
    fn data_reader(&self) -> DataReader {
        skip_data
    }

    /// Members for the `ext` of a handshake, as JSON without braces.
    fn handshake_ext(&self) -> &'static str {
        ""
    }

    /// A session was granted. What it lacks of that which was asked for.
    fn handshake_accepted(&mut self, _reply: &Reply) -> Option<&'static str> {
        None
    }

    /// The `ext` of a subscription, as JSON; empty for none.
    fn subscribe_ext(&self, _channel: &str) -> String {
        String::new()
    }

    /// What a refusal means, if it means something special. `channel`: of a subscription. `is_opening`: there has been no session yet.
    fn classify_refusal(
        &mut self,
        _kind: MessageKind,
        _reply: &Reply,
        _channel: &str,
        _is_opening: bool,
    ) -> Option<Reaction> {
        None
    }

    /// An event has come. Whether it is new.
    fn record_event(&mut self, _text: Padded<'_>, _row: &EventSpans) -> bool {
        true
    }

    /// Whether what was lost on a channel comes again after a new subscription.
    fn continuity(&self, _channel: &str) -> Continuity {
        Continuity::NotReplayed
    }

    /// Why nothing can be published on a channel.
    fn publish_error(&self, _channel: &str) -> Option<SessionError> {
        None
    }
}

/// Bayeux as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultDialect;

impl Dialect for DefaultDialect {}
