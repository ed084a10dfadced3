//! What is known of one scanned event: which members it has and where they stand.
//!
//! The table lies in linear memory and JavaScript reads it as 32-bit words, so its layout is part of the
//! contract with `js/systems/cloudevents/event.ts` (`T_…` there). Places are in UTF-16 units of the text, so that JavaScript can
//! cut the string it already has.

use super::attribute::Form;
use crate::base::error::Code;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, Span};

/// The members with a meaning of their own, in both versions. Everything else is an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Member {
    /// `specversion`
    Specversion = 0,
    /// `id`
    Id = 1,
    /// `source`
    Source = 2,
    /// `type`
    Type = 3,
    /// `time`
    Time = 4,
    /// `subject`
    Subject = 5,
    /// `datacontenttype`
    DataContentType = 6,
    /// `dataschema`, an ordinary extension in 0.3
    DataSchema = 7,
    /// `schemaurl`, an ordinary extension in 1.0
    SchemaUrl = 8,
    /// `datacontentencoding`, an ordinary extension in 1.0
    DataContentEncoding = 9,
    /// `data`
    Data = 10,
    /// `data_base64`, no member in 0.3
    DataBase64 = 11,
}

/// How many [`Member`]s there are.
pub const MEMBERS: usize = 12;

/// How many extension attributes an event may have. The specification sets no limit; a peer must have one.
pub const MAX_EXTENSIONS: usize = 128;

impl Member {
    /// The member called `name`.
    #[inline]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"id" => Self::Id,
            b"time" => Self::Time,
            b"type" => Self::Type,
            b"data" => Self::Data,
            b"source" => Self::Source,
            b"subject" => Self::Subject,
            b"schemaurl" => Self::SchemaUrl,
            b"dataschema" => Self::DataSchema,
            b"specversion" => Self::Specversion,
            b"data_base64" => Self::DataBase64,
            b"datacontenttype" => Self::DataContentType,
            b"datacontentencoding" => Self::DataContentEncoding,
            _ => return None,
        })
    }

    /// The bit of this member in a set.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The form that a string member must have, by its number; whatever is not among the members is an extension.
pub const fn form_of(member: u8) -> Form {
    const SOURCE: u8 = Member::Source as u8;
    const TIME: u8 = Member::Time as u8;
    const MEDIA_TYPE: u8 = Member::DataContentType as u8;
    const SCHEMA: u8 = Member::DataSchema as u8;
    const SCHEMA_URL: u8 = Member::SchemaUrl as u8;
    match member {
        SOURCE | SCHEMA_URL => Form::UriReference,
        TIME => Form::Timestamp,
        MEDIA_TYPE => Form::MediaType,
        SCHEMA => Form::Uri,
        _ => Form::Text,
    }
}

/// What exactly is wrong, for the sentence in the message. `js/engine/errors.ts` has the sentences in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The member is not there, or `null`.
    Missing = 0,
    /// Empty where that is not allowed.
    Empty = 1,
    /// A JSON value of the wrong kind.
    WrongKind = 2,
    /// A control character, noncharacter or half a surrogate pair.
    ForbiddenCharacter = 3,
    /// Not RFC 3339.
    NotTimestamp = 4,
    /// Not RFC 3986.
    NotUriReference = 5,
    /// Not RFC 3986 section 4.3.
    NotUri = 6,
    /// Not RFC 2046.
    NotMediaType = 7,
    /// Not an integer of 32 bits.
    NotInteger = 8,
    /// Not `a-z0-9`, or the reserved word `data`.
    BadName = 9,
    /// The same member twice.
    Twice = 10,
    /// Not JSON.
    NotJson = 11,
    /// Not UTF-8.
    NotUtf8 = 12,
    /// Nested too deep.
    TooDeep = 13,
    /// Something other than an object.
    NotObject = 14,
    /// Something behind the end.
    Trailing = 15,
    /// More extensions than [`MAX_EXTENSIONS`].
    TooMany = 16,
    /// `data` and `data_base64` together.
    TwoPayloads = 17,
    /// Not Base64.
    NotBase64 = 18,
    /// `data` is no string although the media type is not JSON.
    NotString = 19,
    /// Neither 1.0 nor 0.3.
    UnknownVersion = 20,
    /// An encoding other than `base64`.
    UnknownEncoding = 21,
    /// Something other than an array.
    NotArray = 22,
    /// Events of different versions in one batch.
    MixedVersions = 23,
    /// A quoted string without end.
    OpenQuote = 24,
}

/// A refusal: what, why, and of which attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The row of the error table.
    pub code: Code,
    /// The particulars.
    pub reason: Reason,
    /// Whose fault it is.
    pub culprit: Culprit,
}

/// The attribute that a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The event as a whole.
    Whole,
    /// A known member.
    Member(Member),
    /// A name in the text: its place in UTF-16 units, and whether it has escapes.
    Name {
        /// Its first unit.
        start: u32,
        /// Behind its last unit.
        end: u32,
        /// Whether there are escapes in it.
        escaped: bool,
    },
}

/// The kind of an extension's value, as JavaScript sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExtensionKind {
    /// A string; the place is without the quotes.
    String = 0,
    /// Any other value; the place is that of its JSON text.
    Json = 1,
}

/// Where a member stands. Units are UTF-16 code units.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Place {
    /// First unit of the value; strings without the quotes, `data` with them.
    pub start: u32,
    /// Behind the last unit of the value.
    pub end: u32,
    /// First byte of the value, strings without the quotes.
    pub start_byte: u32,
    /// Behind the last byte of the value.
    pub end_byte: u32,
    /// First unit of the name.
    pub name_start: u32,
    /// Behind the last unit of the name.
    pub name_end: u32,
    /// What the scanner found out.
    pub kind: Kind,
    /// Printable ASCII without escapes, or an integer.
    pub plain: bool,
    /// The value has escapes.
    pub escaped: bool,
    /// The name has escapes.
    pub name_escaped: bool,
}

