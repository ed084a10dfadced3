//! Extension attributes.

use super::context::{Scan, SeenMembers, check_format};
use crate::base::error::Code;
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, Scanner, Span};
use crate::cloudevents::attribute::{Format, is_int32, is_name};
use crate::cloudevents::rejection::{Reason, Rejection, Target};
use crate::cloudevents::table::{Extension, ExtensionKind, MemberSpan, NAME_ESCAPED, Table, VALUE_ESCAPED};

/// The name of an extension attribute.
pub(super) struct ExtensionName<'s> {
    span: &'s Span,
    is_valid: bool,
    checksum: u32,
}

impl<'s> ExtensionName<'s> {
    /// `content` is the name without its escapes, `None` if it has a lone surrogate.
    #[inline(always)]
    pub(super) fn new(span: &'s Span, content: Option<&[u8]>) -> Self {
        Self {
            span,
            is_valid: content.is_some_and(is_name),
            checksum: content
                .unwrap_or_default()
                .iter()
                .fold(0x811c_9dc5, |sum, b| (sum ^ *b as u32).wrapping_mul(0x0100_0193)),
        }
    }
}

#[cold]
const fn invalid_name(name: &Span) -> Rejection {
    let target = Target::Name {
        start: name.start_unit as u32,
        end: name.end_unit as u32,
        has_escapes: name.has_escapes,
    };
    Rejection::new(Code::InvalidAttributeName, Reason::BadName, target)
}

#[inline(never)]
pub(super) fn scan_extension<B: Block>(
    scanner: &mut Scanner<'_, B>,
    name: &ExtensionName<'_>,
    seen: &mut SeenMembers,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    let (kind, value) = scanner.value()?;
    if !name.is_valid {
        return Err(invalid_name(name.span));
    }
    let span = MemberSpan::new(name.span, kind, &value);
    add_extension(scanner.text(), &span, name.checksum, seen, scratch, table)
}

/// Adds an extension attribute to the table. `null` means that the attribute is absent.
pub(super) fn add_extension(
    text: Padded<'_>,
    span: &MemberSpan,
    checksum: u32,
    seen: &mut SeenMembers,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    let target =
        Target::Name { start: span.name_start, end: span.name_end, has_escapes: span.name_has_escapes };
    let invalid_value = |reason| Rejection::new(Code::InvalidAttributeValue, reason, target);
    let mut flags = ExtensionKind::Json as u32;
    match span.kind {
        Kind::Null => return Ok(()),
        Kind::String => {
            check_format(text, span, Format::Text, scratch)
                .map_err(|()| invalid_value(Reason::ForbiddenCharacter))?;
            flags = ExtensionKind::String as u32 | if span.has_escapes { VALUE_ESCAPED } else { 0 };
        }
        Kind::Number if !(span.is_plain && is_int32(span.raw(text))) => {
            return Err(invalid_value(Reason::NotInteger));
        }
        Kind::Object | Kind::Array => {
            seen.object_extension.get_or_insert_with(|| invalid_value(Reason::WrongKind));
        }
        _ => {}
    }
    if span.name_has_escapes {
        flags |= NAME_ESCAPED;
    }
    let (known, free) =
        table.extensions.split_at_mut_checked(table.row.extension_count as usize).unwrap_or_default();
    let len = span.name_end - span.name_start;
    // Equal names have equal checksums. A collision rejects a valid event, but never hides a duplicate.
    let is_duplicate = |other: &Extension| {
        other.checksum == checksum
            && (span.name_has_escapes
                || other.flags & NAME_ESCAPED != 0
                || other.name_end - other.name_start == len)
    };
    if known.iter().any(is_duplicate) {
        return Err(Rejection::new(Code::InvalidEvent, Reason::Duplicate, target));
    }
    let Some(slot) = free.first_mut() else {
        return Err(Rejection::new(Code::TooLarge, Reason::TooManyExtensions, Target::Document));
    };
    *slot = Extension {
        name_start: span.name_start,
        name_end: span.name_end,
        start: span.start,
        end: span.end,
        flags,
        checksum,
    };
    table.row.extension_count += 1;
    // Members that turn out to be extension attributes are added last; they move to their place in the text.
    let known = table.extensions.get_mut(..table.row.extension_count as usize).unwrap_or_default();
    let mut at = known.len().saturating_sub(1);
    while let Some([before, added]) = at.checked_sub(1).and_then(|first| known.get_mut(first..=at)) {
        if before.name_start <= added.name_start {
            break;
        }
        core::mem::swap(before, added);
        at -= 1;
    }
    Ok(())
}
