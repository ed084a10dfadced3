//! Why an input was rejected, and which part of it.

use super::member::Member;
use crate::base::error::Code;
use crate::base::json::scan::ScanError;

/// What exactly is wrong. `src/boundary/reasons.rs` has a sentence for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The member is absent or `null`.
    Missing = 0,
    /// Empty, where that is not allowed.
    Empty = 1,
    /// A JSON value of the wrong kind.
    WrongKind = 2,
    /// A control character, a noncharacter or a lone surrogate.
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
    /// The same member more than once.
    Duplicate = 10,
    /// Not JSON.
    NotJson = 11,
    /// Not UTF-8.
    NotUtf8 = 12,
    /// Nested too deeply.
    TooDeep = 13,
    /// Something other than an object.
    NotObject = 14,
    /// More text after the end.
    Trailing = 15,
    /// More extension attributes than [`MAX_EXTENSIONS`](super::table::MAX_EXTENSIONS).
    TooManyExtensions = 16,
    /// `data` and `data_base64` together.
    TwoPayloads = 17,
    /// Not Base64.
    NotBase64 = 18,
    /// `data` is not a string although the media type is not JSON.
    NotString = 19,
    /// Neither 1.0 nor 0.3.
    UnknownVersion = 20,
    /// An encoding other than `base64`.
    UnknownEncoding = 21,
    /// Something other than an array.
    NotArray = 22,
    /// Events of different versions in one batch.
    MixedVersions = 23,
}

/// A rejection: the error code, the reason and the rejected part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The row of the error table.
    pub code: Code,
    /// What exactly is wrong.
    pub reason: Reason,
    /// What it is wrong with.
    pub target: Target,
}

/// The part of the input that was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The event or batch.
    Document,
    /// A known member.
    Member(Member),
    /// An extension attribute, by the position of its name in UTF-16 units.
    Name {
        /// The first unit.
        start: u32,
        /// The unit after the last one.
        end: u32,
        /// Whether the name has escapes.
        has_escapes: bool,
    },
}

impl Rejection {
    pub(super) const fn new(code: Code, reason: Reason, target: Target) -> Self {
        Self { code, reason, target }
    }

    pub(super) const fn invalid_event(reason: Reason) -> Self {
        Self::new(Code::InvalidEvent, reason, Target::Document)
    }

    pub(super) const fn invalid_batch(reason: Reason) -> Self {
        Self::new(Code::InvalidBatch, reason, Target::Document)
    }

    pub(super) const fn invalid_value(member: Member, reason: Reason) -> Self {
        Self::new(Code::InvalidAttributeValue, reason, Target::Member(member))
    }

    pub(super) const fn invalid_data(member: Member, reason: Reason) -> Self {
        Self::new(Code::InvalidData, reason, Target::Member(member))
    }
}

impl From<ScanError> for Rejection {
    #[cold]
    fn from(fault: ScanError) -> Self {
        Self::invalid_event(match fault {
            ScanError::Syntax => Reason::NotJson,
            ScanError::Encoding => Reason::NotUtf8,
            ScanError::TooDeep => Reason::TooDeep,
        })
    }
}
