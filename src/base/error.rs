//! The error table. A macro generates the enum, the stable strings and the list of all codes from it.
//! `js/engine/generated/tables.ts` is generated from it.

use core::fmt;

use super::text::{decimal, join};

/// Who caused an error, and can therefore fix it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The application that calls this library.
    Caller,
    /// The server or client at the other end of the connection.
    Peer,
    /// The network between the two.
    Network,
    /// This library.
    Internal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $wire:literal $culprit:ident $retryable:literal $sentence:literal;)*) => {
        /// A stable error code. Its number is its row in the table, starting at 0; at the wasm boundary it is
        /// one more, because 0 means success there.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $sentence] $(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The string that JavaScript sees, `ERR_…`.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $wire,)* } }
            /// Who caused the error.
            pub const fn culprit(self) -> Culprit { match self { $(Self::$name => Culprit::$culprit,)* } }
            /// Whether the same call may succeed later without a change.
            pub const fn is_retryable(self) -> bool { match self { $(Self::$name => $retryable,)* } }
            /// One sentence that describes the error.
            pub const fn sentence(self) -> &'static str { match self { $(Self::$name => $sentence,)* } }
        }
    };
}

codes! {
    // name                  wire string                    culprit  retry? sentence
    MissingAttribute      "ERR_MISSING_ATTRIBUTE"         Peer     false "a required attribute is missing";
    InvalidAttributeName  "ERR_INVALID_ATTRIBUTE_NAME"    Peer     false "an attribute has a name that CloudEvents does not allow";
    InvalidAttributeValue "ERR_INVALID_ATTRIBUTE_VALUE"   Peer     false "an attribute has a value that its type does not allow";
    UnsupportedSpecversion "ERR_UNSUPPORTED_SPECVERSION"  Peer     false "the specversion is neither 1.0 nor 0.3";
    InvalidEvent          "ERR_INVALID_EVENT"             Peer     false "the text is not an event in the JSON format";
    InvalidBatch          "ERR_INVALID_BATCH"             Peer     false "the text is not a batch in the JSON batch format";
    InvalidData           "ERR_INVALID_DATA"              Peer     false "the data of the event does not match its format";
    InvalidHeaderValue    "ERR_INVALID_HEADER_VALUE"      Peer     false "a header value cannot be decoded";
    UnsupportedFormat     "ERR_UNSUPPORTED_FORMAT"        Peer     false "the event format is not supported";
    NotACloudEvent        "ERR_NOT_A_CLOUDEVENT"          Peer     false "the message is not a CloudEvent";
    NotConvertible        "ERR_NOT_CONVERTIBLE"           Caller   false "the event cannot be expressed in that version";
    TooLarge              "ERR_TOO_LARGE"                 Peer     false "the input is larger than the limit";
    InvalidArgument       "ERR_INVALID_ARGUMENT"          Caller   false "an argument or option is invalid";
    NotInitialized        "ERR_NOT_INITIALIZED"           Caller   false "the engine is not loaded yet";
    WasmInit              "ERR_WASM_INIT"                 Caller   false "this runtime refused to start the WebAssembly module";
    Closed                "ERR_CLOSED"                    Caller   false "the client is closed";
    Aborted               "ERR_ABORTED"                   Caller   false "the operation was aborted";
    Timeout               "ERR_TIMEOUT"                   Network  true  "no response within the timeout";
    Network               "ERR_NETWORK"                   Network  true  "the request did not reach the server, or its response was lost";
    Redirected            "ERR_REDIRECTED"                Peer     false "the server responded with a redirect, which is not followed";
    Unauthorized          "ERR_UNAUTHORIZED"              Peer     false "the server refused the credentials";
    Rejected              "ERR_REJECTED"                  Peer     false "the server refused the request";
    NotFound              "ERR_NOT_FOUND"                 Peer     false "there is no such resource";
    Conflict              "ERR_CONFLICT"                  Peer     false "the state of the resource does not allow the request";
    NotReady              "ERR_NOT_READY"                 Peer     true  "the resource is not ready yet";
    Gone                  "ERR_GONE"                      Peer     false "the target is gone for good";
    RateLimited           "ERR_RATE_LIMITED"              Peer     true  "the server limits the rate of requests";
    Unavailable           "ERR_UNAVAILABLE"               Peer     true  "the server could not handle the request";
    QueueFull             "ERR_QUEUE_FULL"                Caller   true  "too many operations are waiting";
    Store                 "ERR_STORE"                     Caller   true  "the store could not be read or written";
    RolledBack            "ERR_ROLLED_BACK"               Caller   false "the event was rolled back before it was flushed";
    Expired               "ERR_EXPIRED"                   Network  false "the event was not delivered within its maximum age";
    ExpiryTime            "ERR_EXPIRYTIME"                Network  false "the expirytime of the event has passed";
    Dropped               "ERR_DROPPED"                   Caller   false "the event was dropped at the sign-out of its identity";
    Internal              "ERR_INTERNAL"                  Internal false "the engine stopped because of a bug and was reset";
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The code.
    pub code: Code,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// An excerpt of the response body, at most [`Error::MAX_DETAIL`] bytes; empty if there is none.
    pub detail: String,
}

