//! Expressions: CESQL 1.0.0, section 2. A Pratt parser that writes the steps of the program as it reads.
//!
//! Precedence, highest first: call; `NOT` and `-`; `LIKE`; `EXISTS`; `IN`; `*` `/` `%`; `+` `-`; comparisons; `AND`, `OR`
//! and `XOR`, which have the same one and are read from left to right (section 3.6).

mod fault;
mod lexer;
mod parser;

pub use fault::{MAX_DEPTH, MAX_EXPRESSION};

use super::program::Builder;

/// Why an expression was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The position in UTF-16 units, as JavaScript counts.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// Reads an expression and adds its steps. They leave one value.
pub(super) fn compile(expression: &str, builder: &mut Builder<'_>) -> Result<(), ParseError> {
    parser::parse(expression, builder).map_err(|fault| ParseError {
        at: expression.get(..fault.at).unwrap_or(expression).encode_utf16().count(),
        expected: fault.expected,
    })
}
