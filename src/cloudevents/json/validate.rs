//! The rules that need the whole event: which attributes an event of its version must and may have.

use super::context::{Scan, SeenMembers, check_format, content_of};
use super::extension::add_extension;
use crate::base::error::Code;
use crate::base::json::padded::Padded;
use crate::base::json::scan::Kind;
use crate::cloudevents::attribute::{Format, is_base64, is_json};
use crate::cloudevents::member::{Member, format_of};
use crate::cloudevents::rejection::{Reason, Rejection, Target};
use crate::cloudevents::table::{Table, pack};

/// The rules that need the whole event: core specification, "Context Attributes", and JSON format section 3.
pub(super) fn check_event(
    text: Padded<'_>,
    seen: &SeenMembers,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    table.row.version = read_version(text, scratch, table)?;
    let is_v1 = table.row.version == 10;
    for member in [Member::Id, Member::Source, Member::Type] {
        if !table.has(member) {
            return Err(Rejection::new(Code::MissingAttribute, Reason::Missing, Target::Member(member)));
        }
    }
    let mut seen = SeenMembers { names: seen.names, object_extension: seen.object_extension };
    let other_version: &[Member] =
        if is_v1 { &[Member::SchemaUrl, Member::DataContentEncoding] } else { &[Member::DataSchema] };
    for member in other_version {
        if let Some(span) = table.span(*member) {
            table.remove(*member);
            // A known name appears only once, so its checksum need only differ from those of other names.
            add_extension(text, &span, *member as u32, &mut seen, scratch, table)?;
        }
    }
    if let (true, Some(rejection)) = (is_v1, seen.object_extension) {
        return Err(rejection);
    }
    if !is_v1 {
        // 0.3 has no such member, and no extension attribute can have this name, so it is ignored.
        table.remove(Member::DataBase64);
    }
    for member in Member::STRINGS {
        let format = format_of(member as u8);
        let Some(span) = table.span(member) else { continue };
        if span.kind != Kind::String {
            return Err(Rejection::invalid_value(member, Reason::WrongKind));
        }
        if span.start == span.end && (is_v1 || format != Format::UriReference) {
            return Err(Rejection::invalid_value(member, Reason::Empty));
        }
        check_format(text, &span, format, scratch)
            .map_err(|()| Rejection::invalid_value(member, mismatch_reason(format)))?;
        if let Some(packed) = table.row.packed.get_mut(member as usize) {
            *packed = pack(span.start, span.end);
        }
        if span.has_escapes {
            table.row.escaped |= member.bit();
        }
    }
    check_data(text, is_v1, scratch, table)
}

/// The reason for a value that does not match its format.
const fn mismatch_reason(format: Format) -> Reason {
    match format {
        Format::Text => Reason::ForbiddenCharacter,
        Format::UriReference => Reason::NotUriReference,
        Format::Uri => Reason::NotUri,
        Format::Timestamp => Reason::NotTimestamp,
        Format::MediaType => Reason::NotMediaType,
    }
}

fn read_version(text: Padded<'_>, scratch: &mut [u8], table: &Table) -> Scan<u32> {
    let invalid_version = |code, reason| Rejection::new(code, reason, Target::Member(Member::Specversion));
    let Some(span) = table.span(Member::Specversion) else {
        return Err(invalid_version(Code::MissingAttribute, Reason::Missing));
    };
    if span.kind != Kind::String {
        return Err(invalid_version(Code::UnsupportedSpecversion, Reason::WrongKind));
    }
    match content_of(&span, text, scratch) {
        Some(b"1.0") => Ok(10),
        Some(b"0.3") => Ok(3),
        _ => Err(invalid_version(Code::UnsupportedSpecversion, Reason::UnknownVersion)),
    }
}

/// `data` and `data_base64`: JSON format section 3.1, and 3.1.1 of 0.3 for `datacontentencoding`.
fn check_data(text: Padded<'_>, is_v1: bool, scratch: &mut [u8], table: &mut Table) -> Scan {
    let mut base64 = table.span(Member::DataBase64).map(|span| (Member::DataBase64, span));
    let mut data = table.span(Member::Data);
    if is_v1 && base64.is_some() && data.is_some() {
        return Err(Rejection::invalid_data(Member::Data, Reason::TwoPayloads));
    }
    if let (false, Some(span)) = (is_v1, table.span(Member::DataContentEncoding)) {
        if span.kind != Kind::String {
            return Err(Rejection::invalid_value(Member::DataContentEncoding, Reason::WrongKind));
        }
        let encoding = content_of(&span, text, scratch);
        if !encoding.is_some_and(|text| text.eq_ignore_ascii_case(b"base64")) {
            return Err(Rejection::invalid_value(Member::DataContentEncoding, Reason::UnknownEncoding));
        }
        base64 = data.take().map(|span| (Member::Data, span));
    }
    if let Some((member, span)) = base64 {
        if span.kind != Kind::String {
            return Err(Rejection::invalid_data(member, Reason::WrongKind));
        }
        if !content_of(&span, text, scratch).is_some_and(is_base64) {
            return Err(Rejection::invalid_data(member, Reason::NotBase64));
        }
        if span.has_escapes {
            table.row.escaped |= member.bit();
        }
        table.row.set_payload(span.start, span.end);
    } else if let Some(span) = data {
        match span.kind {
            // The payload is its JSON text, with the quotes.
            Kind::String => table.row.set_payload(span.start - 1, span.end + 1),
            _ if has_json_data(text, scratch, table) => table.row.set_payload(span.start, span.end),
            Kind::Null => table.remove(Member::Data),
            _ => return Err(Rejection::invalid_data(Member::Data, Reason::NotString)),
        }
    }
    Ok(())
}

/// Whether `data` is a JSON value: the media type says so, or there is none (JSON format section 3.1).
pub(super) fn has_json_data(text: Padded<'_>, scratch: &mut [u8], table: &Table) -> bool {
    let Some(span) = table.span(Member::DataContentType) else { return true };
    content_of(&span, text, scratch).is_some_and(is_json)
}
