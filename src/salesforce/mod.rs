//! The Streaming API of Salesforce: Bayeux with a login, replay, and refusals that say something else than they mean.
//!
//! ```text
//!   client.rs    the machine: login, then a session of `bayeux`
//!   replay.rs    the dialect: where channels go on, which events were here before, what refusals mean
//!   auth.rs      the OAuth flows: requests out, grants in
//! ```

pub mod auth;
pub mod client;
pub mod replay;
