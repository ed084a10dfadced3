//! What a session is told, and what it says.

use crate::base::ids::{ExchangeId, OpId};
use crate::base::time::Millis;
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::EventSpans;
use crate::bayeux::wire::Transport;

/// How a session works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub url: String,
    /// In the order of preference.
    pub transports: Vec<Transport>,
    /// Ask the server to repeat what was not acknowledged. Default true; servers that do not know it do not answer it.
    pub has_ack_extension: bool,
    /// Ask for credentials before each first handshake.
    pub is_auth_required: bool,
    /// Keep cookies, because the platform does not.
    pub has_cookie_jar: bool,
    /// Go to the hosts that the server advises. Default false: credentials would go to a host that nobody named.
    pub can_follow_hosts: bool,
    /// Leave when the server has no more events.
    pub is_draining: bool,
    /// The Unix time in milliseconds at the zero of the owner's clock, for cookies that end.
    pub epoch_unix_ms: u64,
    /// How much longer than the server holds a connect an answer may take, and how long any other may. Default 10 000.
    pub max_network_delay: Millis,
    /// How long a server holds a connect if it does not say. Default 60 000.
    pub poll_timeout: Millis,
    /// The longest first rest after a failure, doubled each time. Default 1 000.
    pub backoff_base: Millis,
    /// The longest delay. Default 60 000.
    pub backoff_max: Millis,
    /// How long the link may be down before that is reported. Default 10 000; `None`: it is never.
    pub connection_timeout: Option<Millis>,
    /// How long polling may rest for a slow consumer. Default: for ever.
    pub max_pause: Option<Millis>,
    /// After events there is no further poll until the owner has called [`Session::resume_polling`], because only it knows what there is room for.
    pub has_manual_resume: bool,
    /// How many bytes of messages go into one request. Default 65 536.
    pub max_request_bytes: usize,
    /// How many bytes of an answer are read. Default 64 MiB.
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
            max_network_delay: Millis(10_000),
            poll_timeout: Millis(60_000),
            backoff_base: Millis(1000),
            backoff_max: Millis(60_000),
            connection_timeout: Some(Millis(10_000)),
            max_pause: None,
            has_manual_resume: false,
            max_request_bytes: 65_536,
            max_response_bytes: 64 << 20,
        }
    }
}

/// Where the session is, as the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A session is being asked for.
    Handshaking,
    /// There is a session; whether the link works shows soon.
    Connecting,
    /// Events arrive.
    Connected,
    /// Over.
    Disconnected,
}

/// What the application may want to know although all goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `session_replaced`, `closed_by_server`, `multiple_clients`, `transport_fallback`, `replay_gap`, `possible_gap`, `replay_unsupported`,
    /// `subscription_lost`, `error`
    pub kind: &'static str,
    /// The channel that it is about.
    pub channel: Option<String>,
    /// What went wrong, if something did.
    pub error: Option<SessionError>,
}

/// What the application, or the owner of the socket, hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// Events have arrived; `source` is the exchange they came with, none for a socket. `events` stand in `text`.
    Messages {
        /// The exchange.
        source: Option<ExchangeId>,
        /// The whole answer.
        text: Vec<u8>,
        /// The events in it.
        events: Vec<EventSpans>,
    },
    /// An operation has ended.
    Settled(OpId, Result<(), SessionError>),
    /// The session goes on to another state.
    State(State),
    /// Something to know.
    Notice(Notice),
    /// The link has been down for the timeout of the application. Said again each time that has passed.
    ConnectionLost(SessionError),
    /// Nothing comes after it. Without a error if it was closed by us.
    Ended(Option<SessionError>),
    /// Credentials are wanted; `renew`: those there were are refused.
    NeedsCredentials {
        /// Whether there were some.
        is_renewal: bool,
    },
    /// Open a socket.
    SocketOpen {
        /// Its number.
        id: u32,
        /// Where to.
        url: String,
    },
    /// Send a text frame.
    SocketSend {
        /// By which socket.
        id: u32,
        /// The text.
        text: String,
    },
    /// Close a socket, opened or not. Nothing that it says is heard any more.
    SocketClose {
        /// Which one.
        id: u32,
    },
}
