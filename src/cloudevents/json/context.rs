//! What the parts of a scan share: its memory, the members seen so far, and the content of strings.

use crate::base::json::padded::Padded;
use crate::base::json::text::unescape;
use crate::cloudevents::attribute::Format;
use crate::cloudevents::layout::Layout;
use crate::cloudevents::rejection::Rejection;
use crate::cloudevents::table::{MemberSpan, Table};

pub(super) type Scan<T = ()> = Result<T, Rejection>;

/// The memory that a scan needs beside the text.
pub struct ScanContext<'a> {
    /// Space for a string without its escapes; as long as the text.
    pub scratch: &'a mut [u8],
    /// Receives the result.
    pub table: &'a mut Table,
    /// The layout of the last event.
    pub layout: &'a mut Layout,
}

/// The members that were scanned so far.
#[derive(Default)]
pub(super) struct SeenMembers {
    /// A set of all known members, also of those that are `null`.
    pub(super) names: u32,
    /// The rejection of an extension attribute that is an object or array, which only 0.3 allows.
    pub(super) object_extension: Option<Rejection>,
}

/// The content of a string from `start` to `end`, without its escapes. `None` if it has a lone surrogate.
#[inline(always)]
pub(super) fn content<'a>(
    text: Padded<'a>,
    start: usize,
    end: usize,
    has_escapes: bool,
    scratch: &'a mut [u8],
) -> Option<&'a [u8]> {
    let raw = text.get(start, end);
    if has_escapes { unescape(raw, scratch) } else { Some(raw) }
}

/// The content of a string member without its escapes.
#[inline(always)]
pub(super) fn content_of<'a>(span: &MemberSpan, text: Padded<'a>, scratch: &'a mut [u8]) -> Option<&'a [u8]> {
    content(text, span.start_byte as usize, span.end_byte as usize, span.has_escapes, scratch)
}

/// Whether a string member has the format of its attribute.
#[inline(always)]
pub(super) fn check_format(
    text: Padded<'_>,
    span: &MemberSpan,
    format: Format,
    scratch: &mut [u8],
) -> Result<(), ()> {
    if span.is_plain && format == Format::Text {
        return Ok(());
    }
    let content = content_of(span, text, scratch);
    if content.is_some_and(|content| format.matches(content)) { Ok(()) } else { Err(()) }
}
