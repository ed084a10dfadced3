//! The attributes of the events of a scanned batch, by the offsets that the scan has left.
//!
//! A row has the positions of the known members. The sink notes what it lacks: where the event starts in bytes, its
//! extension attributes, and members whose position does not fit into a row.

use std::borrow::Cow;

use super::attributes::{Attribute, Attributes, Test};
use super::value::{Value, parse_int};
use crate::base::error::Code;
use crate::base::json::padded::Padded;
use crate::base::json::text::unescape;
use crate::cloudevents::json::EventSink;
use crate::cloudevents::member::Member;
use crate::cloudevents::rejection::{Reason, Rejection, Target};
use crate::cloudevents::table::{
    Extension, ExtensionKind, NAME_ESCAPED, Row, Table, UNPACKED, VALUE_ESCAPED,
};

/// What a row does not have of its event.
#[derive(Clone, Copy, Debug)]
struct Note {
    /// The first byte.
    start: u32,
    /// The byte after the last one.
    end: u32,
    /// The index of the first of its extras.
    extras: u32,
    /// All of it is ASCII, so that positions in UTF-16 units are positions in bytes.
    is_ascii: bool,
}

/// An extension attribute, or a member whose position is not in the row.
#[derive(Clone, Copy, Debug)]
enum Extra {
    Extension(Extension),
    Member { member: Member, start: u32, end: u32 },
}

/// Notes on the events of the last scan.
#[derive(Debug, Default)]
pub struct Notes {
    notes: Vec<Note>,
    extras: Vec<Extra>,
}

impl Notes {
    /// Before a scan.
    pub const fn new() -> Self {
        Self { notes: Vec::new(), extras: Vec::new() }
    }

    /// Forgets the events of an earlier scan.
    pub fn clear(&mut self) {
        self.notes.clear();
        self.extras.clear();
    }

    /// The number of events.
    pub const fn len(&self) -> usize {
        self.notes.len()
    }

    /// Whether there are no events.
    pub const fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    fn extras_of(&self, index: usize) -> &[Extra] {
        let first = self.notes.get(index).map_or(0, |note| note.extras as usize);
        let end = self.notes.get(index + 1).map_or(self.extras.len(), |note| note.extras as usize);
        self.extras.get(first..end).unwrap_or_default()
    }

    #[inline(always)]
    fn push(&mut self, extra: Extra) -> Result<(), Rejection> {
        // The check is done by `try_reserve` as well, which is a call.
        if self.extras.len() == self.extras.capacity() {
            self.extras.try_reserve(1).map_err(|_| out_of_memory())?;
        }
        self.extras.push(extra);
        Ok(())
    }
}

impl EventSink for Notes {
    fn restart(&mut self) {
        self.clear();
    }

    #[inline(always)]
    fn event(&mut self, table: &Table, start: usize, end: usize, units: usize) -> Result<(), Rejection> {
        if self.notes.len() == self.notes.capacity() {
            self.notes.try_reserve(1).map_err(|_| out_of_memory())?;
        }
        self.notes.push(Note {
            start: start as u32,
            end: end as u32,
            extras: self.extras.len() as u32,
            is_ascii: units == end - start,
        });
        if table.row.extension_count > 0 || table.row.packed.contains(&UNPACKED) {
            return self.add_extras(table);
        }
        Ok(())
    }
}

impl Notes {
    fn add_extras(&mut self, table: &Table) -> Result<(), Rejection> {
        for member in Member::STRINGS {
            if table.row.packed.get(member as usize) == Some(&UNPACKED)
                && let Some(span) = table.span(member)
            {
                self.push(Extra::Member { member, start: span.start, end: span.end })?;
            }
        }
        for extension in table.extensions.iter().take(table.row.extension_count as usize) {
            self.push(Extra::Extension(*extension))?;
        }
        Ok(())
    }
}

/// The members that have a position in a row, as a set.
const STRING_BITS: u32 = {
    let [a, b, c, d, e, f, g, h] = Member::STRINGS;
    a.bit() | b.bit() | c.bit() | d.bit() | e.bit() | f.bit() | g.bit() | h.bit()
};

#[cold]
const fn out_of_memory() -> Rejection {
    Rejection { code: Code::TooLarge, reason: Reason::TooManyExtensions, target: Target::Document }
}

/// One event of the last scan.
#[derive(Clone, Copy, Debug)]
pub struct ScannedEvent<'a> {
    row: &'a Row,
    /// The event.
    text: &'a [u8],
    is_ascii: bool,
    notes: &'a Notes,
    index: usize,
}

impl<'a> ScannedEvent<'a> {
    /// The event at an index.
    #[inline(always)]
    pub fn new(text: Padded<'a>, rows: &'a [Row], notes: &'a Notes, index: usize) -> Option<Self> {
        let (row, note) = (rows.get(index)?, notes.notes.get(index)?);
        Some(Self {
            row,
            text: text.get(note.start as usize, note.end as usize),
            is_ascii: note.is_ascii,
            notes,
            index,
        })
    }

