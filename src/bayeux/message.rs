//! Parses incoming messages into events, of which only positions are kept, and replies.
//!
//! A message is a reply if its channel is a `/meta/` channel or if it has `successful`. The id does not
//! matter: servers copy ids of requests into events. The `data` of an event is not parsed.

use crate::base::json::find::{Document, Value, items, members, string};
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, ScanError, Scanner, Span};

/// The ids that a dialect finds in `data` of an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventIds {
    /// The id after which a later subscription can start: a number, or a string without its quotes.
    pub replay_id: Option<Span>,
    /// An id that no other event has.
    pub uuid: Option<Span>,
}

/// Reads the value of `data` at the position of the scanner.
pub type DataReader = fn(&mut Scanner<'_>) -> Result<(Span, EventIds), ScanError>;

/// Skips `data` and finds no ids.
pub fn skip_data(scanner: &mut Scanner<'_>) -> Result<(Span, EventIds), ScanError> {
    let (kind, span) = scanner.value()?;
    Ok((with_quotes(kind, span), EventIds::default()))
}

/// The span of a value; that of a string includes its quotes.
pub(crate) const fn with_quotes(kind: Kind, mut span: Span) -> Span {
    if matches!(kind, Kind::String) {
        span.start -= 1;
        span.start_unit -= 1;
        span.end += 1;
        span.end_unit += 1;
    }
    span
}

/// The positions of the parts of an event in the text of a response.
#[derive(Clone, Copy, Debug)]
pub struct EventSpans {
    /// Start and end of the message in UTF-16 units.
    pub message: (usize, usize),
    /// The channel without its quotes.
    pub channel: Span,
    /// The JSON value of `data`; a string with its quotes.
    pub data: Span,
    /// The ids that the dialect found.
    pub ids: EventIds,
}

/// The messages of one response or frame.
#[derive(Clone, Debug, Default)]
pub struct ParsedMessages {
    /// The events in order.
    pub events: Vec<EventSpans>,
    /// The replies in order.
    pub replies: Vec<Reply>,
}

impl ParsedMessages {
    /// Whether there is neither an event nor a reply.
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.replies.is_empty()
    }
}

/// The reply to a message of the client, or a message about the session.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The channel of the message that it replies to.
    pub channel: String,
    /// The id of the message that it replies to, as text.
    pub id: Option<String>,
    /// Whether the server accepted the message.
    pub successful: Option<bool>,
    document: Document,
}

impl Reply {
    /// The value at a path of member names.
    pub fn get(&self, path: &[&str]) -> Option<Value<'_>> {
        self.document.get(path)
    }

    /// The string at a path of member names.
    pub fn string(&self, path: &[&str]) -> Option<String> {
        self.get(path)?.string()
    }

    /// The whole reply as JSON.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.document.text()).into_owned()
    }

    /// The `error` field, unless it is empty.
    pub fn error(&self) -> Option<String> {
        self.string(&["error"]).filter(|error| !error.is_empty())
    }

    /// The session id that the server chose.
    pub fn client_id(&self) -> Option<String> {
        self.get(&["clientId"])?.string_or_number()
    }

    /// The channels of a subscription: the `subscription` field is a string or an array.
    pub fn subscriptions(&self) -> Vec<String> {
        self.get(&["subscription"]).map(|value| value.strings()).unwrap_or_default()
    }

    /// The advice, if there is any. Members for that transport take precedence.
    pub fn advice(&self, transport: &str) -> Option<Advice> {
        self.get(&["advice"]).filter(|advice| advice.kind == Kind::Object)?;
        let find =
            |name: &str| self.get(&["advice", transport, name]).or_else(|| self.get(&["advice", name]));
        Some(Advice {
            reconnect: find("reconnect").and_then(|value| value.string()).map(|word| match word.as_str() {
                "retry" => Reconnect::Retry,
                "handshake" => Reconnect::Handshake,
                "none" => Reconnect::None,
                _ => Reconnect::Unknown,
            }),
            interval: find("interval").and_then(|value| value.integer()),
            timeout: find("timeout").and_then(|value| value.integer()),
            max_interval: find("maxInterval").and_then(|value| value.integer()),
            multiple_clients: find("multiple-clients").and_then(|value| value.bool()) == Some(true),
            hosts: find("hosts").map(|value| value.strings()).unwrap_or_default(),
        })
    }
}

/// The `advice` field. All times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// How to reconnect.
    pub reconnect: Option<Reconnect>,
    /// Between the end of one connect and the start of the next; negative: do not connect again.
    pub interval: Option<i64>,
    /// How long the server holds a connect.
    pub timeout: Option<i64>,
    /// How long the server keeps a session without a connect.
    pub max_interval: Option<i64>,
    /// Another client of the same browser has a pending connect.
    pub multiple_clients: bool,
    /// Alternative hosts.
    pub hosts: Vec<String>,
}

