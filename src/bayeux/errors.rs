//! The error of an operation, a notice, or a session, with every sentence that the session says.

use core::ops::{Deref, DerefMut};

use super::message::Reply;
use super::wire::{ErrorField, MessageKind};
use crate::base::error::{Code, Error};
use crate::base::text::{contains, decimal, join, join_with, printable};
use crate::base::time::Millis;

/// Why an operation was rejected, a session ended, or a retry is needed. It is passed on more often than it is read, so it is
/// one pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError(Box<Parts>);

/// What a [`SessionError`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The code, see [`Code`].
    pub code: Code,
    /// The number in the `error` field of the reply, or the HTTP status.
    pub status: Option<u16>,
    /// A sentence for people.
    pub message: String,
    /// The `error` field of the reply, unchanged.
    pub server_error: Option<String>,
    /// The whole reply as JSON.
    pub reply: Option<String>,
}

impl Deref for SessionError {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for SessionError {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl SessionError {
    /// An error with a message of its own.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::plain(code, message.into())
    }

    /// The server refused `what` with that `error` field.
    #[cold]
    pub fn refused(code: Code, what: &str, error_field: &str) -> Self {
        let cut = printable(error_field, 500);
        let reason = if cut.is_empty() { "it gave no reason" } else { &cut };
        let mut error = Self::new(code, join(&["the server refused ", what, ": ", reason]));
        error.status = ErrorField::parse(error_field).code;
        error.server_error = Some(error_field.to_owned());
        error
    }

    /// The server refused a message about a channel.
    #[cold]
    pub(crate) fn refused_message(kind: MessageKind, channel: &str, error_field: &str) -> Self {
        Self::refused(Code::Rejected, &subject_of(kind, channel), error_field)
    }

    /// Explains how to fix a missing session cookie.
    #[cold]
    #[must_use]
    pub(crate) fn with_cookie_advice(mut self) -> Self {
        self.message.push_str(
            " (the session cookie was not sent back: in a browser, allow cookies of the server's site; elsewhere, check that no proxy removes them)",
        );
        self
    }

    /// Keeps the reply that tells why.
    #[cold]
    #[must_use]
    pub(crate) fn with_reply(mut self, reply: &Reply) -> Self {
        self.reply = Some(reply.text());
        self
    }

    /// The arguments in the `error` field of the reply.
    pub fn arguments(&self) -> Vec<String> {
        self.server_error.as_deref().map(|field| ErrorField::parse(field).arguments).unwrap_or_default()
    }

    pub(crate) fn from_error(error: &Error) -> Self {
        let mut session_error = Self::new(error.code, error.message());
        session_error.status = error.status;
        session_error
    }
}

/// What the session says itself.
impl SessionError {
    #[cold]
    fn plain(code: Code, message: String) -> Self {
        Self(Box::new(Parts { code, status: None, message, server_error: None, reply: None }))
    }

    #[cold]
    pub(crate) fn timeout() -> Self {
        Self::from_error(&Error::new(Code::Timeout))
    }

    #[cold]
    pub(crate) fn closed() -> Self {
        Self::new(Code::Closed, Code::Closed.sentence())
    }

    #[cold]
    pub(crate) fn unsubscribed(channel: &str) -> Self {
        Self::new(Code::Aborted, join(&[channel, " was unsubscribed before the server replied"]))
    }

    #[cold]
    pub(crate) fn session_ended() -> Self {
        Self::new(Code::Network, "the session ended before the server replied")
    }

    #[cold]
    pub(crate) fn connection_lost(last: Option<&Self>) -> Self {
        let why = last.map(|error| join(&[" (", &error.message, ")"])).unwrap_or_default();
        let message = join(&[
            "the connection to the server was lost and not restored within the connection timeout",
            &why,
        ]);
        Self::new(Code::Timeout, message)
    }

