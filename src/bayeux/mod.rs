//! Bayeux: the protocol of CometD, faye and the Streaming API of Salesforce.
//!
//! ```text
//!   client.rs    a client for any server: session + the plain dialect
//!   session.rs   the machine: handshake, connect loop, two lanes, recovery
//!     outgoing.rs what leaves next   incoming.rs what an answer says   errors.rs what goes wrong   types.rs what it is told and says
//!   dialect.rs   what a server may do in its own way
//!   cookies.rs   the cookie jar, for platforms that keep none
//!   message.rs   what comes in          wire.rs   what goes out
//! ```
//!
//! `salesforce` stands on `session.rs` with a dialect of its own.

pub mod client;
pub mod cookies;
pub mod dialect;
pub mod errors;
pub mod message;
pub mod session;
pub mod wire;
