//! The members of an event that have a meaning of their own.

use super::attribute::Format;

/// The known members of both versions. All others are extension attributes.
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

/// The number of [`Member`]s.
pub const MEMBER_COUNT: usize = 12;

impl Member {
    /// The attributes that are strings and have a position in a row. `specversion` has a number there.
    pub(crate) const STRINGS: [Self; 8] = [
        Self::Id,
        Self::Source,
        Self::Type,
        Self::Time,
        Self::Subject,
        Self::DataContentType,
        Self::DataSchema,
        Self::SchemaUrl,
    ];

    /// The member with this name.
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

/// The format that a string member must have, by the number of the member. Any other number is an extension attribute.
pub const fn format_of(member: u8) -> Format {
    const SOURCE: u8 = Member::Source as u8;
    const TIME: u8 = Member::Time as u8;
    const MEDIA_TYPE: u8 = Member::DataContentType as u8;
    const SCHEMA: u8 = Member::DataSchema as u8;
    const SCHEMA_URL: u8 = Member::SchemaUrl as u8;
    match member {
        SOURCE | SCHEMA_URL => Format::UriReference,
        TIME => Format::Timestamp,
        MEDIA_TYPE => Format::MediaType,
        SCHEMA => Format::Uri,
        _ => Format::Text,
    }
}
