//! HTTP as the machines see it: plain data that somebody else carries.

use crate::base::time::Millis;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Something without a body.
    Get,
    /// To take the body in.
    Post,
}

impl Method {
    /// As it stands in a request.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One request. Header lines are `name: value`, parted by `\n`; both sides were checked before they came here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: Method,
    url: String,
    headers: String,
    body: Vec<u8>,
    timeout: Millis,
    max_response_bytes: u32,
    response_headers: &'static str,
}

impl Request {
    /// How long an exchange may take if nobody says otherwise.
    pub const DEFAULT_TIMEOUT: Millis = Millis(10_000);

    /// How many bytes of an answer are read if nobody says otherwise.
    pub const DEFAULT_MAX_RESPONSE_BYTES: u32 = 16 * 1024;

    /// A GET.
    pub fn get(url: impl Into<String>, headers: impl Into<String>) -> Self {
        Self { method: Method::Get, ..Self::post(url, headers, Vec::new()) }
    }

    /// A POST.
    pub fn post(url: impl Into<String>, headers: impl Into<String>, body: Vec<u8>) -> Self {
        Self {
            method: Method::Post,
            url: url.into(),
            headers: headers.into(),
            body,
            timeout: Self::DEFAULT_TIMEOUT,
            max_response_bytes: Self::DEFAULT_MAX_RESPONSE_BYTES,
            response_headers: "",
        }
    }

    /// The same request with another time limit.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Millis) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same request, of whose answer up to so many bytes are read. What is beyond them is cut off.
    #[must_use]
    pub const fn with_max_response_bytes(mut self, bytes: u32) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// The same request, of whose answer these headers are seen: lower-case names parted by one space.
    #[must_use]
    pub const fn with_response_headers(mut self, names: &'static str) -> Self {
        self.response_headers = names;
        self
    }

    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// How many bytes of the answer are read.
    pub const fn max_response_bytes(&self) -> u32 {
        self.max_response_bytes
    }

    /// The names of the headers of the answer that are seen.
    pub const fn response_headers(&self) -> &'static str {
        self.response_headers
    }

    /// How long the exchange may take, from its start to the end of the answer.
    pub const fn timeout(&self) -> Millis {
        self.timeout
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
    /// The headers that the request response_headers, as lines of `name: value`; `set-cookie` may have several. None where it response_headers none.
    pub headers: String,
    /// The first bytes of the body; the carrier bounds them.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub const fn new(status: u16) -> Self {
        Self { status, retry_after: None, headers: String::new(), body: Vec::new() }
    }

    /// The value of the first header of that name, lower case, among those that were response_headers.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers_named(name).next()
    }

    /// The values of all headers of that name, lower case, among those that were response_headers.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(move |(its, _)| *its == name)
            .map(|(_, value)| value)
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
    let at = crate::base::wall::read_http_date(value)?.saturating_mul(1000);
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
    fn finds_the_headers_of_an_answer() {
        let headers = "content-type: text/html\nset-cookie: a=1; Path=/\nset-cookie: b=2: 3".to_owned();
        let answer = Response { headers, ..Response::new(200) };
        assert_eq!(answer.header("content-type"), Some("text/html"));
        assert_eq!(answer.header("location"), None);
        assert_eq!(answer.headers_named("set-cookie").collect::<Vec<_>>(), ["a=1; Path=/", "b=2: 3"]);
    }

    #[test]
    fn ignores_a_retry_after_that_is_neither() {
        for bad in ["", "soon", "-1", "1.5", "Thu, 32 Jan 1970 00:00:00 GMT", "Thu, 01 Foo 1970 00:00:00 GMT"]
        {
            assert_eq!(read_retry_after(bad, 0), None, "{bad}");
        }
    }
}