    fn extras(&self) -> &'a [Extra] {
        self.notes.extras_of(self.index)
    }

    /// The bytes from one unit to another.
    #[inline(never)]
    fn slice(&self, start: u32, end: u32) -> &'a [u8] {
        let (start, end) = (start as usize, end as usize);
        // Most events have only ASCII, at least up to their data.
        if self.is_ascii || self.text.get(..end).unwrap_or(self.text).is_ascii() {
            return self.text.get(start..end).unwrap_or_default();
        }
        let start_byte = byte_of(self.text, start);
        let rest = self.text.get(start_byte..).unwrap_or_default();
        rest.get(..byte_of(rest, end - start)).unwrap_or_default()
    }

    fn string(&self, start: u32, end: u32, has_escapes: bool) -> Option<Value<'a>> {
        let raw = self.slice(start, end);
        if has_escapes {
            let mut decoded = vec![0; raw.len()];
            let len = unescape(raw, &mut decoded)?.len();
            decoded.truncate(len);
            return String::from_utf8(decoded).ok().map(|text| Value::Str(Cow::Owned(text)));
        }
        core::str::from_utf8(raw).ok().map(|text| Value::Str(Cow::Borrowed(text)))
    }

    /// Whether the value of a known member has another length than this text. False if that is not known.
    #[inline(always)]
    pub(super) fn has_other_length(&self, attribute: &Attribute, text: &str) -> bool {
        self.is_ascii
            && attribute.member().is_some_and(|member| {
                self.packed(member).is_some_and(|packed| packed as usize & 0xfff != text.len())
            })
    }

    /// The position of a known member without escapes, if the row has it.
    #[inline(always)]
    fn packed(&self, member: Member) -> Option<u32> {
        if self.row.present & !self.row.escaped & STRING_BITS & member.bit() == 0 {
            return None;
        }
        self.row.packed.get(member as usize).copied().filter(|packed| *packed > UNPACKED)
    }

    /// The value of a known member, if it has its meaning in the version of the event.
    fn member(&self, member: Member) -> Option<Value<'a>> {
        if member == Member::Specversion {
            return Some(Value::Str(Cow::Borrowed(if self.row.version == 10 { "1.0" } else { "0.3" })));
        }
        if self.row.present & member.bit() == 0 {
            return None;
        }
        let has_escapes = self.row.escaped & member.bit() != 0;
        // The members after these have other positions there.
        match self.row.packed.get(..=Member::SchemaUrl as usize)?.get(member as usize).copied()? {
            0 => None,
            UNPACKED => self.extras().iter().find_map(|extra| match extra {
                Extra::Member { member: found, start, end } if *found == member => {
                    self.string(*start, *end, has_escapes)
                }
                _ => None,
            }),
            packed => self.string(packed >> 12, (packed >> 12) + (packed & 0xfff), has_escapes),
        }
    }

    fn extension(&self, name: &str) -> Option<Value<'a>> {
        let extension = self.extras().iter().find_map(|extra| match extra {
            Extra::Extension(extension) if self.is_named(extension, name) => Some(extension),
            _ => None,
        })?;
        let Extension { start, end, flags, .. } = *extension;
        if flags & 1 == ExtensionKind::String as u32 {
            return self.string(start, end, flags & VALUE_ESCAPED != 0);
        }
        match self.slice(start, end) {
            b"true" => Some(Value::Bool(true)),
            b"false" => Some(Value::Bool(false)),
            // CESQL has no type for an object, which only 0.3 allows.
            text => parse_int(text).map(Value::Int),
        }
    }

    fn is_named(&self, extension: &Extension, name: &str) -> bool {
        let raw = self.slice(extension.name_start, extension.name_end);
        if extension.flags & NAME_ESCAPED == 0 {
            return raw == name.as_bytes();
        }
        let mut decoded = vec![0; raw.len()];
        unescape(raw, &mut decoded) == Some(name.as_bytes())
    }
}

impl<'a> Attributes<'a> for ScannedEvent<'a> {
    fn get(&self, _: u16, attribute: &Attribute) -> Option<Value<'a>> {
        let known = attribute.member().and_then(|member| self.member(member));
        // `schemaurl` is an extension attribute in 1.0, and `dataschema` in 0.3.
        known.or_else(|| self.extension(attribute.name()))
    }

    #[inline(never)]
    fn has_text(&self, number: u16, attribute: &Attribute, test: Test, text: &str) -> Option<bool> {
        // Nearly all strings can be compared where they stand.
        if let Some(member) = attribute.member()
            && let Some(packed) = self.packed(member)
        {
            let value = self.slice(packed >> 12, (packed >> 12) + (packed & 0xfff));
            return Some(test.passes(value, text.as_bytes()));
        }
        let value = self.get(number, attribute)?.into_text();
        Some(test.passes(value.as_bytes(), text.as_bytes()))
    }
}

/// The byte at which a UTF-16 unit starts.
fn byte_of(text: &[u8], unit: usize) -> usize {
    let mut units = 0;
    for (at, byte) in text.iter().enumerate() {
        if units >= unit && !matches!(byte, 0x80..=0xbf) {
            return at;
        }
        units += match byte {
            0x80..=0xbf => 0,
            0xf0.. => 2,
            _ => 1,
        };
    }
    text.len()
}
