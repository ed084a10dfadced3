//! CloudEvents 1.0.2 and 0.3 (<https://github.com/cloudevents/spec>).
//!
//! | file | what it knows |
//! |---|---|
//! | `attribute` | names, types and values of attributes (core specification, "Context Attributes") |
//! | `event` | what one scanned event is: the table of places that JavaScript cuts its strings from |
//! | `json` | the JSON event format, the JSON batch format and NDJSON |
//! | `layout` | the guess that the next event looks like the last one |
//! | `http` | header values of the HTTP binding (section 3.1.3.2): quotes, percent escapes, UTF-8 |
//!
//! Payloads are opaque here: `data` is scanned for its grammar and never read. Bytes that came in are the
//! bytes that go out.

pub mod attribute;
pub mod event;
pub mod http;
pub mod json;
pub mod layout;
