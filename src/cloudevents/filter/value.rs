//! The types of CESQL, section 3.1, their casts, section 3.7, and the set of errors.

use std::borrow::Cow;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Boolean
    Bool(bool),
    /// Integer
    Int(i32),
    /// String
    Str(Cow<'a, str>),
}

/// A type. `Any` is a parameter that takes all values as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Boolean
    Bool,
    /// Integer
    Int,
    /// String
    Str,
    /// All of them
    Any,
}

impl Type {
    /// What an operator or function of this type returns when it has failed.
    pub const fn zero(self) -> Value<'static> {
        match self {
            Self::Int => Value::Int(0),
            Self::Str => Value::Str(Cow::Borrowed("")),
            Self::Bool | Self::Any => Value::Bool(false),
        }
    }
}

impl<'a> Value<'a> {
    /// The type of the value.
    pub const fn kind(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Str(_) => Type::Str,
        }
    }

    /// The value as another type. `None` if it cannot be cast.
    pub fn cast(self, to: Type) -> Option<Self> {
        match to {
            Type::Any => Some(self),
            Type::Bool => self.to_bool().map(Self::Bool),
            Type::Int => self.to_int().map(Self::Int),
            Type::Str => Some(Self::Str(self.into_text())),
        }
    }

    /// The same value, without a copy of its text.
    pub fn borrowed(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Str(text) => Value::Str(Cow::Borrowed(text)),
        }
    }

    /// The value as a Boolean.
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Int(value) => Some(*value != 0),
            Self::Str(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Str(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Self::Str(_) => None,
        }
    }

    /// The value as an Integer.
    pub fn to_int(&self) -> Option<i32> {
        match self {
            Self::Bool(value) => Some(i32::from(*value)),
            Self::Int(value) => Some(*value),
            Self::Str(text) => parse_int(text.as_bytes()),
        }
    }

    /// The value as a String.
    pub fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Int(value) => Cow::Owned(int_text(value)),
            Self::Str(text) => text,
        }
    }
}

/// The integer that the text is in decimal, with an optional sign.
pub fn parse_int(text: &[u8]) -> Option<i32> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
        if value > 1 << 31 {
            return None;
        }
    }
    i32::try_from(if is_negative { -value } else { value }).ok()
}

/// An integer in decimal. Not `to_string`, which brings the formatting code of the standard library.
pub fn int_text(value: i32) -> String {
    let mut digits = Vec::with_capacity(11);
    let mut left = value.unsigned_abs();
    loop {
        digits.push(b'0' + (left % 10) as u8);
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if value < 0 {
        digits.push(b'-');
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

/// The kinds of errors of an evaluation. `ERRORS` in `js/systems/cloudevents/filter/program.ts` has their names, in this
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EvaluationError {
    /// Division by zero, or a result that is no Integer.
    Math = 0,
    /// A value that cannot be cast.
    Cast = 1,
    /// An attribute that the event does not have.
    MissingAttribute = 2,
    /// No function of this name takes this number of arguments.
    MissingFunction = 3,
    /// A function has failed.
    FunctionEvaluation = 4,
}

impl EvaluationError {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Math, Self::Cast, Self::MissingAttribute, Self::MissingFunction, Self::FunctionEvaluation];

    /// The name that the conformance tests use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Math => "math",
            Self::Cast => "cast",
            Self::MissingAttribute => "missingAttribute",
            Self::MissingFunction => "missingFunction",
            Self::FunctionEvaluation => "functionEvaluation",
        }
    }
}

/// The errors of an evaluation: a set, as section 1 says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors(u8);

impl Errors {
    /// Adds an error.
    pub const fn add(&mut self, error: EvaluationError) {
        self.0 |= 1 << error as u8;
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One bit for each kind.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// The kinds in the set.
    pub fn kinds(self) -> impl Iterator<Item = EvaluationError> {
        EvaluationError::ALL.into_iter().filter(move |error| self.0 & 1 << *error as u8 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_and_written_in_their_whole_range() {
        for value in [0, 1, -1, 10, -10, 123_456_789, i32::MAX, i32::MIN] {
            assert_eq!(int_text(value), value.to_string());
            assert_eq!(parse_int(int_text(value).as_bytes()), Some(value));
        }
        for text in
            ["", "-", "+", "1.0", " 1", "1 ", "2147483648", "-2147483649", "99999999999999999999", "x"]
        {
            assert_eq!(parse_int(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_int(b"+5"), Some(5));
        assert_eq!(parse_int(b"007"), Some(7));
    }
}
