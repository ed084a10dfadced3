//! Attribute values in HTTP headers: HTTP protocol binding 1.0.2, section 3.1.3.2.

use super::rejection::Reason;
use crate::base::json::text::{hex, sequence_len};

/// Decodes a header value into `out`, which must be as long as the value.
///
/// 1. If the value is one quoted string (RFC 9110 section 5.6.4), its quotes are removed, and a backslash makes the
///    next character literal. Other quotes stay: older SDKs do not encode them.
/// 2. The text is percent-decoded once. A `%` without two hexadecimal digits after it stays, because older SDKs do
///    not encode it.
/// 3. The result must be UTF-8.
///
/// The caller checks the format of the attribute.
pub fn decode_value<'o>(value: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], Reason> {
    let written = match unquote(value, out) {
        Some(written) => written,
        None => copy(value, out),
    };
    let out = out.get_mut(..written).unwrap_or_default();
    let written = percent_decode(out);
    let text = out.get(..written).unwrap_or_default();
    if is_utf8(text) { Ok(text) } else { Err(Reason::NotUtf8) }
}

/// Writes the content of a quoted string and returns its length. `None` if the value is not exactly one.
fn unquote(value: &[u8], out: &mut [u8]) -> Option<usize> {
    let [b'"', content @ .., b'"'] = value else { return None };
    let mut written = 0;
    let mut bytes = content.iter();
    while let Some(&byte) = bytes.next() {
        *out.get_mut(written)? = match byte {
            b'"' => return None,
            b'\\' => *bytes.next()?,
            byte => byte,
        };
        written += 1;
    }
    Some(written)
}

fn copy(value: &[u8], out: &mut [u8]) -> usize {
    for (to, from) in out.iter_mut().zip(value) {
        *to = *from;
    }
    value.len()
}

/// Decodes in place and returns the new length.
fn percent_decode(text: &mut [u8]) -> usize {
    let (mut read, mut written) = (0, 0);
    while let Some(&byte) = text.get(read) {
        let escape = match text.get(read..read + 3) {
            Some(&[b'%', high, low]) => hex(high).zip(hex(low)),
            _ => None,
        };
        let (decoded, len) = match escape {
            Some((high, low)) => ((high << 4 | low) as u8, 3),
            None => (byte, 1),
        };
        if let Some(slot) = text.get_mut(written) {
            *slot = decoded;
        }
        read += len;
        written += 1;
    }
    written
}

fn is_utf8(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(len) = sequence_len(text) else { return false };
        text = text.get(len..).unwrap_or_default();
    }
    true
}
