//! HTTP as the machines see it: plain data that somebody else carries.

use crate::time::Millis;

/// One request. Header lines are `name: value`, parted by `\n`; both sides were checked before they came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    url: String,
    headers: String,
    body: Vec<u8>,
    patience: Millis,
}

impl Request {
    /// How long an exchange may take if nobody says otherwise.
    pub const DEFAULT_PATIENCE: Millis = Millis(10_000);

    /// A POST, which is the only method that carries events.
    pub fn post(url: impl Into<String>, headers: impl Into<String>, body: Vec<u8>) -> Self {
        Self { url: url.into(), headers: headers.into(), body, patience: Self::DEFAULT_PATIENCE }
    }

    /// The same request with another time limit.
    #[must_use]
    pub const fn with_patience(mut self, patience: Millis) -> Self {
        self.patience = patience;
        self
    }

    /// How long the exchange may take, from its start to the end of the answer.
    pub const fn patience(&self) -> Millis {
        self.patience
    }

    /// The absolute URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The header lines.
    pub fn headers(&self) -> &str {
        &self.headers
    }

    /// The body bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The parts, for the one who carries it.
    pub fn into_parts(self) -> (String, String, Vec<u8>) {
        (self.url, self.headers, self.body)
    }
}

/// What came back. Status 0 stands for an answer that a browser hides (a redirect that was not followed).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// How long the server asked to wait, from `Retry-After`.
    pub retry_after: Option<Millis>,
    /// The first bytes of the body; the carrier bounds them.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub const fn new(status: u16) -> Self {
        Self { status, retry_after: None, body: Vec::new() }
    }
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The time allowed for the exchange ran out.
    Timeout,
    /// The application gave up.
    Aborted,
    /// Anything else that the transport threw.
    Network,
}

/// Reads the value of a `Retry-After` header (RFC 9110 section 10.2.3): whole seconds, or an HTTP date
/// relative to `now`, both Unix times in milliseconds. A date in the past is no wait at all; anything that
/// is neither is `None`.
pub fn read_retry_after(value: &str, now_unix_ms: u64) -> Option<Millis> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = value.parse::<u64>().unwrap_or(u64::MAX);
        return Some(Millis(seconds.saturating_mul(1000)));
    }
    let at = crate::wall::read_http_date(value)?.saturating_mul(1000);
    Some(Millis(at.saturating_sub(now_unix_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_retry_after_in_both_forms() {
        assert_eq!(read_retry_after("120", 0), Some(Millis(120_000)));
        assert_eq!(read_retry_after(" 0 ", 0), Some(Millis(0)));
        let at = "Thu, 01 Jan 1970 00:01:00 GMT";
        assert_eq!(read_retry_after(at, 15_000), Some(Millis(45_000)));
        assert_eq!(read_retry_after(at, 90_000), Some(Millis(0)));
        assert_eq!(read_retry_after("99999999999999999999", 0), Some(Millis(u64::MAX)));
    }

    #[test]
    fn ignores_a_retry_after_that_is_neither() {
        for bad in ["", "soon", "-1", "1.5", "Thu, 32 Jan 1970 00:00:00 GMT", "Thu, 01 Foo 1970 00:00:00 GMT"]
        {
            assert_eq!(read_retry_after(bad, 0), None, "{bad}");
        }
    }
}
