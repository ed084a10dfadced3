//! Events as text. Pure functions: reading gives places, writing takes JSON text that was written by somebody else.

use super::event::{Envelope, Member, Rule};
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{self, Kind, Scanner, Span};
use crate::base::json::text::unescape;

/// Why a text is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON, or something behind its end.
    NotJson,
    /// Not UTF-8.
    NotUtf8,
    /// Nested deeper than [`scan::MAX_DEPTH`].
    TooDeep,
    /// JSON, but no object.
    NotObject,
    /// Longer than the reader takes; nobody looked into it.
    TooLarge,
    /// The first member, in their order, that is missing or of the wrong kind.
    Member(Member),
}

impl From<scan::ScanError> for Fault {
    fn from(fault: scan::ScanError) -> Self {
        match fault {
            scan::ScanError::Syntax => Self::NotJson,
            scan::ScanError::Encoding => Self::NotUtf8,
            scan::ScanError::TooDeep => Self::TooDeep,
        }
    }
}

impl Fault {
    /// What is wrong, for those that are not about one member.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotJson => "the text is not JSON",
            Self::NotUtf8 => "the text is not UTF-8",
            Self::TooDeep => "the text is nested too deep",
            Self::NotObject => "the text is not a JSON object",
            Self::TooLarge => "the text is longer than this server takes",
            Self::Member(_) => "a member is missing or of the wrong kind",
        }
    }
}

/// Finds the members of the event that the text is. Of a member that is there several times the last one counts; those with other names are
/// stepped over.
pub fn read<B: Block>(text: Padded<'_>, rule: Rule) -> Result<Envelope, Fault> {
    let mut scanner = Scanner::<B>::new(text);
    scanner.skip_space();
    if scanner.peek() != b'{' {
        // A text that is no JSON at all is not called "no object".
        scanner.value()?;
        return Err(if scanner.is_finished() { Fault::NotObject } else { Fault::NotJson });
    }
    let mut envelope = Envelope::default();
    scanner.expect(b'{')?;
    scanner.skip_space();
    if !scanner.eat(b'}') {
        loop {
            let name = scanner.string()?;
            scanner.colon()?;
            let place = Some(scanner.value()?);
            match known(text, &name) {
                Some(Known::Member(member)) => envelope.set(member, place),
                Some(Known::SnakeFlowId) => envelope.snake_flow_id = place,
                None => {}
            }
            scanner.skip_space();
            if scanner.eat(b'}') {
                break;
            }
            scanner.expect(b',')?;
            scanner.skip_space();
        }
    }
    if !scanner.is_finished() {
        return Err(Fault::NotJson);
    }
    check(text, &mut envelope, rule)?;
    Ok(envelope)
}

enum Known {
    Member(Member),
    SnakeFlowId,
}

fn known(text: Padded<'_>, name: &Span) -> Option<Known> {
    let raw = text.get(name.start, name.end);
    // The longest name we know has 8 characters, and an escape has 6 for one.
    let mut buffer = [0; 8 * 6];
    let name = if name.has_escapes { unescape(raw, buffer.get_mut(..raw.len())?)? } else { raw };
    if name == b"flow_id" { Some(Known::SnakeFlowId) } else { Member::from_name(name).map(Known::Member) }
}

/// Holds the members to the rule. What counts as missing is taken out.
fn check(text: Padded<'_>, envelope: &mut Envelope, rule: Rule) -> Result<(), Fault> {
    if rule != Rule::Strict && envelope.get(Member::FlowId).is_none() {
        let place = envelope.snake_flow_id;
        envelope.set(Member::FlowId, place);
    }
    for member in Member::ALL {
        let fits = match envelope.get(member) {
            None => false,
            Some((kind, span)) => match member {
                Member::Name | Member::Id | Member::FlowId => kind == Kind::String,
                Member::Version => is_version(text, kind, &span, rule),
                Member::Payload => true,
                Member::Identity | Member::Auth | Member::Metadata => kind == Kind::Object,
            },
        };
        if fits {
            continue;
        }
        let kind = envelope.get(member).map(|(kind, _)| kind);
        let is_absent = matches!(kind, None | Some(Kind::Null));
        let may_be_absent = match (member, rule) {
            (_, Rule::Strict) | (Member::Name | Member::Version, _) => false,
            (Member::Identity | Member::Auth | Member::Metadata, _) => is_absent || rule == Rule::Answer,
            (_, Rule::Usual) => false,
            (_, Rule::Lenient) => is_absent,
            (_, Rule::Answer) => true,
        };
        if !may_be_absent {
            return Err(Fault::Member(member));
        }
        envelope.set(member, None);
    }
    Ok(())
}

/// A whole number of 32 bits, signed; where the rule is lenient also as its digits in a string.
fn is_version(text: Padded<'_>, kind: Kind, span: &Span, rule: Rule) -> bool {
    let digits = text.get(span.start, span.end);
    match kind {
        Kind::Number => span.is_plain && is_int32(digits),
        Kind::String if matches!(rule, Rule::Lenient | Rule::Answer) => {
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && is_int32(digits)
        }
        _ => false,
    }
}

fn is_int32(digits: &[u8]) -> bool {
    core::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<i32>().is_ok())
}

/// An event as it is written: texts without their quotes but with their escapes, everything else as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The name, in front of `suffix`.
    pub name: &'a str,
    /// What is put behind the name, with a colon between them if both are there.
    pub suffix: &'a str,
    /// Digits.
    pub version: &'a str,
    /// The id.
    pub id: &'a str,
    /// The id of the flow.
    pub flow_id: &'a str,
    /// JSON, in pieces that are joined.
    pub payload: &'a [&'a str],
    /// An object.
    pub identity: &'a str,
    /// An object.
    pub metadata: &'a str,
}

/// Writes an answer. `auth` is always empty: what proves an identity is never sent back.
pub fn write(event: &Written<'_>) -> String {
    let colon = if event.name.is_empty() || event.suffix.is_empty() { "" } else { ":" };
    let head = [
        "{\"name\":\"",
        event.name,
        colon,
        event.suffix,
        "\",\"version\":",
        event.version,
        ",\"id\":\"",
        event.id,
        "\",\"flowId\":\"",
        event.flow_id,
        "\",\"payload\":",
    ];
    let tail = [",\"identity\":", event.identity, ",\"auth\":{},\"metadata\":", event.metadata, "}"];
    [&head[..], event.payload, &tail].concat().concat()
}