impl Place {
    const NOWHERE: Self = Self {
        start: 0,
        end: 0,
        start_byte: 0,
        end_byte: 0,
        name_start: 0,
        name_end: 0,
        kind: Kind::Null,
        plain: false,
        escaped: false,
        name_escaped: false,
    };

    /// Notes a member that the scanner has passed.
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
            plain: value.is_plain,
            escaped: value.has_escapes,
            name_escaped: name.has_escapes,
        }
    }

    /// The text of the value, escapes and all.
    #[inline(always)]
    pub fn raw<'a>(&self, text: Padded<'a>) -> &'a [u8] {
        text.get(self.start_byte as usize, self.end_byte as usize)
    }
}

/// One extension attribute.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Extension {
    /// Place of the name.
    pub name_start: u32,
    /// Behind the name.
    pub name_end: u32,
    /// Place of the value.
    pub start: u32,
    /// Behind the value.
    pub end: u32,
    /// [`ExtensionKind`], plus 2 when the value and 4 when the name has escapes.
    pub flags: u32,
    /// A checksum of the name, to find a name that is there twice.
    pub checksum: u32,
}

/// The flag of an extension whose value has escapes.
pub const VALUE_ESCAPED: u32 = 2;
/// The flag of an extension whose name has escapes.
pub const NAME_ESCAPED: u32 = 4;

/// The short form of an event: all of it but its extensions. A batch keeps one for each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Row {
    /// Start and length of each string member in one small number, `start << 12 | length`; 0 where the member
    /// is absent, and [`WIDE`] where it does not fit and [`Table::places`] has to be read.
    ///
    /// Four of the members are not cut from the text and lend their number to something else: `data` and
    /// `data_base64` to start and end of the payload, `specversion` and `datacontentencoding` to start and end of
    /// the event in its batch.
    pub packed: [u32; MEMBERS],
    /// The members that are there.
    pub present: u32,
    /// The members whose text has escapes.
    pub escaped: u32,
    /// 10 for 1.0, 3 for 0.3.
    pub version: u32,
    /// How many of [`Table::extensions`] are in use.
    pub extension_count: u32,
}

impl Row {
    /// Nothing.
    pub const EMPTY: Self =
        Self { packed: [0; MEMBERS], present: 0, escaped: 0, version: 0, extension_count: 0 };

    /// Notes where the payload stands.
    #[inline(always)]
    pub fn set_payload(&mut self, start: u32, end: u32) {
        self.set(Member::Data, start);
        self.set(Member::DataBase64, end);
    }

    /// Start and end of the payload.
    pub fn payload(&self) -> (u32, u32) {
        (self.number(Member::Data), self.number(Member::DataBase64))
    }

    /// Notes where the event stands in its batch.
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

/// The whole table.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Table {
    /// What is needed to make an event of it.
    pub row: Row,
    /// After a refusal: [`Reason`].
    pub reason: u32,
    /// After a refusal: the [`Member`], or 255 for a name in the text, or 254 for the whole.
    pub culprit: u32,
    /// After a refusal: where; for a name its start.
    pub at: u32,
    /// After a refusal about a name: its end, plus 2^31 when it has escapes.
    pub name_end: u32,
    /// The index of the event in its batch; in the end, how many there are.
    pub index: u32,
    /// Where the members stand; valid where [`Row::present`] says so.
    pub places: [Place; MEMBERS],
    /// The extension attributes, in the order of the text.
    pub extensions: [Extension; MAX_EXTENSIONS],
}

/// In [`Row::packed`]: too far away or too long to be packed.
pub const WIDE: u32 = 1;

impl Table {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            row: Row::EMPTY,
            reason: 0,
            culprit: 0,
            at: 0,
            name_end: 0,
            index: 0,
            places: [Place::NOWHERE; MEMBERS],
            extensions: [Extension { name_start: 0, name_end: 0, start: 0, end: 0, flags: 0, checksum: 0 };
                MAX_EXTENSIONS],
        }
    }

    /// Writes down a refusal and gives its number.
    #[cold]
    pub const fn refuse(&mut self, refusal: Refusal, at: usize) -> u32 {
        self.reason = refusal.reason as u32;
        self.at = at as u32;
        match refusal.culprit {
            Culprit::Whole => self.culprit = 254,
            Culprit::Member(member) => self.culprit = member as u32,
            Culprit::Name { start, end, escaped } => {
                self.culprit = 255;
                self.at = start;
                self.name_end = end | (escaped as u32) << 31;
            }
        }
        refusal.code as u32 + 1
    }

    /// Whether a member is there.
    pub const fn has(&self, member: Member) -> bool {
        self.row.present & member.bit() != 0
    }

    /// Where a member stands, if it is there.
    pub fn place(&self, member: Member) -> Option<Place> {
        if self.has(member) { self.places.get(member as usize).copied() } else { None }
    }

    /// Takes a member out.
    pub const fn forget(&mut self, member: Member) {
        self.row.present &= !member.bit();
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

/// `start << 12 | length`, kept within 30 bits because that is a small integer in every engine.
#[inline(always)]
pub const fn pack(start: u32, end: u32) -> u32 {
    let len = end - start;
    if start < 1 << 18 && len < 1 << 12 { start << 12 | len } else { WIDE }
}
