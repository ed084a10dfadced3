//! Why an expression does not parse, and its limits.

/// The longest expression, in bytes.
pub const MAX_EXPRESSION: usize = 65_536;
/// How deep parentheses, arguments and unary operators may be nested.
pub const MAX_DEPTH: usize = 100;

/// What was expected at a position in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}
