//! Bayeux 1.0: the publish and subscribe protocol of CometD, faye, and the Streaming API of Salesforce.
//!
//! A client sends JSON arrays of messages by HTTP POST, or over a WebSocket. A **handshake** negotiates the
//! transport and starts a session. The client then always has one **connect** pending, which the server holds
//! until it has events for the client or `advice.timeout` passes. That poll delivers events and is the
//! heartbeat of the session. All other messages (**subscribe**, **unsubscribe**, **publish**, **disconnect**)
//! share a second request. With each reply the server can give **advice**: how to reconnect, when, and how
//! long a connect is held.
//!
//! ```text
//!   client                                    server
//!     │ /meta/handshake ───────────────────────> │
//!     │ <─── clientId, transports, advice ────── │
//!     │ /meta/connect, advice.timeout 0 ───────> │  a probe: the server replies without delay
//!     │ <─── successful ──────────────────────── │  connected
//!     │ /meta/subscribe, events to publish ────> │  one request for all that wait
//!     │ <─── replies ─────────────────────────── │
//!     │ /meta/connect ─────────────────────────> │
//!     │            (held up to advice.timeout)   │
//!     │ <─── events, then the connect reply ──── │  and the next connect after advice.interval
//! ```
//!
//! States of a [`session::Session`]:
//!
//! ```text
//!   handshaking ──successful──> connecting ──successful──> connected
//!        ▲ └ delay ┘                ▲ └ delay ┘                │
//!        │                          └── no reply ──────────────┤
//!        └── advice "handshake", or unknown session ───────────┘
//!   any ──close, advice "none", fatal error──> disconnected
//! ```
//!
//! Bayeux alone delivers at most once: events in a lost response are gone. Two extensions repair that, and
//! the session uses either of them: the ack extension of CometD, and the replay of Salesforce. Otherwise the
//! application gets the notice `possible_gap`.
//!
//! | file | job |
//! |---|---|
//! | `session.rs` | the state machine |
//! | `dialect.rs` | what differs between servers |
//! | `errors.rs` | the error of an operation or session |
//! | `cookies.rs` | a cookie jar for platforms that keep none |
//! | `repair.rs` | what can be read of a damaged response, pure functions |
//! | `message.rs`, `wire.rs` | incoming and outgoing messages, pure functions |
//!
//! The system `salesforce` runs a session with a dialect of its own.
//!
//! Specification: [Bayeux 1.0](https://docs.cometd.org/current/reference/#_bayeux), above all
//! [two connection operation](https://docs.cometd.org/current/reference/#_two_connection_operation),
//! [advice](https://docs.cometd.org/current/reference/#_bayeux_advice), the meta messages
//! [connect](https://docs.cometd.org/current/reference/#_bayeux_meta_connect) and
//! [disconnect](https://docs.cometd.org/current/reference/#_bayeux_meta_disconnect), and the
//! [error field](https://docs.cometd.org/current/reference/#_code_error_code).
//!
//! The session deviates from it where servers do: it compares ids as text, accepts events before the reply to
//! their subscription, and reads `advice.maxInterval` of CometD.

pub mod cookies;
pub mod dialect;
pub mod errors;
pub mod message;
pub mod repair;
pub mod session;
pub mod wire;
