//! Names and values of attributes: CloudEvents 1.0.2, "Naming Convention for Context Attributes" and
//! "Type System".
//! All functions take UTF-8 that is known to be well formed.

use super::uri::{is_uri, is_uri_reference};
use crate::base::json::text::first_char;
use crate::base::timestamp;

/// The format of a string attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Format {
    /// Any String.
    Text = 0,
    /// URI-reference (RFC 3986 section 4.1).
    UriReference = 1,
    /// Absolute URI (RFC 3986 section 4.3). A fragment is allowed, because real `dataschema` values have one.
    Uri = 2,
    /// Timestamp (RFC 3339).
    Timestamp = 3,
    /// Media type with parameters (RFC 2046, RFC 9110 section 8.3.1).
    MediaType = 4,
}

impl Format {
    /// The format with this number at the wasm boundary.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::UriReference,
            2 => Self::Uri,
            3 => Self::Timestamp,
            4 => Self::MediaType,
            _ => Self::Text,
        }
    }

    /// Whether `text` has this format. Only [`Format::Text`] and [`Format::UriReference`] match empty text.
    pub fn matches(self, text: &[u8]) -> bool {
        match self {
            Self::Text => is_text(text),
            Self::UriReference => is_uri_reference(text),
            Self::Uri => is_uri(text),
            Self::Timestamp => timestamp::is_timestamp(text),
            Self::MediaType => is_media_type(text),
        }
    }
}

/// Whether an attribute may have this name: `a-z` and `0-9` only, not empty, and not `data`.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"data" && name.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'))
}

/// Whether every character is allowed in a String: no C0 and C1 controls and no noncharacters.
pub fn is_text(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let (char, len) = first_char(text);
        let is_control = char < 0x20 || (0x7f..=0x9f).contains(&char);
        let is_noncharacter = (0xfdd0..=0xfdef).contains(&char) || char & 0xfffe == 0xfffe;
        if is_control || is_noncharacter {
            return false;
        }
        text = text.get(len..).unwrap_or_default();
    }
    true
}

/// Whether the text of a number is an Integer: 32 bits signed. The grammar was checked before.
pub fn is_int32(digits: &[u8]) -> bool {
    let (limit, digits) = match digits {
        [b'-', digits @ ..] => (1 << 31, digits),
        digits => ((1u64 << 31) - 1, digits),
    };
    digits.len() <= 10 && digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit & 0x0f)) <= limit
}

/// Whether the media type is JSON: the subtype is `json` or ends in `+json` (CloudEvents JSON format, section 3.1).
pub fn is_json(media_type: &[u8]) -> bool {
    // By far the most frequent media type.
    if media_type == b"application/json" {
        return true;
    }
    let essence = media_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    let subtype = essence.split(|b| *b == b'/').nth(1).unwrap_or_default();
    subtype.eq_ignore_ascii_case(b"json")
        || subtype.last_chunk().is_some_and(|end: &[u8; 5]| end.eq_ignore_ascii_case(b"+json"))
}

fn is_media_type(text: &[u8]) -> bool {
    let Some(slash) = text.iter().position(|b| *b == b'/') else { return false };
    let (kind, rest) = text.split_at(slash);
    let (subtype, mut rest) = split_token(rest.get(1..).unwrap_or_default());
    if kind.is_empty() || !kind.iter().all(|b| is_token_char(*b)) || subtype.is_empty() {
        return false;
    }
    // *( OWS ";" OWS [ parameter ] ), where white space is blanks: a String has no tabs, and none ends with blanks.
    loop {
        let [b';', after @ ..] = skip_blanks(rest) else { return rest.is_empty() };
        let after = skip_blanks(after);
        if after.is_empty() {
            return rest.last() == Some(&b';');
        }
        let (name, after) = split_token(after);
        rest = after;
        if name.is_empty() {
            continue;
        }
        let [b'=', value @ ..] = after else { return false };
        rest = match value {
            [b'"', quoted @ ..] => match skip_quoted(quoted) {
                Some(rest) => rest,
                None => return false,
            },
            _ => match split_token(value) {
                ([], _) => return false,
                (_, rest) => rest,
            },
        };
    }
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    text.split_at(text.iter().position(|b| *b != b' ').unwrap_or(text.len())).1
}

fn split_token(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !is_token_char(*b)).unwrap_or(text.len()))
}

/// The text after the closing quote.
fn skip_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b' '..=b'~', rest @ ..] => rest,
            [b' '..=b'~', rest @ ..] if text.first() != Some(&b'\\') => rest,
            _ => return None,
        };
    }
}

const fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Whether `text` is Base64 by RFC 4648 section 4: the standard alphabet, padded, no line breaks, and no
/// bits in the last character that decoding would drop.
pub fn is_base64(text: &[u8]) -> bool {
    let digits = match text {
        [digits @ .., b'=', b'='] => digits,
        [digits @ .., b'='] => digits,
        digits => digits,
    };
    if !text.len().is_multiple_of(4) || !digits.iter().all(|b| base64_value(*b).is_some()) {
        return false;
    }
    let last = digits.last().and_then(|b| base64_value(*b)).unwrap_or(0);
    match text.len() - digits.len() {
        0 => true,
        1 => last & 0b11 == 0,
        _ => last & 0b1111 == 0,
    }
}

const fn base64_value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
