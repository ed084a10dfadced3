//! What can still be read of a damaged response: pure functions.
//!
//! ```text
//!   strip a BOM ──> valid? ──yes──> read
//!                    └─no──> replace invalid UTF-8 ──> valid? ──yes──> read
//!                             └─no──> keep the messages that are whole ──┬─ the array ends: the others are skipped
//!                                                                        └─ it does not: the response is cut
//! ```

use super::message::{DataReader, ParsedMessages, parse_messages};
use crate::base::json::find::Document;

/// The byte order mark in UTF-8. JavaScript drops it when it decodes the text.
const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// How much of a response could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// All of it, perhaps with replaced bytes.
    None,
    /// That many messages are not valid JSON, and were skipped.
    Skipped(usize),
    /// The end is missing. The messages before the cut are whole.
    Cut,
}

/// A response that was read.
#[derive(Debug)]
pub struct Readable {
    /// The text that the positions refer to.
    pub document: Document,
    /// Its messages.
    pub messages: ParsedMessages,
    /// What is missing.
    pub damage: Damage,
}

/// Reads a response, or what is left of it. `None` if nothing in it is a message; the bytes are unchanged then.
pub fn read_response(body: &mut Vec<u8>, data: DataReader) -> Option<Readable> {
    let mut document = Document::new(core::mem::take(body));
    if let Ok(messages) = parse_messages(document.padded(), data) {
        return Some(Readable { document, messages, damage: Damage::None });
    }
    let bytes = document.into_text();
    let clean = bytes.strip_prefix(BOM).unwrap_or(&bytes);
    let text = String::from_utf8_lossy(clean);
    if text.len() != bytes.len() || text.as_bytes() != bytes {
        document = Document::new(text.as_bytes().to_vec());
        if let Ok(messages) = parse_messages(document.padded(), data) {
            return Some(Readable { document, messages, damage: Damage::None });
        }
    }
    let (kept, damage) = whole_messages(text.as_bytes(), data);
    document = Document::new(kept);
    match parse_messages(document.padded(), data) {
        Ok(messages) if !messages.events.is_empty() || !messages.replies.is_empty() => {
            Some(Readable { document, messages, damage })
        }
        _ => {
            *body = bytes;
            None
        }
    }
}

/// An array of the messages that are valid on their own.
fn whole_messages(text: &[u8], data: DataReader) -> (Vec<u8>, Damage) {
    let mut kept = vec![b'['];
    let mut skipped = 0;
    let mut at = 0;
    let mut has_ended = false;
    while let Some(byte) = text.get(at) {
        if *byte == b'{' {
            let Some(end) = object_end(text, at) else { break };
            let object = text.get(at..end).unwrap_or_default();
            if parse_messages(Document::new(object.to_vec()).padded(), data).is_ok() {
                if kept.len() > 1 {
                    kept.push(b',');
                }
                kept.extend_from_slice(object);
            } else {
                skipped += 1;
            }
            at = end;
        } else {
            has_ended |= *byte == b']';
            at += 1;
        }
    }
    kept.push(b']');
    (kept, if has_ended { Damage::Skipped(skipped) } else { Damage::Cut })
}

/// The index after the object that starts at `start`; `None` if it does not end.
fn object_end(text: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut is_string, mut at) = (0_usize, false, start);
    loop {
        match text.get(at)? {
            b'\\' if is_string => at += 1,
            b'"' => is_string = !is_string,
            b'{' | b'[' if !is_string => depth += 1,
            b'}' | b']' if !is_string => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::message::skip_data;

    fn read(text: &[u8]) -> Option<(String, usize, Damage)> {
        let mut body = text.to_vec();
        let readable = read_response(&mut body, skip_data)?;
        let text = String::from_utf8_lossy(readable.document.text()).into_owned();
        Some((text, readable.messages.events.len(), readable.damage))
    }

    #[test]
    fn a_byte_order_mark_and_invalid_bytes_do_not_matter() {
        let whole = r#"[{"channel":"/a","data":"é"}]"#;
        let marked = [BOM, whole.as_bytes()].concat();
        assert_eq!(read(&marked), Some((whole.to_owned(), 1, Damage::None)));
        let invalid = b"[{\"channel\":\"/a\",\"data\":\"\xff\xfe\xe4\xb8\"}]";
        let replaced = "[{\"channel\":\"/a\",\"data\":\"\u{fffd}\u{fffd}\u{fffd}\"}]";
        assert_eq!(read(invalid), Some((replaced.to_owned(), 1, Damage::None)));
    }

    #[test]
    fn a_message_that_is_not_json_does_not_hide_the_others() {
        let text =
            br#"[{"channel":"/a","data":1},{"channel":"/b","data":{"x":"\q]"}},{"channel":"/c","data":[3]}]"#;
        let kept = r#"[{"channel":"/a","data":1},{"channel":"/c","data":[3]}]"#;
        assert_eq!(read(text), Some((kept.to_owned(), 2, Damage::Skipped(1))));
    }

    #[test]
    fn what_is_whole_before_a_cut_is_kept() {
        let text = br#"[{"channel":"/a","data":1},{"channel":"/a","data":{"x":"y"}},{"channel":"/a","da"#;
        let kept = r#"[{"channel":"/a","data":1},{"channel":"/a","data":{"x":"y"}}]"#;
        assert_eq!(read(text), Some((kept.to_owned(), 2, Damage::Cut)));
        for nothing in [&b"<html>"[..], b"[{\"channel\":", b"{}}{", b"\xff"] {
            let mut body = nothing.to_vec();
            assert!(read_response(&mut body, skip_data).is_none(), "{nothing:?}");
            assert_eq!(body, nothing);
        }
    }
}
