//! The JSON event format (CloudEvents JSON format 1.0.2), its batch format, and NDJSON.
//!
//! One pass: [`scan_event`] walks over the members, writes down where they stand, and then checks the
//! attributes against the version that the event claims. It builds nothing.

use super::attribute::{Form, is_base64, is_int32, is_json, is_name};
use super::event::{
    Culprit, Extension, ExtensionKind, Member, NAME_ESCAPED, Place, Reason, Refusal, Row, Table,
    VALUE_ESCAPED, form_of, pack,
};
use super::layout::Layout;
use crate::base::error::Code;
use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, ScanError, Scanner, Span};
use crate::base::json::text::unescape;

type Scan<T = ()> = Result<T, Refusal>;

const fn refusal(code: Code, reason: Reason, culprit: Culprit) -> Refusal {
    Refusal { code, reason, culprit }
}

const fn whole(reason: Reason) -> Refusal {
    refusal(Code::InvalidEvent, reason, Culprit::Whole)
}

const fn bad_value(member: Member, reason: Reason) -> Refusal {
    refusal(Code::InvalidAttributeValue, reason, Culprit::Member(member))
}

const fn bad_data(member: Member, reason: Reason) -> Refusal {
    refusal(Code::InvalidData, reason, Culprit::Member(member))
}

impl From<ScanError> for Refusal {
    #[cold]
    fn from(fault: ScanError) -> Self {
        whole(match fault {
            ScanError::Syntax => Reason::NotJson,
            ScanError::Encoding => Reason::NotUtf8,
            ScanError::TooDeep => Reason::TooDeep,
        })
    }
}

/// What a scan works with beside the text, and leaves its results in.
pub struct Desk<'a> {
    /// Holds a string without its escapes, so it must be as long as the text.
    pub scratch: &'a mut [u8],
    /// The last event.
    pub table: &'a mut Table,
    /// What the next one may look like.
    pub layout: &'a mut Layout,
}

/// Scans text that is one event and nothing else.
pub fn scan_document<B: Block>(text: Padded<'_>, desk: &mut Desk<'_>) -> u32 {
    let mut scanner = Scanner::<B>::new(text);
    scanner.skip_space();
    let result = scan_event(&mut scanner, desk);
    let table = &mut *desk.table;
    match result {
        Ok(()) if scanner.is_finished() => 0,
        Ok(()) => table.refuse(whole(Reason::Trailing), scanner.units()),
        Err(refusal) => table.refuse(refusal, scanner.units()),
    }
}

/// How the events of a sequence are parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// The JSON batch format: an array.
    Batch,
    /// One event a line (NDJSON). Empty lines are skipped.
    Lines,
}

/// Scans a sequence of events and writes a row for each, with its extent in UTF-16 units or in bytes; all other
/// places in it count from the start of the event. `rows` has room for as many events as can stand in the text,
/// see [`max_rows`].
pub fn scan_sequence<B: Block>(
    text: Padded<'_>,
    sequence: Sequence,
    in_bytes: bool,
    rows: &mut [Row],
    desk: &mut Desk<'_>,
) -> u32 {
    let mut scanner = Scanner::<B>::new(text);
    desk.table.index = 0;
    let mut passed = 0;
    match scan_rows(&mut scanner, sequence, in_bytes, rows, desk, &mut passed) {
        Ok(()) => 0,
        Err(mut refusal) => {
            if let Culprit::Name { start, end, .. } = &mut refusal.culprit {
                *start += passed as u32;
                *end += passed as u32;
            }
            desk.table.refuse(refusal, passed + scanner.units())
        }
    }
}

/// How many events a text of that length can have: the shortest, one of 0.3 with an empty source, has 53 bytes, and
/// something must stand between two.
pub const fn max_rows(len: usize) -> usize {
    len / 54 + 1
}