impl Error {
    /// The maximum number of body bytes in [`Error::detail`].
    pub const MAX_DETAIL: usize = 200;

    /// An error without status and detail.
    #[cold]
    pub const fn new(code: Code) -> Self {
        Self { code, status: None, detail: String::new() }
    }

    /// An error that a response caused. The detail is shortened and has no control characters.
    #[cold]
    pub fn from_response(code: Code, status: u16, body: &[u8]) -> Self {
        Self { code, status: Some(status), detail: excerpt(body) }
    }

    /// The sentence of the code, the status and the detail.
    pub fn message(&self) -> String {
        let status = self.status.map(|status| join(&[" (HTTP ", &decimal(status.into()), ")"]));
        let separator = if self.detail.is_empty() { "" } else { ": " };
        join(&[self.code.sentence(), &status.unwrap_or_default(), separator, &self.detail])
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Error {}

/// The beginning of a response body as printable text on one line.
fn excerpt(body: &[u8]) -> String {
    let mut rest = body.get(..body.len().min(Error::MAX_DETAIL)).unwrap_or_default();
    let (mut text, mut end, mut is_between_words) = (String::new(), 0, false);
    while !rest.is_empty() {
        let (c, len) = first_character(rest);
        rest = rest.get(len..).unwrap_or_default();
        if c.is_control() || c.is_whitespace() {
            is_between_words = !text.is_empty();
            continue;
        }
        if is_between_words {
            text.push(' ');
            is_between_words = false;
        }
        text.push(c);
        // At the end these are what is left of a character that was cut.
        if c != char::REPLACEMENT_CHARACTER {
            end = text.len();
        }
    }
    text.truncate(end);
    text
}

/// The first character of a text in UTF-8, and its length; U+FFFD for a byte that begins none. The standard library has
/// this for whole texts, in four times the size.
fn first_character(text: &[u8]) -> (char, usize) {
    let first = text.first().copied().unwrap_or_default();
    let (len, bits, lowest) = match first {
        0..=0x7f => (1, first, 0),
        0xc0..=0xdf => (2, first & 0x1f, 0x80),
        0xe0..=0xef => (3, first & 0x0f, 0x800),
        0xf0..=0xf7 => (4, first & 0x07, 0x1_0000),
        _ => (1, 0, 1),
    };
    let mut code = u32::from(bits);
    for index in 1..len {
        match text.get(index) {
            Some(next @ 0x80..=0xbf) => code = code << 6 | u32::from(next & 0x3f),
            _ => return (char::REPLACEMENT_CHARACTER, 1),
        }
    }
    match char::from_u32(code) {
        Some(c) if code >= lowest => (c, len),
        _ => (char::REPLACEMENT_CHARACTER, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_rows() {
        for (row, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, row);
        }
    }

    #[test]
    fn the_message_quotes_the_response_on_one_line() {
        let error = Error::from_response(Code::Rejected, 400, b"bad\r\n\tevent\x00 type \xff");
        assert_eq!(error.to_string(), "the server refused the request (HTTP 400): bad event type");
    }

    #[test]
    fn a_long_response_is_shortened() {
        let error = Error::from_response(Code::Rejected, 400, &[b'x'; 10_000]);
        assert_eq!(error.detail.len(), Error::MAX_DETAIL);
    }

    #[test]
    fn characters_are_read_as_the_standard_library_reads_them() {
        let mut samples: Vec<Vec<u8>> =
            ["a", "\u{7f}", "\u{80}", "é", "\u{7ff}", "\u{800}", "€", "\u{ffff}", "😀", "\u{10ffff}"]
                .map(|text| text.as_bytes().to_vec())
                .into();
        for bad in [
            &[0x80][..],
            &[0xc0, 0x80],
            &[0xc3],
            &[0xe0, 0x80, 0x80],
            &[0xed, 0xa0, 0x80],
            &[0xf0, 0x80, 0x80, 0x80],
            &[0xf4, 0x90, 0x80, 0x80],
            &[0xf8, 0x88, 0x80, 0x80, 0x80],
            &[0xff],
        ] {
            samples.push(bad.to_vec());
        }
        for sample in samples {
            let (c, len) = first_character(&sample);
            match core::str::from_utf8(&sample) {
                Ok(text) => assert_eq!((Some(c), len), (text.chars().next(), sample.len())),
                Err(_) => assert_eq!((c, len), (char::REPLACEMENT_CHARACTER, 1), "{sample:x?}"),
            }
        }
    }
}
