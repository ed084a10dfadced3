//! Filters: the dialects of the CloudEvents Subscriptions API (0.1 draft, section 3.2.4.1) and CESQL 1.0.0.
//!
//! ```text
//!   JSON of a filter ── dialects ──┐
//!                                  ├─> Program: a list of steps ── run ──> value, errors, or a call of a user function
//!   expression ── cesql: lexer, parser ┘                             ^
//!                                                         Attributes: a scanned event, or a list of values
//! ```
//!
//! | module | content |
//! |---|---|
//! | `value` | the three types, their casts, and the set of errors |
//! | `cesql` | expression -> tree |
//! | `program` | tree -> steps, the names of the attributes and the dispatch of functions |
//! | `dialects` | a filter of the Subscriptions API as JSON -> steps |
//! | `run` | steps -> value |
//! | `functions`, `pattern` | the built-in functions, `LIKE` |
//! | `attributes` | what a program reads: attributes by name |
//! | `select` | the events of a scanned batch for which a program is true |
//! | `scanned` | the attributes of the events of a scanned batch, by their offsets |
//!
//! Everything is bounded: the length and the depth of an expression, the steps of a program, and a run, which has no
//! loops. A run calls no one: where it needs a user function it ends, and starts again with the result.

pub mod attributes;
pub mod cesql;
pub mod dialects;
pub mod functions;
mod pattern;
pub mod program;
pub mod run;
pub mod scanned;
pub mod select;
pub mod value;