fn scan_rows<B: Block>(
    scanner: &mut Scanner<'_, B>,
    sequence: Sequence,
    in_bytes: bool,
    rows: &mut [Row],
    desk: &mut Desk<'_>,
    passed: &mut usize,
) -> Scan {
    const fn bad_batch(reason: Reason) -> Refusal {
        refusal(Code::InvalidBatch, reason, Culprit::Whole)
    }
    scanner.skip_space();
    if sequence == Sequence::Batch {
        scanner.expect(b'[').map_err(|_| bad_batch(Reason::NotArray))?;
        scanner.skip_space();
        if scanner.eat(b']') {
            return if scanner.is_finished() { Ok(()) } else { Err(bad_batch(Reason::Trailing)) };
        }
    } else if scanner.pos() == scanner.text().len() {
        return Ok(());
    }
    let mut version = None;
    for row in rows {
        if scanner.peek() != b'{' {
            return Err(bad_batch(Reason::NotObject));
        }
        *passed += scanner.restart_units();
        let start = if in_bytes { scanner.pos() } else { *passed };
        scan_event(scanner, desk).map_err(|refusal| match refusal {
            // A text that is no JSON is no batch; a bad event in a good batch keeps its own code.
            Refusal { code: Code::InvalidEvent, reason, culprit: Culprit::Whole } => bad_batch(reason),
            refusal => refusal,
        })?;
        let end = if in_bytes { scanner.pos() } else { *passed + scanner.units() };
        *row = desk.table.row;
        row.set_extent(start as u32, end as u32);
        let found = desk.table.row.version;
        if sequence == Sequence::Batch && *version.get_or_insert(found) != found {
            return Err(bad_batch(Reason::MixedVersions));
        }
        desk.table.index += 1;
        match sequence {
            Sequence::Batch => {
                scanner.skip_space();
                if scanner.eat(b']') {
                    return if scanner.is_finished() { Ok(()) } else { Err(bad_batch(Reason::Trailing)) };
                }
                scanner.expect(b',').map_err(|_| bad_batch(Reason::NotJson))?;
                scanner.skip_space();
            }
            Sequence::Lines => {
                while matches!(scanner.peek(), b' ' | b'\t' | b'\r') {
                    scanner.eat(scanner.peek());
                }
                if scanner.pos() == scanner.text().len() {
                    return Ok(());
                }
                scanner.expect(b'\n').map_err(|_| bad_batch(Reason::Trailing))?;
                if scanner.is_finished() {
                    return Ok(());
                }
            }
        }
    }
    Err(bad_batch(Reason::NotJson))
}

/// Whether the text is exactly one JSON value, with nothing but white space around it.
pub fn is_json_text<B: Block>(text: Padded<'_>) -> bool {
    let mut scanner = Scanner::<B>::new(text);
    scanner.skip_space();
    scanner.value().is_ok() && scanner.is_finished()
}

/// What is remembered from member to member.
#[derive(Default)]
struct Seen {
    /// Every known member that was named, `null` or not.
    named: u32,
    /// An extension whose value is an object or array, which only 0.3 allows.
    map: Option<Refusal>,
}

/// The name of an extension attribute.
struct Name<'s> {
    span: &'s Span,
    fits: bool,
    checksum: u32,
}

/// Scans the event that starts here.
pub fn scan_event<B: Block>(scanner: &mut Scanner<'_, B>, desk: &mut Desk<'_>) -> Scan {
    let Desk { scratch, table, layout } = desk;
    if layout.guess(scanner, table) {
        return Ok(());
    }
    let (start, start_unit) = (scanner.pos(), scanner.units());
    scan_members(scanner, scratch, table)?;
    let json = has_json(scanner.text(), scratch, table);
    layout.learn(scanner, start, start_unit, json, table);
    Ok(())
}

#[inline(never)]
fn scan_members<B: Block>(scanner: &mut Scanner<'_, B>, scratch: &mut [u8], table: &mut Table) -> Scan {
    let mut seen = Seen::default();
    table.row = Row::EMPTY;
    scanner.expect(b'{').map_err(|_| whole(Reason::NotObject))?;
    scanner.skip_space();
    if !scanner.eat(b'}') {
        loop {
            scan_member(scanner, &mut seen, scratch, table)?;
            scanner.skip_space();
            if scanner.eat(b'}') {
                break;
            }
            scanner.expect(b',')?;
            scanner.skip_space();
        }
    }
    check_event(scanner.text(), &seen, scratch, table)
}

#[inline(always)]
fn scan_member<B: Block>(
    scanner: &mut Scanner<'_, B>,
    seen: &mut Seen,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    let name = scanner.string()?;
    let content = characters(scanner.text(), name.start, name.end, name.has_escapes, scratch);
    let Some(member) = content.and_then(Member::from_name) else {
        let name = Name {
            span: &name,
            fits: content.is_some_and(is_name),
            checksum: content
                .unwrap_or_default()
                .iter()
                .fold(0x811c_9dc5, |sum, b| (sum ^ *b as u32).wrapping_mul(0x0100_0193)),
        };
        scanner.colon()?;
        return scan_extension(scanner, &name, seen, scratch, table);
    };
    scanner.colon()?;
    let (kind, value) = scanner.value()?;
    if seen.named & member.bit() != 0 {
        return Err(refusal(Code::InvalidEvent, Reason::Twice, Culprit::Member(member)));
    }
    seen.named |= member.bit();
    if kind != Kind::Null || member == Member::Data {
        table.row.present |= member.bit();
        if let Some(place) = table.places.get_mut(member as usize) {
            *place = Place::new(&name, kind, &value);
        }
    }
    Ok(())
}

