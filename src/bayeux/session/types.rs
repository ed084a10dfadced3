//! What a session is told, and what it says.

use crate::base::ids::{ExchangeId, OpId};
use crate::base::time::Millis;
use crate::bayeux::errors::SessionError;
use crate::bayeux::message::Row;
use crate::bayeux::wire::Transport;

/// How a session works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the server is.
    pub url: String,
    /// In the order of preference.
    pub transports: Vec<Transport>,
    /// Ask the server to repeat what was not acknowledged. Default true; servers that do not know it do not answer it.
    pub ack: bool,
    /// Ask for credentials before each first handshake.
    pub needs_auth: bool,
    /// Keep cookies, because the platform does not.
    pub keeps_cookies: bool,
    /// Go to the hosts that the server advises. Default false: credentials would go to a host that nobody named.
    pub follows_hosts: bool,
    /// Leave when the server has no more events.
    pub drains: bool,
    /// The Unix time in milliseconds at the zero of the owner's clock, for cookies that end.
    pub epoch: u64,
    /// How much longer than the server holds a connect an answer may take, and how long any other may. Default 10 000.
    pub network_delay: Millis,
    /// How long a server holds a connect if it does not say. Default 60 000.
    pub hold: Millis,
    /// The longest first rest after a failure, doubled each time. Default 1 000.
    pub base: Millis,
    /// The longest rest. Default 60 000.
    pub max: Millis,
    /// How long the link may be down before that is reported. Default 10 000; `None`: it is never.
    pub timeout: Option<Millis>,
    /// How long polling may rest for a slow consumer. Default: for ever.
    pub max_pause: Option<Millis>,
    /// After events there is no further poll until the owner has called [`Session::resume_polling`], because only it knows what there is room for.
    pub waits_for_room: bool,
    /// How many bytes of messages go into one request. Default 65 536.
    pub max_request: usize,
    /// How many bytes of an answer are read. Default 64 MiB.
    pub max_answer: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            transports: vec![Transport::WebSocket, Transport::LongPolling],
            ack: true,
            needs_auth: false,
            keeps_cookies: true,
            follows_hosts: false,
            drains: false,
            epoch: 0,
            network_delay: Millis(10_000),
            hold: Millis(60_000),
            base: Millis(1000),
            max: Millis(60_000),
            timeout: Some(Millis(10_000)),
            max_pause: None,
            waits_for_room: false,
            max_request: 65_536,
            max_answer: 64 << 20,
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
    /// `subscription_lost`, `trouble`
    pub kind: &'static str,
    /// The channel that it is about.
    pub channel: Option<String>,
    /// What went wrong, if something did.
    pub trouble: Option<SessionError>,
}

/// What the application, or the owner of the socket, hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// Events have arrived; `source` is the exchange they came with, none for a socket. `rows` stand in `text`.
    Messages {
        /// The exchange.
        source: Option<ExchangeId>,
        /// The whole answer.
        text: Vec<u8>,
        /// The events in it.
        rows: Vec<Row>,
    },
    /// An operation has ended.
    Settled(OpId, Result<(), SessionError>),
    /// The session goes on to another state.
    State(State),
    /// Something to know.
    Notice(Notice),
    /// The link has been down for the timeout of the application. Said again each time that has passed.
    Lost(SessionError),
    /// Nothing comes after it. Without a trouble if it was closed by us.
    Ended(Option<SessionError>),
    /// Credentials are wanted; `renew`: those there were are refused.
    NeedsToken {
        /// Whether there were some.
        renew: bool,
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
