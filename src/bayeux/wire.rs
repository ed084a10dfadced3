//! Outgoing messages, URLs, and the grammar of the `error` field: pure functions.

use crate::base::json::find::write_string;
use crate::base::text::{contains, decimal, join, split_once};

/// The transport of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Requests that the server holds until it has a message or its timeout passes.
    LongPolling,
    /// One WebSocket for all messages.
    WebSocket,
}

impl Transport {
    /// The value of `connectionType`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LongPolling => "long-polling",
            Self::WebSocket => "websocket",
        }
    }
}

/// The kinds of messages that have a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// `/meta/handshake`: starts a session.
    Handshake,
    /// `/meta/connect`: the poll and heartbeat. Its response carries most events.
    Connect,
    /// `/meta/subscribe`.
    Subscribe,
    /// `/meta/unsubscribe`.
    Unsubscribe,
    /// An event that the client publishes.
    Publish,
    /// `/meta/disconnect`: ends a session.
    Disconnect,
}

/// Builds an outgoing message.
pub(crate) struct Outgoing(String);

impl Outgoing {
    /// Starts a message.
    pub(crate) fn new(channel: &str, id: u32) -> Self {
        let mut out = String::from("{\"channel\":");
        write_string(&mut out, channel);
        Self(out).raw("id", &join(&["\"", &decimal(id.into()), "\""]))
    }

    /// Adds a string.
    pub(crate) fn string(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        write_string(&mut self.0, value);
        self
    }

    /// Adds a string, or an array of several.
    pub(crate) fn strings(mut self, name: &str, values: &[String]) -> Self {
        if let [value] = values {
            return self.string(name, value);
        }
        self.name(name);
        for (at, value) in values.iter().enumerate() {
            self.0.push(if at == 0 { '[' } else { ',' });
            write_string(&mut self.0, value);
        }
        self.0.push(']');
        self
    }

    /// Adds a JSON value.
    pub(crate) fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.0.push_str(json);
        self
    }

    /// Adds a JSON value unless its text is empty.
    pub(crate) fn raw_if(self, name: &str, json: &str) -> Self {
        if json.is_empty() { self } else { self.raw(name, json) }
    }

    /// Returns the message as JSON.
    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }
}

/// The parts of the `error` field, `403:/a,/b:Permission denied`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorField {
    /// The number, if the field follows the grammar.
    pub code: Option<u16>,
    /// The arguments between the two colons.
    pub arguments: Vec<String>,
    /// The text.
    pub text: String,
}

impl ErrorField {
    /// Three digits, a colon, arguments separated by commas, a colon, text. Only the first two colons
    /// separate, because servers put colons into texts. A field that does not match is all text.
    pub fn parse(field: &str) -> Self {
        let mut parts = field.splitn(3, ':');
        if let (Some(code), Some(arguments), Some(text)) = (parts.next(), parts.next(), parts.next())
            && code.len() == 3
            && code.bytes().all(|byte| byte.is_ascii_digit())
        {
            let arguments = arguments.split(',').filter(|argument| !argument.is_empty());
            return Self {
                code: code.parse().ok(),
                arguments: arguments.map(str::to_owned).collect(),
                text: text.to_owned(),
            };
        }
        Self { text: field.to_owned(), ..Self::default() }
    }
}

/// A channel without its filter, such as `?Name='x'` of Salesforce.
pub fn without_filter(channel: &str) -> &str {
    channel.split_once('?').map_or(channel, |(name, _)| name)
}

/// The URL for a message. As CometD does, the kind of a meta message is appended to the path: some servers
/// and proxies route by it.
pub(crate) fn url_for(base: &str, channel: &str) -> String {
    let path = split_once(base, "://").map_or(base, |(_, rest)| rest);
    let last = path.rsplit('/').next().unwrap_or_default();
    // A dot belongs to a file name or a version; nothing can be appended to it.
    let is_fixed = base.contains(['?', '#']) || (path.contains('/') && last.contains('.'));
    match channel.strip_prefix("/meta/") {
        Some(kind @ ("handshake" | "connect" | "disconnect")) if !is_fixed => {
            join(&[base.trim_end_matches('/'), "/", kind])
        }
        _ => base.to_owned(),
    }
}

/// The URL of the WebSocket.
pub(crate) fn socket_url(base: &str) -> String {
    match base.strip_prefix("http") {
        Some(rest) => join(&["ws", rest]),
        None => base.to_owned(),
    }
}

/// The URL with another host. `host` may include a port, or be a complete URL.
pub(crate) fn at_host(base: &str, host: &str) -> String {
    if contains(host, "://") {
        return host.to_owned();
    }
    let Some((scheme, rest)) = split_once(base, "://") else { return base.to_owned() };
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    join(&[scheme, "://", host, path])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_field_is_split_at_the_first_two_colons() {
        let parse = |field: &str| {
            let ErrorField { code, arguments, text } = ErrorField::parse(field);
            (code, arguments.join("|"), text)
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(
            parse("403:/a,/b:Permission Denied"),
            (Some(403), text("/a|/b"), text("Permission Denied"))
        );
        assert_eq!(parse("400::a: b: c"), (Some(400), text(""), text("a: b: c")));
        assert_eq!(parse("Authentication failed"), (None, text(""), text("Authentication failed")));
        assert_eq!(parse("40::x"), (None, text(""), text("40::x")));
        assert_eq!(parse(""), (None, text(""), text("")));
    }

    #[test]
    fn the_kind_is_appended_unless_the_url_ends_in_a_file_or_version() {
        for (base, expected) in [
            ("http://a.example/bayeux", "http://a.example/bayeux/connect"),
            ("http://a.example/bayeux/", "http://a.example/bayeux/connect"),
            ("http://a.example", "http://a.example/connect"),
            ("http://a.example/cometd/60.0", "http://a.example/cometd/60.0"),
            ("http://a.example/bayeux?x", "http://a.example/bayeux?x"),
        ] {
            assert_eq!(url_for(base, "/meta/connect"), expected);
            assert_eq!(url_for(base, "/meta/subscribe"), base);
        }
        assert_eq!(socket_url("https://a.example/b"), "wss://a.example/b");
        assert_eq!(at_host("https://a.example:1/b/c", "b.example"), "https://b.example/b/c");
    }
}