/// The bytes that a string stands for. `None` for half a surrogate pair.
#[inline(always)]
fn characters<'a>(
    text: Padded<'a>,
    start: usize,
    end: usize,
    escaped: bool,
    scratch: &'a mut [u8],
) -> Option<&'a [u8]> {
    let raw = text.get(start, end);
    if escaped { unescape(raw, scratch) } else { Some(raw) }
}

#[cold]
const fn named(code: Code, reason: Reason, name: &Span) -> Refusal {
    let culprit =
        Culprit::Name { start: name.start_unit as u32, end: name.end_unit as u32, escaped: name.has_escapes };
    refusal(code, reason, culprit)
}

#[inline(never)]
fn scan_extension<B: Block>(
    scanner: &mut Scanner<'_, B>,
    name: &Name<'_>,
    seen: &mut Seen,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    let (kind, value) = scanner.value()?;
    if !name.fits {
        return Err(named(Code::InvalidAttributeName, Reason::BadName, name.span));
    }
    let place = Place::new(name.span, kind, &value);
    add_extension(scanner.text(), &place, name.checksum, seen, scratch, table)
}

fn add_extension(
    text: Padded<'_>,
    place: &Place,
    checksum: u32,
    seen: &mut Seen,
    scratch: &mut [u8],
    table: &mut Table,
) -> Scan {
    let culprit = Culprit::Name { start: place.name_start, end: place.name_end, escaped: place.name_escaped };
    let bad = |reason| refusal(Code::InvalidAttributeValue, reason, culprit);
    let mut flags = ExtensionKind::Json as u32;
    match place.kind {
        Kind::Null => return Ok(()),
        Kind::String => {
            check_form(text, place, Form::Text, scratch).map_err(|()| bad(Reason::ForbiddenCharacter))?;
            flags = ExtensionKind::String as u32 | if place.escaped { VALUE_ESCAPED } else { 0 };
        }
        Kind::Number if !(place.plain && is_int32(place.raw(text))) => return Err(bad(Reason::NotInteger)),
        Kind::Object | Kind::Array => drop(seen.map.get_or_insert_with(|| bad(Reason::WrongKind))),
        _ => {}
    }
    if place.name_escaped {
        flags |= NAME_ESCAPED;
    }
    let (known, free) =
        table.extensions.split_at_mut_checked(table.row.extension_count as usize).unwrap_or_default();
    let len = place.name_end - place.name_start;
    // Names are at most as different as their checksum says, so a collision costs a refusal and never a value.
    let is_twice = |other: &Extension| {
        other.checksum == checksum
            && (place.name_escaped
                || other.flags & NAME_ESCAPED != 0
                || other.name_end - other.name_start == len)
    };
    if known.iter().any(is_twice) {
        return Err(refusal(Code::InvalidEvent, Reason::Twice, culprit));
    }
    let Some(slot) = free.first_mut() else {
        return Err(refusal(Code::TooLarge, Reason::TooMany, Culprit::Whole));
    };
    *slot = Extension {
        name_start: place.name_start,
        name_end: place.name_end,
        start: place.start,
        end: place.end,
        flags,
        checksum,
    };
    table.row.extension_count += 1;
    // Members that turn out to be extensions come late; they go to where the text has them.
    let known = table.extensions.get_mut(..table.row.extension_count as usize).unwrap_or_default();
    let mut at = known.len().saturating_sub(1);
    while let Some([before, late]) = at.checked_sub(1).and_then(|first| known.get_mut(first..=at)) {
        if before.name_start <= late.name_start {
            break;
        }
        core::mem::swap(before, late);
        at -= 1;
    }
    Ok(())
}

/// Whether a string member has the form that its attribute demands.
#[inline(always)]
fn check_form(text: Padded<'_>, place: &Place, form: Form, scratch: &mut [u8]) -> Result<(), ()> {
    if place.plain && form == Form::Text {
        return Ok(());
    }
    let characters =
        characters(text, place.start_byte as usize, place.end_byte as usize, place.escaped, scratch);
    if characters.is_some_and(|text| form.fits(text)) { Ok(()) } else { Err(()) }
}

