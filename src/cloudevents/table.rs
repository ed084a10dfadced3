//! The table that a scan fills: which members an event has and where they are in the text.
//!
//! It is in linear memory, and JavaScript reads it as 32-bit words, so its layout is part of the contract with
//! `js/systems/cloudevents/table.ts`. Positions are in UTF-16 code units, so that JavaScript can cut them out of the
//! string that it has.

use super::member::{MEMBER_COUNT, Member};
use super::rejection::{Rejection, Target};
use crate::base::json::padded::{Padded, zero};
use crate::base::json::scan::{Kind, Span};

/// The most extension attributes that an event may have. The specification has no limit; a receiver needs one.
pub const MAX_EXTENSIONS: usize = 128;

/// The kind of an extension attribute's value, for JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExtensionKind {
    /// A string; the span is without the quotes.
    String = 0,
    /// Any other value; the span is that of its JSON text.
    Json = 1,
}

/// Where name and value of a member are, without the quotes of strings. Ends are exclusive. Units are UTF-16 code units.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct MemberSpan {
    /// The first unit of the value.
    pub start: u32,
    /// The end of the value in units.
    pub end: u32,
    /// The first byte of the value.
    pub start_byte: u32,
    /// The end of the value in bytes.
    pub end_byte: u32,
    /// The first unit of the name.
    pub name_start: u32,
    /// The end of the name in units.
    pub name_end: u32,
    /// The kind of the value.
    pub kind: Kind,
    /// The value is printable ASCII without escapes, or an integer.
    pub is_plain: bool,
    /// The value has escapes.
    pub has_escapes: bool,
    /// The name has escapes.
    pub name_has_escapes: bool,
}

impl MemberSpan {
    const EMPTY: Self = Self {
        start: 0,
        end: 0,
        start_byte: 0,
        end_byte: 0,
        name_start: 0,
        name_end: 0,
        kind: Kind::Null,
        is_plain: false,
        has_escapes: false,
        name_has_escapes: false,
    };

    /// The span of a member that was just scanned.
    #[inline(always)]
    pub const fn new(name: &Span, kind: Kind, value: &Span) -> Self {
        Self {
            start: value.start_unit as u32,
            end: value.end_unit as u32,
            start_byte: value.start as u32,
            end_byte: value.end as u32,
            name_start: name.start_unit as u32,
            name_end: name.end_unit as u32,
            kind,
            is_plain: value.is_plain,
            has_escapes: value.has_escapes,
            name_has_escapes: name.has_escapes,
        }
    }

    /// The text of the value, with its escapes.
    #[inline(always)]
    pub fn raw<'a>(&self, text: Padded<'a>) -> &'a [u8] {
        text.get(self.start_byte as usize, self.end_byte as usize)
    }
}

/// One extension attribute. Positions are in UTF-16 units.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Extension {
    /// The start of the name.
    pub name_start: u32,
    /// The end of the name.
    pub name_end: u32,
    /// The start of the value.
    pub start: u32,
    /// The end of the value.
    pub end: u32,
    /// [`ExtensionKind`], [`VALUE_ESCAPED`] and [`NAME_ESCAPED`].
    pub flags: u32,
    /// A checksum of the name, to find duplicates.
    pub checksum: u32,
}

/// The flag of an extension whose value has escapes.
pub const VALUE_ESCAPED: u32 = 2;
/// The flag of an extension whose name has escapes.
pub const NAME_ESCAPED: u32 = 4;

/// The short form of an event, without its extension attributes. A batch has one for each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Row {
    /// Start and length of each string member in one small number, `start << 12 | length`. 0 if the member is absent,
    /// [`UNPACKED`] if it does not fit; then [`Table::spans`] has it.
    ///
    /// Four members are not strings to cut out, so their numbers have another use: `data` and `data_base64` are start
    /// and end of the payload, `specversion` and `datacontentencoding` are start and end of the event in its batch.
    pub packed: [u32; MEMBER_COUNT],
    /// The members that are present.
    pub present: u32,
    /// The members whose text has escapes.
    pub escaped: u32,
    /// 10 for 1.0, 3 for 0.3.
    pub version: u32,
    /// How many of [`Table::extensions`] are in use.
    pub extension_count: u32,
}

impl Row {
    /// No members.
    pub const EMPTY: Self =
        Self { packed: [0; MEMBER_COUNT], present: 0, escaped: 0, version: 0, extension_count: 0 };

