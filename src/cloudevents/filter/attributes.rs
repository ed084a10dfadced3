//! What a program reads of an event.

use std::borrow::Cow;

use super::value::{Value, parse_int};
use crate::base::json::find::{items, string};
use crate::base::json::padded::PaddedBuf;
use crate::base::json::scan::{Kind, Scanner};
use crate::cloudevents::member::Member;

/// An attribute that a program reads, with its place in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    name: String,
    member: Option<Member>,
}

impl Attribute {
    pub(super) fn new(name: &str) -> Self {
        let member = Member::from_name(name.as_bytes());
        // These are no attributes.
        let member = member.filter(|member| !matches!(member, Member::Data | Member::DataBase64));
        Self { name: name.to_owned(), member }
    }

    /// The name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The member of the JSON format with this name, if it has a meaning of its own.
    pub(super) const fn member(&self) -> Option<Member> {
        self.member
    }
}

/// How the dialects `exact`, `prefix` and `suffix` compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// `exact`
    Exact,
    /// `prefix`
    Prefix,
    /// `suffix`
    Suffix,
}

impl Test {
    /// Whether a value passes the test.
    pub(super) fn passes(self, value: &[u8], text: &[u8]) -> bool {
        match self {
            Self::Exact => value == text,
            Self::Prefix => value.starts_with(text),
            Self::Suffix => value.ends_with(text),
        }
    }
}

/// The attributes of one event.
pub trait Attributes<'a> {
    /// The value of an attribute, if the event has it. `number` is its index in the program.
    fn get(&self, number: u16, attribute: &Attribute) -> Option<Value<'a>>;

    /// Whether the value of an attribute, as a String, passes a test. `None` if the event does not have the attribute.
    fn has_text(&self, number: u16, attribute: &Attribute, test: Test, text: &str) -> Option<bool> {
        let value = self.get(number, attribute)?.into_text();
        Some(test.passes(value.as_bytes(), text.as_bytes()))
    }
}

/// Attributes by their number in the program: `null` where there is none.
#[derive(Clone, Debug, Default)]
pub struct ListedAttributes(Vec<Option<Value<'static>>>);

impl ListedAttributes {
    /// Reads a JSON array of strings, integers, Booleans and `null`.
    pub fn from_json(text: &[u8]) -> Self {
        Self(values_of(text))
    }
}

impl<'a> Attributes<'a> for &'a ListedAttributes {
    fn get(&self, number: u16, _: &Attribute) -> Option<Value<'a>> {
        self.0.get(number as usize)?.clone()
    }
}

/// The values of a JSON array. All that is no value of CESQL is `None`.
pub fn values_of(text: &[u8]) -> Vec<Option<Value<'static>>> {
    let text = PaddedBuf::new(text.to_vec());
    let mut scanner = Scanner::new(text.as_padded());
    let mut values = Vec::new();
    let visited = items(&mut scanner, |scanner| {
        let (kind, span) = scanner.value()?;
        values.push(match kind {
            Kind::String => Some(Value::Str(Cow::Owned(string(text.as_padded(), span)))),
            Kind::True => Some(Value::Bool(true)),
            Kind::False => Some(Value::Bool(false)),
            Kind::Number => parse_int(text.as_padded().get(span.start, span.end)).map(Value::Int),
            Kind::Null | Kind::Array | Kind::Object => None,
        });
        Ok(())
    });
    debug_assert!(visited.is_ok(), "JavaScript writes JSON");
    values
}
