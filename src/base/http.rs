//! HTTP messages as plain data. The owner of a machine carries them out.

use crate::base::time::Millis;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`, without a body.
    Get,
    /// `POST`, with a body.
    Post,
}

impl Method {
    /// The method in upper case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One request. Headers are lines of `name: value`, separated by `\n`; names and values are valid already.
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
    /// The default of [`Self::timeout`].
    pub const DEFAULT_TIMEOUT: Millis = Millis(10_000);

    /// The default of [`Self::max_response_bytes`].
    pub const DEFAULT_MAX_RESPONSE_BYTES: u32 = 16 * 1024;

    /// A `GET` request.
    pub fn get(url: impl Into<String>, headers: impl Into<String>) -> Self {
        Self { method: Method::Get, ..Self::post(url, headers, Vec::new()) }
    }

    /// A `POST` request.
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

    /// The same request with another timeout.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Millis) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same request with another limit for the response body. Bytes beyond the limit are not read.
    #[must_use]
    pub const fn with_max_response_bytes(mut self, bytes: u32) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// The same request, with the headers to read from its response: lower-case names separated by one space.
    #[must_use]
    pub const fn with_response_headers(mut self, names: &'static str) -> Self {
        self.response_headers = names;
        self
    }

    /// The HTTP method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The maximum number of bytes that are read of the response body.
    pub const fn max_response_bytes(&self) -> u32 {
        self.max_response_bytes
    }

    /// The names of the response headers to read, separated by one space.
    pub const fn response_headers(&self) -> &'static str {
        self.response_headers
    }

    /// The time limit of the exchange, from its start to the end of the response.
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

    /// The URL, header lines and body.
    pub fn into_parts(self) -> (String, String, Vec<u8>) {
        (self.url, self.headers, self.body)
    }
}

/// A response. Status 0 is a redirect that was not followed and that the browser hides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The delay from `Retry-After`.
    pub retry_after: Option<Millis>,
    /// The headers in [`Request::response_headers`] that the response has, as lines of `name: value`;
    /// `set-cookie` may have several lines.
    pub headers: String,
    /// The body, up to [`Request::max_response_bytes`].
    pub body: Vec<u8>,
}

impl Response {
    /// A response without headers and body.
    pub const fn new(status: u16) -> Self {
        Self { status, retry_after: None, headers: String::new(), body: Vec::new() }
    }

    /// The value of the first header with this lower-case name.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers_named(name).next()
    }

    /// The values of all headers with this lower-case name.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .lines()
            .filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':')?.strip_prefix(' '))
    }
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The timeout of the exchange passed.
    Timeout,
    /// The application aborted the exchange.
    Aborted,
    /// Any other error of the transport.
    Network,
    /// The browser did not say why: it is offline, CORS forbids the response, or an extension blocks the request.
    Blocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_headers_of_a_response() {
        let headers = "content-type: text/html\nset-cookie: a=1; Path=/\nset-cookie: b=2: 3".to_owned();
        let response = Response { headers, ..Response::new(200) };
        assert_eq!(response.header("content-type"), Some("text/html"));
        assert_eq!(response.header("location"), None);
        assert_eq!(response.headers_named("set-cookie").collect::<Vec<_>>(), ["a=1; Path=/", "b=2: 3"]);
    }
}