    /// Removes all members. Not by assigning [`Self::EMPTY`], which would be `memory.fill`, see [`zero`].
    #[inline(always)]
    pub fn clear(&mut self) {
        self.packed = [zero() as u32; MEMBER_COUNT];
        (self.present, self.escaped, self.version, self.extension_count) = (0, 0, 0, 0);
    }

    /// Takes the numbers of another row, one by one: an assignment would be `memory.copy`, which is a call out of wasm too.
    #[inline(always)]
    pub const fn copy_from(&mut self, other: &Self) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = other.packed;
        self.packed = [a, b, c, d, e, f, g, h, i, j, k, l];
        self.present = other.present;
        self.escaped = other.escaped;
        self.version = other.version;
        self.extension_count = other.extension_count;
    }

    /// Sets start and end of the payload.
    #[inline(always)]
    pub fn set_payload(&mut self, start: u32, end: u32) {
        self.set(Member::Data, start);
        self.set(Member::DataBase64, end);
    }

    /// Start and end of the payload.
    pub fn payload(&self) -> (u32, u32) {
        (self.number(Member::Data), self.number(Member::DataBase64))
    }

    /// Sets start and end of the event in its batch.
    #[inline(always)]
    pub fn set_extent(&mut self, start: u32, end: u32) {
        self.set(Member::Specversion, start);
        self.set(Member::DataContentEncoding, end);
    }

    /// Start and end of the event in its batch.
    pub fn extent(&self) -> (u32, u32) {
        (self.number(Member::Specversion), self.number(Member::DataContentEncoding))
    }

    fn number(&self, member: Member) -> u32 {
        self.packed.get(member as usize).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn set(&mut self, member: Member, number: u32) {
        if let Some(slot) = self.packed.get_mut(member as usize) {
            *slot = number;
        }
    }
}

/// The result of a scan.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Table {
    /// The event.
    pub row: Row,
    /// After a rejection: the [`Reason`](super::rejection::Reason).
    pub reason: u32,
    /// After a rejection: the [`Member`], or 255 for a name in the text, or 254 for the document.
    pub target: u32,
    /// After a rejection: the position; for a name its start.
    pub at: u32,
    /// After a rejection of a name: its end, plus 2^31 if it has escapes.
    pub name_end: u32,
    /// The index of the current event in its batch; after the last one, the number of events.
    pub index: u32,
    /// The spans of the members that are in [`Row::present`].
    pub spans: [MemberSpan; MEMBER_COUNT],
    /// The extension attributes, in the order of the text.
    pub extensions: [Extension; MAX_EXTENSIONS],
}

/// In [`Row::packed`]: the start is too large or the text too long to be packed.
pub const UNPACKED: u32 = 1;

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            row: Row::EMPTY,
            reason: 0,
            target: 0,
            at: 0,
            name_end: 0,
            index: 0,
            spans: [MemberSpan::EMPTY; MEMBER_COUNT],
            extensions: [Extension { name_start: 0, name_end: 0, start: 0, end: 0, flags: 0, checksum: 0 };
                MAX_EXTENSIONS],
        }
    }

    /// Records a rejection and returns the number of its code at the wasm boundary.
    #[cold]
    pub const fn reject(&mut self, rejection: Rejection, at: usize) -> u32 {
        self.reason = rejection.reason as u32;
        self.at = at as u32;
        match rejection.target {
            Target::Document => self.target = 254,
            Target::Member(member) => self.target = member as u32,
            Target::Name { start, end, has_escapes } => {
                self.target = 255;
                self.at = start;
                self.name_end = end | (has_escapes as u32) << 31;
            }
        }
        rejection.code as u32 + 1
    }

    /// Whether a member is present.
    pub const fn has(&self, member: Member) -> bool {
        self.row.present & member.bit() != 0
    }

    /// The span of a member, if it is present.
    pub fn span(&self, member: Member) -> Option<MemberSpan> {
        if self.has(member) { self.spans.get(member as usize).copied() } else { None }
    }

    /// Removes a member.
    pub const fn remove(&mut self, member: Member) {
        self.row.present &= !member.bit();
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// `start << 12 | length`, within 30 bits, because that is a small integer in every JavaScript engine.
#[inline(always)]
pub const fn pack(start: u32, end: u32) -> u32 {
    let len = end - start;
    if start < 1 << 18 && len < 1 << 12 { start << 12 | len } else { UNPACKED }
}
