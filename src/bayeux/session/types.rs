//! Options, inputs and events of a session.

use crate::base::http::{Failure, Response};
use crate::base::ids::{ExchangeId, OpId};
use crate::base::secret::Secret;
use crate::base::time::Millis;
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::EventSpans;
use crate::bayeux::wire::Transport;

/// Options of a session.
#[derive(Clone, Debug)]
pub struct Options {
    /// The URL of the server.
    pub url: String,
    /// Transports in order of preference. Default: WebSocket, then long-polling.
    pub transports: Vec<Transport>,
    /// Offer the ack extension, with which the server repeats unacknowledged events. Servers without it
    /// ignore the offer. Default true.
    pub has_ack_extension: bool,
    /// Request credentials before the first handshake, and again when the server refuses them. Default false.
    pub is_auth_required: bool,
    /// Keep cookies here, for platforms whose `fetch` keeps none. Default true.
    pub has_cookie_jar: bool,
    /// Follow `advice.hosts`. Default false, because credentials would be sent to a host that the application
    /// did not name.
    pub can_follow_hosts: bool,
    /// Close the session once the server has no more events. Default false.
    pub is_draining: bool,
    /// The Unix time in milliseconds at the zero of the owner's clock, for cookies that expire.
    pub epoch_unix_ms: u64,
    /// Timeouts and delays.
    pub times: Times,
    /// Sizes.
    pub limits: Limits,
}

/// Timeouts and delays of a session.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The timeout of a request. A connect may take this much longer than the server holds it. Default 10 s.
    pub max_network_delay: Millis,
    /// How long the server holds a connect without `advice.timeout`. Default 60 s.
    pub poll_timeout: Millis,
    /// The upper limit of the first backoff delay, doubled after each failure. Default 1 s.
    pub backoff_base: Millis,
    /// The upper limit of all backoff delays. Default 60 s.
    pub backoff_max: Millis,
    /// How long the connection may be down before `ConnectionLost` is emitted; `None` for never. Default 10
    /// s.
    pub connection_timeout: Option<Millis>,
    /// How long polling may pause for a slow consumer; `None` for no limit. Default `None`.
    pub max_pause: Option<Millis>,
}

/// Sizes of a session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many events may wait for the consumer before polling pauses. Default 100.
    pub max_pending: usize,
    /// The largest request body with more than one message. Default 64 KiB.
    pub max_request_bytes: usize,
    /// The largest response that is read. Default 64 MiB.
    pub max_response_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            transports: vec![Transport::WebSocket, Transport::LongPolling],
            has_ack_extension: true,
            is_auth_required: false,
            has_cookie_jar: true,
            can_follow_hosts: false,
            is_draining: false,
            epoch_unix_ms: 0,
            times: Times::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self {
            max_network_delay: Millis(10_000),
            poll_timeout: Millis(60_000),
            backoff_base: Millis(1000),
            backoff_max: Millis(60_000),
            connection_timeout: Some(Millis(10_000)),
            max_pause: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_pending: 100, max_request_bytes: 65_536, max_response_bytes: 64 << 20 }
    }
}

