//! What TypeScript says about each [`Reason`].

use crate::cloudevents::rejection::Reason;

/// A sentence for each reason, in the order of their numbers. The name of the attribute stands before it.
pub const REASONS: &[(Reason, &str)] = &[
    (Reason::Missing, "is missing"),
    (Reason::Empty, "must not be empty"),
    (Reason::WrongKind, "has a JSON value of the wrong kind"),
    (Reason::ForbiddenCharacter, "contains a control character, a noncharacter or a lone surrogate"),
    (Reason::NotTimestamp, "is not an RFC 3339 timestamp"),
    (Reason::NotUriReference, "is not a URI-reference (RFC 3986)"),
    (Reason::NotUri, "is not an absolute URI (RFC 3986)"),
    (Reason::NotMediaType, "is not a media type such as text/plain (RFC 2046)"),
    (Reason::NotInteger, "is not a 32-bit integer"),
    (Reason::BadName, "has an invalid name: only a-z and 0-9 are allowed, and data is reserved"),
    (Reason::Duplicate, "appears more than once"),
    (Reason::NotJson, "is not JSON"),
    (Reason::NotUtf8, "is not UTF-8"),
    (Reason::TooDeep, "is nested too deeply"),
    (Reason::NotObject, "is not a JSON object"),
    (Reason::Trailing, "has more text after its end"),
    (Reason::TooManyExtensions, "has more than 128 extension attributes"),
    (Reason::TwoPayloads, "cannot be combined with data_base64"),
    (Reason::NotBase64, "is not Base64 (RFC 4648 section 4, with padding)"),
    (Reason::NotString, "must be a string, because the datacontenttype is not JSON"),
    (Reason::UnknownVersion, "is neither \"1.0\" nor \"0.3\""),
    (Reason::UnknownEncoding, "is not \"base64\""),
    (Reason::NotArray, "is not a JSON array"),
    (Reason::MixedVersions, "has another specversion than the events before it"),
];

#[cfg(test)]
mod tests {
    use super::REASONS;

    #[test]
    fn the_place_of_a_reason_is_its_number() {
        for (place, (reason, _)) in REASONS.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }
}
