//! CloudEvents 1.0.2 and 0.3 (<https://github.com/cloudevents/spec>).
//!
//! | module | content |
//! |---|---|
//! | `attribute`, `uri` | names, formats and values of attributes (core specification, "Context Attributes") |
//! | `member` | the members that have a meaning of their own |
//! | `table` | the result of a scan: the positions at which JavaScript cuts its strings out of the text |
//! | `rejection` | why an input was rejected, and which part of it |
//! | `json` | the JSON event format, the JSON batch format and NDJSON |
//! | `layout` | a fast path for an event with the same layout as the last one |
//! | `filter` | the dialects of the Subscriptions API and CESQL |
//! | `http` | header values of the HTTP binding (section 3.1.3.2): quotes, percent-encoding, UTF-8 |
//!
//! Payloads are opaque: the grammar of `data` is checked and its value is never read. The bytes that arrive are the
//! bytes that are sent on.

pub mod attribute;
pub mod filter;
pub mod http;
pub mod json;
pub mod layout;
pub mod member;
pub mod rejection;
pub mod table;
mod uri;