    #[cold]
    pub(crate) fn closed_by_server(reply: &Reply) -> Self {
        let error_field = reply.error();
        let why = error_field.as_ref().map(|error| join(&[": ", error])).unwrap_or_default();
        let mut error = Self::new(Code::Rejected, join(&["the server closed the connection", &why]));
        error.server_error = error_field;
        error.with_reply(reply)
    }

    #[cold]
    pub(crate) fn unknown_advice() -> Self {
        Self::new(
            Code::Rejected,
            "the server sent an unknown value of advice.reconnect, after which a client must not retry",
        )
    }

    #[cold]
    pub(crate) fn no_common_transport(offered: &[String]) -> Self {
        let offered = join_with(offered, ", ");
        Self::new(
            Code::Rejected,
            join(&["the server supports none of the configured transports; it offers ", &offered]),
        )
    }

    #[cold]
    pub(crate) fn no_client_id() -> Self {
        Self::new(Code::Unavailable, "the handshake reply of the server has no clientId")
    }

    #[cold]
    pub(crate) fn no_reply() -> Self {
        Self::new(Code::Unavailable, "the response of the server contains no reply to the message")
    }

    #[cold]
    pub(crate) fn cut_response(len: usize) -> Self {
        Self::new(
            Code::Unavailable,
            join(&[
                "the response of the server cannot be read: it is cut, or is not JSON (",
                &decimal(len as u64),
                " bytes)",
            ]),
        )
    }

    #[cold]
    pub(crate) fn skipped_messages(count: usize) -> Self {
        Self::new(
            Code::Unavailable,
            join(&[&decimal(count as u64), " messages of the server are not valid JSON and were skipped"]),
        )
    }

    #[cold]
    pub(crate) fn unreadable_channel(channel: &str, position: &str, delay: Millis, why: &Self) -> Self {
        let seconds = delay.0 / 1000;
        let message = join(&[
            "the events of ",
            channel,
            " behind the replay id ",
            position,
            " cannot be read (",
            &why.message,
            "); other channels continue, and this one is tried again in ",
            &decimal(seconds),
            " s",
        ]);
        let mut error = why.clone();
        error.message = message;
        error
    }

    #[cold]
    pub(crate) fn bad_frame() -> Self {
        Self::new(
            Code::Unavailable,
            "the server sent a WebSocket frame that is not a Bayeux message; the WebSocket is reopened",
        )
    }

    #[cold]
    pub(crate) fn socket_closed(code: u16) -> Self {
        Self::new(Code::Network, join(&["the WebSocket closed with code ", &decimal(code.into())]))
    }

    #[cold]
    pub(crate) fn new_credentials_refused() -> Self {
        Self::new(Code::Unauthorized, "the server refused the new credentials")
    }

    #[cold]
    pub(crate) fn missing_cookie(error_field: &str) -> Self {
        Self::refused(Code::Rejected, "the connection", error_field).with_cookie_advice()
    }
}

/// Whether an `error` field says that the server does not know the session: `402::Unknown client` of CometD,
/// `401:c1:Unknown client` of faye.
pub(crate) fn is_unknown_session(error_field: &str) -> bool {
    let text = error_field.to_ascii_lowercase();
    ErrorField::parse(error_field).code == Some(402)
        || ["unknown client", "unknown session", "session_unknown"].iter().any(|words| contains(&text, words))
}

/// What the server refuses if it refuses a message, for sentences.
pub(crate) fn subject_of(kind: MessageKind, channel: &str) -> String {
    match kind {
        MessageKind::Handshake => "a session".to_owned(),
        MessageKind::Connect => "the connection".to_owned(),
        MessageKind::Disconnect => "the end of the session".to_owned(),
        MessageKind::Subscribe => join(&["the subscription to ", channel]),
        MessageKind::Unsubscribe => join(&["to end the subscription to ", channel]),
        MessageKind::Publish => join(&["an event for ", channel]),
    }
}
