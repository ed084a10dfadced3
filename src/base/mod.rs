//! Plain data without I/O: time, HTTP messages, errors, secrets, ids and JSON text.

pub mod error;
pub mod http;
pub mod ids;
pub mod json;
pub mod secret;
pub mod text;
pub mod time;
pub mod timestamp;