/// The values of `advice.reconnect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Connect again.
    Retry,
    /// The session does not exist any more: handshake.
    Handshake,
    /// Stop.
    None,
    /// An unknown value, after which a client must not reconnect.
    Unknown,
}

/// Parses a response or frame: an array of messages, or a single message.
pub fn parse_messages(text: Padded<'_>, data: DataReader) -> Result<ParsedMessages, ScanError> {
    let mut scanner = Scanner::new(text);
    let mut parsed = ParsedMessages::default();
    scanner.skip_space();
    if scanner.peek() == b'{' {
        parse_message(&mut scanner, data, &mut parsed)?;
    } else {
        items(&mut scanner, |scanner| parse_message(scanner, data, &mut parsed))?;
    }
    if scanner.is_finished() { Ok(parsed) } else { Err(ScanError::Syntax) }
}

#[derive(Default)]
struct Members {
    channel: Option<Span>,
    id: Option<(Kind, Span)>,
    successful: Option<Kind>,
    data: Option<(Span, EventIds)>,
}

fn parse_message(
    scanner: &mut Scanner<'_>,
    data: DataReader,
    parsed: &mut ParsedMessages,
) -> Result<(), ScanError> {
    let (start, start_unit, text) = (scanner.pos(), scanner.units(), scanner.text());
    let mut found = Members::default();
    members(scanner, |name, scanner| {
        match name {
            b"channel" => {
                let (kind, span) = scanner.value()?;
                found.channel = (kind == Kind::String).then_some(span);
            }
            b"data" => found.data = Some(data(scanner)?),
            b"id" => found.id = Some(scanner.value()?),
            b"successful" => found.successful = Some(scanner.value()?.0),
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    // A message without a channel has no meaning.
    let Some(channel) = found.channel else { return Ok(()) };
    let is_meta = text.get(channel.start, channel.end).starts_with(b"/meta/");
    if !is_meta && found.successful.is_none() {
        if let Some((data, ids)) = found.data {
            parsed.events.push(EventSpans { message: (start_unit, scanner.units()), channel, data, ids });
        }
        return Ok(());
    }
    parsed.replies.push(Reply {
        channel: string(text, channel),
        id: found
            .id
            .and_then(|(kind, span)| matches!(kind, Kind::String | Kind::Number).then(|| string(text, span))),
        successful: match found.successful {
            Some(Kind::True) => Some(true),
            Some(Kind::False) => Some(false),
            _ => None,
        },
        document: Document::new(text.get(start, scanner.pos()).to_vec()),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ParsedMessages, ScanError> {
        parse_messages(Document::new(text.as_bytes().to_vec()).padded(), skip_data)
    }

    #[test]
    fn a_message_is_a_reply_by_its_channel_or_successful_and_not_by_its_id() {
        let text = r#"[{"channel":"/a","data":"é","id":"1"},{"channel":"/a","id":1,"successful":true},
            {"channel":"/meta/connect","id":"2"},{"data":1},{"channel":"/b"}]"#;
        let Ok(ParsedMessages { events, replies }) = parse(text) else { unreachable!() };
        assert_eq!(events.len(), 1);
        assert_eq!(events.first().map(|row| &text[row.data.start..row.data.end]), Some("\"é\""));
        assert_eq!(events.first().map(|row| row.message), Some((1, 37)));
        let ids: Vec<_> = replies.iter().map(|reply| reply.id.as_deref()).collect();
        assert_eq!(ids, [Some("1"), Some("2")]);
        assert_eq!(replies.first().and_then(|reply| reply.successful), Some(true));
    }

    #[test]
    fn a_response_is_an_array_of_messages_or_one_message() {
        assert_eq!(parse(r#"{"channel":"/a","data":1}"#).map(|parsed| parsed.events.len()), Ok(1));
        for text in ["", "<html>", "[{]", "1", "[1]", "[]x", "{\"channel\":\"/a\"} {}"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("[]").map(|parsed| parsed.events.len() + parsed.replies.len()), Ok(0));
    }

    #[test]
    fn advice_for_a_transport_takes_precedence() {
        let text = r#"[{"channel":"/meta/connect","advice":{"interval":1000,"timeout":30000,"long-polling":{"interval":250},"reconnect":"later"}}]"#;
        let Ok(ParsedMessages { replies, .. }) = parse(text) else { unreachable!() };
        let advice = replies.first().and_then(|reply| reply.advice("long-polling")).unwrap_or_default();
        assert_eq!((advice.interval, advice.timeout), (Some(250), Some(30_000)));
        assert_eq!(advice.reconnect, Some(Reconnect::Unknown));
    }
}
