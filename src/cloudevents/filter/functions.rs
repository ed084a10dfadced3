//! The built-in functions, sections 3.5.1, 3.5.2 and 3.7.

use std::borrow::Cow;

use super::value::{Errors, EvaluationError, Type, Value};

/// Brings a text into upper case, otherwise into lower case.
pub type ChangeCase = fn(text: &str, is_upper: bool) -> String;

/// As the standard library does it. Its tables take 9 KB of a module after compression, so a module may have another way.
pub fn change_case(text: &str, is_upper: bool) -> String {
    if is_upper { text.to_uppercase() } else { text.to_lowercase() }
}

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    /// `LENGTH(x)`
    Length,
    /// `CONCAT(x1, x2, …)`
    Concat,
    /// `CONCAT_WS(delimiter, x1, x2, …)`
    ConcatWs,
    /// `LOWER(x)`
    Lower,
    /// `UPPER(x)`
    Upper,
    /// `TRIM(x)`
    Trim,
    /// `LEFT(x, y)`
    Left,
    /// `RIGHT(x, y)`
    Right,
    /// `SUBSTRING(x, pos)` and `SUBSTRING(x, pos, len)`
    Substring,
    /// `ABS(x)`
    Abs,
    /// `INT(x)`
    Int,
    /// `BOOL(x)`
    Bool,
    /// `STRING(x)`
    String,
}

impl Builtin {
    /// The function with this name in upper case.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "LENGTH" => Self::Length,
            "CONCAT" => Self::Concat,
            "CONCAT_WS" => Self::ConcatWs,
            "LOWER" => Self::Lower,
            "UPPER" => Self::Upper,
            "TRIM" => Self::Trim,
            "LEFT" => Self::Left,
            "RIGHT" => Self::Right,
            "SUBSTRING" => Self::Substring,
            "ABS" => Self::Abs,
            "INT" => Self::Int,
            "BOOL" => Self::Bool,
            "STRING" => Self::String,
            _ => return None,
        })
    }

    /// Whether it takes this number of arguments.
    pub(super) const fn takes(self, count: usize) -> bool {
        match self {
            Self::Concat => true,
            Self::ConcatWs => count >= 1,
            Self::Left | Self::Right => count == 2,
            Self::Substring => count == 2 || count == 3,
            _ => count == 1,
        }
    }

    /// The type of the parameter at an index.
    pub(super) const fn parameter(self, index: usize) -> Type {
        match self {
            Self::Left | Self::Right | Self::Substring if index > 0 => Type::Int,
            // The function is the cast itself.
            Self::Int | Self::Bool | Self::String => Type::Any,
            Self::Abs => Type::Int,
            _ => Type::Str,
        }
    }

    /// The type of the result.
    pub(super) const fn returns(self) -> Type {
        match self {
            Self::Length | Self::Abs | Self::Int => Type::Int,
            Self::Bool => Type::Bool,
            _ => Type::Str,
        }
    }

    /// Calls the function with arguments of the types of its parameters.
    pub(super) fn call<'a>(
        self,
        args: &[Value<'a>],
        errors: &mut Errors,
        change_case: ChangeCase,
    ) -> Value<'a> {
        let text = |index: usize| match args.get(index) {
            Some(Value::Str(text)) => text.clone(),
            _ => Cow::Borrowed(""),
        };
        let int = |index: usize| match args.get(index) {
            Some(Value::Int(value)) => i64::from(*value),
            _ => 0,
        };
        match self {
            Self::Length => Value::Int(i32::try_from(length(&text(0))).unwrap_or(i32::MAX)),
            Self::Concat => join(args, "", errors),
            Self::ConcatWs => join(args.get(1..).unwrap_or_default(), &text(0), errors),
            Self::Lower | Self::Upper => Value::Str(Cow::Owned(change_case(&text(0), self == Self::Upper))),
            Self::Trim => Value::Str(slice(text(0), |text| text.trim())),
            Self::Left | Self::Right => {
                let (text, len) = (text(0), int(1));
                if len < 0 {
                    errors.add(EvaluationError::FunctionEvaluation);
                    return Value::Str(text);
                }
                let count = length(&text);
                let len = usize::try_from(len).unwrap_or(count).min(count);
                Value::Str(match self {
                    Self::Left => chars(text, 0, len),
                    _ => chars(text, count - len, len),
                })
            }
            Self::Substring => {
                let (text, start) = (text(0), int(1));
                let count = length(&text) as i64;
                let len = if args.len() > 2 { int(2) } else { count };
                if start > count || start < -count || len < 0 {
                    errors.add(EvaluationError::FunctionEvaluation);
                    return Type::Str.zero();
                }
                if start == 0 {
                    return Type::Str.zero();
                }
                let from = if start > 0 { start - 1 } else { count + start };
                Value::Str(chars(text, from as usize, len as usize))
            }
            Self::Abs => match i32::try_from(int(0).abs()) {
                Ok(value) => Value::Int(value),
                Err(_) => {
                    errors.add(EvaluationError::Math);
                    Value::Int(i32::MAX)
                }
            },
            Self::Int | Self::Bool | Self::String => {
                let cast = args.first().cloned().and_then(|value| value.cast(self.returns()));
                cast.unwrap_or_else(|| {
                    errors.add(EvaluationError::Cast);
                    self.returns().zero()
                })
            }
        }
    }
}

/// The number of characters: of bytes that begin one. The standard library counts long texts in blocks, with 0.8 KB of code.
fn length(text: &str) -> usize {
    text.bytes().filter(|byte| byte & 0xc0 != 0x80).count()
}

/// The longest text that a function makes, in bytes.
const MAX_TEXT: usize = 1 << 20;

fn join(args: &[Value<'_>], delimiter: &str, errors: &mut Errors) -> Value<'static> {
    let mut all = String::new();
    for (index, arg) in args.iter().enumerate() {
        let Value::Str(text) = arg else { continue };
        let delimiter = if index > 0 { delimiter } else { "" };
        if all.len() + delimiter.len() + text.len() > MAX_TEXT {
            errors.add(EvaluationError::FunctionEvaluation);
            return Type::Str.zero();
        }
        all.push_str(delimiter);
        all.push_str(text);
    }
    Value::Str(Cow::Owned(all))
}

/// `len` characters from the one at `start`.
fn chars(text: Cow<'_, str>, start: usize, len: usize) -> Cow<'_, str> {
    slice(text, |text| {
        let from = text.char_indices().nth(start).map_or(text.len(), |(at, _)| at);
        let rest = text.get(from..).unwrap_or_default();
        let end = rest.char_indices().nth(len).map_or(rest.len(), |(at, _)| at);
        rest.get(..end).unwrap_or_default()
    })
}

/// A part of a text, without a copy where that is possible.
fn slice<'a>(text: Cow<'a, str>, part: impl FnOnce(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => Cow::Owned(part(&text).to_owned()),
    }
}
