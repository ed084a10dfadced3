//! Reads and writes events. Pure functions: reading gives positions in the text; writing takes members that are
//! JSON text already.

use super::event::{Envelope, EnvelopeRule, Member};
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{self, Kind, Scanner, Span};
use crate::base::json::text::unescape;

/// Why a text is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// Not JSON, or more text after the JSON value.
    NotJson,
    /// Not UTF-8.
    NotUtf8,
    /// Nested deeper than [`scan::MAX_DEPTH`].
    TooDeep,
    /// JSON, but not an object.
    NotObject,
    /// Longer than the reader allows. The text was not parsed.
    TooLarge,
    /// The first member, in the order of [`Member::ALL`], that is missing or of the wrong type.
    Member(Member),
}

impl From<scan::ScanError> for ReadError {
    fn from(fault: scan::ScanError) -> Self {
        match fault {
            scan::ScanError::Syntax => Self::NotJson,
            scan::ScanError::Encoding => Self::NotUtf8,
            scan::ScanError::TooDeep => Self::TooDeep,
        }
    }
}

impl ReadError {
    /// The message for errors that do not concern one member.
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotJson => "the text is not JSON",
            Self::NotUtf8 => "the text is not UTF-8",
            Self::TooDeep => "the text is nested too deeply",
            Self::NotObject => "the text is not a JSON object",
            Self::TooLarge => "the text is longer than this server allows",
            Self::Member(_) => "a member is missing or of the wrong type",
        }
    }
}

/// Finds the members of an event in its text and checks them. The last of several members with the same name
/// counts; members with other names are skipped.
pub fn read_event<B: Block>(text: Padded<'_>, rule: EnvelopeRule) -> Result<Envelope, ReadError> {
    let mut scanner = Scanner::<B>::new(text);
    scanner.skip_space();
    if scanner.peek() != b'{' {
        // A text that is not JSON at all gets `NotJson`, not `NotObject`.
        scanner.value()?;
        return Err(if scanner.is_finished() { ReadError::NotObject } else { ReadError::NotJson });
    }
    let mut envelope = Envelope::default();
    scanner.expect(b'{')?;
    scanner.skip_space();
    if !scanner.eat(b'}') {
        loop {
            let name = scanner.string()?;
            scanner.colon()?;
            let position = Some(scanner.value()?);
            match known_name(text, &name) {
                Some(KnownName::Member(member)) => envelope.set(member, position),
                Some(KnownName::SnakeFlowId) => envelope.snake_flow_id = position,
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
        return Err(ReadError::NotJson);
    }
    check(text, &mut envelope, rule)?;
    Ok(envelope)
}

enum KnownName {
    Member(Member),
    SnakeFlowId,
}

fn known_name(text: Padded<'_>, name: &Span) -> Option<KnownName> {
    let raw = text.get(name.start, name.end);
    // The longest known name has 8 characters, and an escaped character takes 6.
    let mut buffer = [0; 8 * 6];
    let name = if name.has_escapes { unescape(raw, buffer.get_mut(..raw.len())?)? } else { raw };
    if name == b"flow_id" {
        Some(KnownName::SnakeFlowId)
    } else {
        Member::from_name(name).map(KnownName::Member)
    }
}

/// Checks the members against the rule. Removes members that count as missing.
fn check(text: Padded<'_>, envelope: &mut Envelope, rule: EnvelopeRule) -> Result<(), ReadError> {
    if rule != EnvelopeRule::Strict && envelope.get(Member::FlowId).is_none() {
        let position = envelope.snake_flow_id;
        envelope.set(Member::FlowId, position);
    }
    for member in Member::ALL {
        let is_valid = match envelope.get(member) {
            None => false,
            Some((kind, span)) => match member {
                Member::Name | Member::Id | Member::FlowId => kind == Kind::String,
                Member::Version => is_version(text, kind, &span, rule),
                Member::Payload => true,
                Member::Identity | Member::Auth | Member::Metadata => kind == Kind::Object,
            },
        };
        if is_valid {
            continue;
        }
        let kind = envelope.get(member).map(|(kind, _)| kind);
        let is_absent = matches!(kind, None | Some(Kind::Null));
        let can_be_absent = match (member, rule) {
            (_, EnvelopeRule::Strict) | (Member::Name | Member::Version, _) => false,
            (Member::Identity | Member::Auth | Member::Metadata, _) => {
                is_absent || rule == EnvelopeRule::Response
            }
            (_, EnvelopeRule::Usual) => false,
            (_, EnvelopeRule::Lenient) => is_absent,
            (_, EnvelopeRule::Response) => true,
        };
        if !can_be_absent {
            return Err(ReadError::Member(member));
        }
        envelope.set(member, None);
    }
    Ok(())
}

/// A signed 32-bit integer; under the lenient rules also a string of digits.
fn is_version(text: Padded<'_>, kind: Kind, span: &Span, rule: EnvelopeRule) -> bool {
    let digits = text.get(span.start, span.end);
    match kind {
        Kind::Number => span.is_plain && is_int32(digits),
        Kind::String if matches!(rule, EnvelopeRule::Lenient | EnvelopeRule::Response) => {
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && is_int32(digits)
        }
        _ => false,
    }
}

fn is_int32(digits: &[u8]) -> bool {
    core::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<i32>().is_ok())
}

/// The members of a response: strings without their quotes but with their escapes, everything else as JSON.
#[derive(Clone, Copy, Debug)]
pub struct ResponseMembers<'a> {
    /// The name of the request, which precedes `suffix`.
    pub name: &'a str,
    /// Appended to the name, with a colon between the two if neither is empty.
    pub suffix: &'a str,
    /// Digits.
    pub version: &'a str,
    /// The id.
    pub id: &'a str,
    /// The id of the flow.
    pub flow_id: &'a str,
    /// JSON, in parts that are concatenated.
    pub payload: &'a [&'a str],
    /// An object.
    pub identity: &'a str,
    /// An object.
    pub metadata: &'a str,
}

/// Writes a response. `auth` is always empty: credentials are never sent back.
pub fn write_response(response: &ResponseMembers<'_>) -> String {
    let colon = if response.name.is_empty() || response.suffix.is_empty() { "" } else { ":" };
    let head = [
        "{\"name\":\"",
        response.name,
        colon,
        response.suffix,
        "\",\"version\":",
        response.version,
        ",\"id\":\"",
        response.id,
        "\",\"flowId\":\"",
        response.flow_id,
        "\",\"payload\":",
    ];
    let tail = [",\"identity\":", response.identity, ",\"auth\":{},\"metadata\":", response.metadata, "}"];
    [&head[..], response.payload, &tail].concat().concat()
}
