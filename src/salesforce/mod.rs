//! The Streaming API of Salesforce: Bayeux by long-polling, with an OAuth login and a replay of stored
//! events.
//!
//! The client logs in, which yields an access token and the URL of the instance, and opens a Bayeux session
//! at `{instance_url}/cometd/{version}`. Each event has a replay id. A subscription names the id after which
//! it starts, `-1` for new events only, or `-2` for all stored events (24 or 72 hours). The client keeps the
//! last id of each channel. After a lost response or a new session it subscribes from there and drops
//! duplicates, so that no event is missed while the server still stores it.
//!
//! ```text
//!   login ──grant──> handshake ──> subscribe from the last replay id ──> events
//!    ▲ │ └ delay ┘       ▲              ▲ │                                │
//!    │ │                 │              └─┤ 400, replay id expired: from replay_fallback, or refused
//!    │ └─ refused: end   │                └────────────────────────────────┤
//!    │                   ├─── 403 unknown client, lost session ────────────┤
//!    └───────────────────┴─── 401: new credentials, once ──────────────────┘
//! ```
//!
//! Salesforce names the cause of a refusal in `ext.sfdc.failureReason`; the `error` beside it may say
//! something else. [`replay`] therefore classifies refusals before the session looks at `advice`.
//!
//! | file | job |
//! |---|---|
//! | `client.rs` | the state machine: login, then a session of `bayeux` |
//! | `replay.rs` | the dialect: replay ids, duplicates, causes of refusals |
//! | `instance.rs` | where an access token may be sent, pure functions |
//! | `marks.rs` | the state machine that decides when a replay position is saved |
//! | `auth.rs` | the OAuth flows: token requests and their responses, pure functions |
//!
//! Documentation of Salesforce:
//! [Streaming API Developer Guide](https://developer.salesforce.com/docs/atlas.en-us.api_streaming.meta/api_streaming/intro_stream.htm),
//! above all
//! [Message Durability](https://developer.salesforce.com/docs/atlas.en-us.api_streaming.meta/api_streaming/using_streaming_api_durability.htm)
//! (replay),
//! [Streaming API Error Codes](https://developer.salesforce.com/docs/atlas.en-us.api_streaming.meta/api_streaming/streaming_error_codes.htm)
//! and
//! [Handling Streaming API Errors](https://developer.salesforce.com/docs/atlas.en-us.api_streaming.meta/api_streaming/streaming_handling_errors.htm).

pub mod auth;
pub mod client;
pub mod instance;
pub mod marks;
pub mod replay;