/// What can happen to a session. An operation is named by its owner, and settles once.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed, nothing else.
    Tick,
    /// An exchange that the session started has ended.
    Exchange(ExchangeId, Result<Response, Failure>),
    /// Open the session. The operation ends with the first successful connect, or with a fatal error.
    Open(OpId),
    /// Continue a session that another client has left open. No client in JavaScript does so: only the recorded sessions of
    /// the tests.
    #[cfg(not(target_arch = "wasm32"))]
    Resume {
        /// As with `Open`.
        op: OpId,
        /// The id of the session.
        client_id: String,
        /// Its cookies, as a `Cookie` header has them.
        cookies: String,
        /// The channels that it is subscribed to.
        channels: Vec<String>,
    },
    /// Subscribe to a channel or a pattern, also before `Open`. A second subscription to the same channel
    /// sends no message.
    Subscribe(OpId, String),
    /// Subscribe to several channels with one message, if the server takes such; each as with `Subscribe`.
    SubscribeTogether(Vec<(OpId, String)>),
    /// Check the connection now: retry at once, or replace the connect that the server holds.
    Probe(Probe),
    /// Remove one subscription to a channel, or `all` of them. Only the last one sends a message.
    Unsubscribe {
        /// Settles with the reply of the server.
        op: OpId,
        /// The channel.
        channel: String,
        /// All subscriptions to it.
        all: bool,
    },
    /// Publish `data`, a JSON text. It is sent once: if the reply is lost, it is unknown whether it arrived.
    Publish {
        /// Settles with the reply of the server.
        op: OpId,
        /// The channel.
        channel: String,
        /// A JSON text.
        data: String,
    },
    /// The clock of the owner was adjusted, or stood still while the computer slept.
    Clock {
        /// The Unix time in milliseconds at the zero of the owner's clock.
        epoch_unix_ms: u64,
    },
    /// The id after which the next subscription to a channel starts, if the server replays.
    SetPosition {
        /// The channel, with or without a filter.
        channel: String,
        /// The replay id.
        id: String,
    },
    /// Credentials as header lines, and the URL of the server if the login has named one.
    Authorize {
        /// Lines of `name: value`.
        headers: Secret,
        /// The URL of the server.
        url: Option<String>,
    },
    /// There are no credentials. Unless the failure `is_final`, they are requested again after a delay of at
    /// least `min_delay`.
    Unauthorized {
        /// The cause.
        error: SessionError,
        /// The shortest delay.
        min_delay: Option<Millis>,
        /// The session ends.
        is_final: bool,
    },
    /// The consumer has taken that many events, or has dropped them.
    Taken(usize),
    /// A socket is open.
    SocketOpened(u32),
    /// A frame of a socket. A frame that is not text is passed as no bytes.
    SocketText(u32, Vec<u8>),
    /// A socket was closed with that code, or could not be opened.
    SocketClosed(u32, u16),
    /// Disconnect. Pending operations are rejected with `ERR_CLOSED`.
    Close,
}

/// Why the connection is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The application asks. The operation ends when a connect succeeds or fails.
    Asked(OpId),
    /// The network is back, or the computer has slept: what was open before may be dead. A held connect is
    /// replaced only if no event can be lost with that.
    NetworkChanged,
    /// The page is visible again: as before, but only if nothing has arrived for a while.
    PageShown,
}

/// The state of the session, as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A handshake is due or pending.
    Handshaking,
    /// There is a session, but its last connect has not succeeded.
    Connecting,
    /// The last connect succeeded.
    Connected,
    /// The session has ended.
    Disconnected,
}

/// Information for the application while the session goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `session_replaced`, `closed_by_server`, `multiple_clients`, `transport_fallback`, `replay_gap`,
    /// `possible_gap`, `replay_unsupported`, `subscription_lost`, `channel_held`, `transient_error`, or
    /// `unreadable` for a `transient_error` with which events may be lost.
    pub kind: &'static str,
    /// The channel concerned.
    pub channel: Option<String>,
    /// The error, if there was one.
    pub error: Option<SessionError>,
}

/// Events for the application, and effects that only the owner can carry out.
#[derive(Clone, Debug)]
pub enum Event {
    /// New events of the server.
    Messages {
        /// The exchange that brought them; `None` for the socket.
        source: Option<ExchangeId>,
        /// The body of the response, or the frame.
        text: Vec<u8>,
        /// It differs from the text that the owner has, because parts of that cannot be read.
        is_repaired: bool,
        /// The positions of the events in `text`.
        events: Vec<EventSpans>,
    },
    /// An operation has ended.
    Settled(OpId, Result<(), SessionError>),
    /// The state has changed.
    State(State),
    /// A notice.
    Notice(Notice),
    /// The connection has been down for `Times::connection_timeout`, repeated at that interval; or the events
    /// of a channel cannot be read. With the time until the next attempt; 0 if one is being made.
    ConnectionLost(SessionError, Millis),
    /// The last event. Without an error if the application closed the session.
    Ended(Option<SessionError>),
    /// Answer with [`Input::Authorize`] or [`Input::Unauthorized`].
    NeedsCredentials {
        /// The server has refused the previous credentials.
        is_renewal: bool,
    },
    /// Open a socket.
    SocketOpen {
        /// The id of the socket.
        id: u32,
        /// The URL.
        url: String,
    },
    /// Send a text frame.
    SocketSend {
        /// The id of the socket.
        id: u32,
        /// The text.
        text: String,
    },
    /// Close a socket, whether it is open or not. Its frames are ignored from now on.
    SocketClose {
        /// The id of the socket.
        id: u32,
    },
}