/// The rules that need the whole event: core specification, "Context Attributes", and JSON format section 3.
fn check_event(text: Padded<'_>, seen: &Seen, scratch: &mut [u8], table: &mut Table) -> Scan {
    table.row.version = read_version(text, scratch, table)?;
    let is_v1 = table.row.version == 10;
    for member in [Member::Id, Member::Source, Member::Type] {
        if !table.has(member) {
            return Err(refusal(Code::MissingAttribute, Reason::Missing, Culprit::Member(member)));
        }
    }
    let mut seen = Seen { named: seen.named, map: seen.map };
    let foreign: &[Member] =
        if is_v1 { &[Member::SchemaUrl, Member::DataContentEncoding] } else { &[Member::DataSchema] };
    for member in foreign {
        if let Some(place) = table.place(*member) {
            table.forget(*member);
            // A known name appears once, so its checksum only has to differ from those of other names.
            add_extension(text, &place, *member as u32, &mut seen, scratch, table)?;
        }
    }
    if let (true, Some(refusal)) = (is_v1, seen.map) {
        return Err(refusal);
    }
    if !is_v1 {
        // No member of 0.3, and no name that an extension could have: not ours to read.
        table.forget(Member::DataBase64);
    }
    for member in [
        Member::Id,
        Member::Source,
        Member::Type,
        Member::Time,
        Member::Subject,
        Member::DataContentType,
        Member::DataSchema,
        Member::SchemaUrl,
    ] {
        let form = form_of(member as u8);
        let Some(place) = table.place(member) else { continue };
        if place.kind != Kind::String {
            return Err(bad_value(member, Reason::WrongKind));
        }
        if place.start == place.end && (is_v1 || form != Form::UriReference) {
            return Err(bad_value(member, Reason::Empty));
        }
        check_form(text, &place, form, scratch).map_err(|()| bad_value(member, complaint(form)))?;
        if let Some(packed) = table.row.packed.get_mut(member as usize) {
            *packed = pack(place.start, place.end);
        }
        if place.escaped {
            table.row.escaped |= member.bit();
        }
    }
    check_data(text, is_v1, scratch, table)
}

const fn complaint(form: Form) -> Reason {
    match form {
        Form::Text => Reason::ForbiddenCharacter,
        Form::UriReference => Reason::NotUriReference,
        Form::Uri => Reason::NotUri,
        Form::Timestamp => Reason::NotTimestamp,
        Form::MediaType => Reason::NotMediaType,
    }
}

fn read_version(text: Padded<'_>, scratch: &mut [u8], table: &Table) -> Scan<u32> {
    let fault = |code, reason| refusal(code, reason, Culprit::Member(Member::Specversion));
    let Some(place) = table.place(Member::Specversion) else {
        return Err(fault(Code::MissingAttribute, Reason::Missing));
    };
    if place.kind != Kind::String {
        return Err(fault(Code::UnsupportedSpecversion, Reason::WrongKind));
    }
    match characters(text, place.start_byte as usize, place.end_byte as usize, place.escaped, scratch) {
        Some(b"1.0") => Ok(10),
        Some(b"0.3") => Ok(3),
        _ => Err(fault(Code::UnsupportedSpecversion, Reason::UnknownVersion)),
    }
}

/// `data` and `data_base64`: JSON format section 3.1, and 3.1.1 of 0.3 for `datacontentencoding`.
fn check_data(text: Padded<'_>, is_v1: bool, scratch: &mut [u8], table: &mut Table) -> Scan {
    let mut base64 = table.place(Member::DataBase64).map(|place| (Member::DataBase64, place));
    let mut data = table.place(Member::Data);
    if is_v1 && base64.is_some() && data.is_some() {
        return Err(bad_data(Member::Data, Reason::TwoPayloads));
    }
    if let (false, Some(place)) = (is_v1, table.place(Member::DataContentEncoding)) {
        if place.kind != Kind::String {
            return Err(bad_value(Member::DataContentEncoding, Reason::WrongKind));
        }
        let encoding =
            characters(text, place.start_byte as usize, place.end_byte as usize, place.escaped, scratch);
        if !encoding.is_some_and(|text| text.eq_ignore_ascii_case(b"base64")) {
            return Err(bad_value(Member::DataContentEncoding, Reason::UnknownEncoding));
        }
        base64 = data.take().map(|place| (Member::Data, place));
    }
    if let Some((member, place)) = base64 {
        if place.kind != Kind::String {
            return Err(bad_data(member, Reason::WrongKind));
        }
        let text =
            characters(text, place.start_byte as usize, place.end_byte as usize, place.escaped, scratch);
        if !text.is_some_and(is_base64) {
            return Err(bad_data(member, Reason::NotBase64));
        }
        if place.escaped {
            table.row.escaped |= member.bit();
        }
        table.row.set_payload(place.start, place.end);
    } else if let Some(place) = data {
        match place.kind {
            // The payload is its JSON text, quotes included.
            Kind::String => table.row.set_payload(place.start - 1, place.end + 1),
            _ if has_json(text, scratch, table) => table.row.set_payload(place.start, place.end),
            Kind::Null => table.forget(Member::Data),
            _ => return Err(bad_data(Member::Data, Reason::NotString)),
        }
    }
    Ok(())
}

/// Whether `data` is a JSON value: the media type says so, or there is none (JSON format section 3.1).
fn has_json(text: Padded<'_>, scratch: &mut [u8], table: &Table) -> bool {
    let Some(place) = table.place(Member::DataContentType) else { return true };
    characters(text, place.start_byte as usize, place.end_byte as usize, place.escaped, scratch)
        .is_some_and(is_json)
}
