//! Messages as they come in: events, of which only positions are kept, and replies, which are looked into.
//!
//! A message is a reply if its channel is a `/meta/` channel or if it says whether something was `successful`; servers copy ids of requests into
//! events, so an id says nothing. The `data` of an event stays text.

use crate::base::json::find::{Document, Value, items, members, string};
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, ScanError, Scanner, Span};

/// What a dialect wants to know of the `data` of an event: a name for it, and what tells it from others.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// Where to go on after it. A number, or a string without its quotes.
    pub position: Option<Span>,
    /// What no other event has.
    pub identity: Option<Span>,
}

/// Steps over the value of `data` that starts here.
pub type DataReader = fn(&mut Scanner<'_>) -> Result<(Span, Marks), ScanError>;

/// Steps over data without looking at it.
pub fn opaque(scanner: &mut Scanner<'_>) -> Result<(Span, Marks), ScanError> {
    let (kind, span) = scanner.value()?;
    Ok((whole(kind, span), Marks::default()))
}

/// Strings with their quotes.
pub(crate) const fn whole(kind: Kind, mut span: Span) -> Span {
    if matches!(kind, Kind::String) {
        span.start -= 1;
        span.start_unit -= 1;
        span.end += 1;
        span.end_unit += 1;
    }
    span
}

/// Where the parts of an event stand in their text.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The message.
    pub message: (usize, usize),
    /// What is between the quotes.
    pub channel: Span,
    /// The JSON value, strings with their quotes.
    pub data: Span,
    /// What the dialect has found in it.
    pub marks: Marks,
}

/// One answer or frame, read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The events, in their order.
    pub rows: Vec<Row>,
    /// All else, in its order.
    pub replies: Vec<Reply>,
}

/// A message that answers one of ours, or that speaks about the session.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Of what it speaks.
    pub channel: String,
    /// The id of the message that it answers, as text.
    pub id: Option<String>,
    /// Whether it was done.
    pub successful: Option<bool>,
    document: Document,
}

impl Reply {
    /// The value behind a path of member names.
    pub fn get(&self, path: &[&str]) -> Option<Value<'_>> {
        self.document.get(path)
    }

    /// A string.
    pub fn string(&self, path: &[&str]) -> Option<String> {
        self.get(path)?.string()
    }

    /// The error field.
    pub fn error(&self) -> Option<String> {
        self.string(&["error"]).filter(|error| !error.is_empty())
    }

    /// The session that the server chose.
    pub fn client_id(&self) -> Option<String> {
        self.get(&["clientId"])?.string_or_number()
    }

    /// The channels that it speaks of.
    pub fn subscriptions(&self) -> Vec<String> {
        self.get(&["subscription"]).map(|value| value.strings()).unwrap_or_default()
    }

    /// Advice for a transport, if there is any.
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

/// What a server advises. All times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What to do next.
    pub reconnect: Option<Reconnect>,
    /// Between the end of one connect and the start of the next; below 0: not again.
    pub interval: Option<i64>,
    /// How long the server holds a connect.
    pub timeout: Option<i64>,
    /// How long the server keeps a session without a connect.
    pub max_interval: Option<i64>,
    /// Another client of the same browser holds a connect.
    pub multiple_clients: bool,
    /// Other hosts to try.
    pub hosts: Vec<String>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Connect again.
    Retry,
    /// The session is gone.
    Handshake,
    /// Stop.
    None,
    /// A word that we do not know: a client must not go on by itself then.
    Unknown,
}

/// Reads an answer: an array of messages, or a single one.
pub fn read(text: Padded<'_>, data: DataReader) -> Result<Reading, ScanError> {
    let mut scanner = Scanner::new(text);
    let mut reading = Reading::default();
    scanner.skip_space();
    if scanner.peek() == b'{' {
        read_message(&mut scanner, data, &mut reading)?;
    } else {
        items(&mut scanner, |scanner| read_message(scanner, data, &mut reading))?;
    }
    if scanner.is_finished() { Ok(reading) } else { Err(ScanError::Syntax) }
}

#[derive(Default)]
struct Seen {
    channel: Option<Span>,
    id: Option<(Kind, Span)>,
    successful: Option<Kind>,
    data: Option<(Span, Marks)>,
}

fn read_message(scanner: &mut Scanner<'_>, data: DataReader, reading: &mut Reading) -> Result<(), ScanError> {
    let (start, start_unit, text) = (scanner.pos(), scanner.units(), scanner.text());
    let mut seen = Seen::default();
    members(scanner, |name, scanner| {
        match name {
            b"channel" => {
                let (kind, span) = scanner.value()?;
                seen.channel = (kind == Kind::String).then_some(span);
            }
            b"data" => seen.data = Some(data(scanner)?),
            b"id" => seen.id = Some(scanner.value()?),
            b"successful" => seen.successful = Some(scanner.value()?.0),
            _ => drop(scanner.value()?),
        }
        Ok(())
    })?;
    // Without a channel it is nothing that anybody could have meant for us.
    let Some(channel) = seen.channel else { return Ok(()) };
    let is_meta = text.get(channel.start, channel.end).starts_with(b"/meta/");
    if !is_meta && seen.successful.is_none() {
        if let Some((data, marks)) = seen.data {
            reading.rows.push(Row { message: (start_unit, scanner.units()), channel, data, marks });
        }
        return Ok(());
    }
    reading.replies.push(Reply {
        channel: string(text, channel),
        id: seen
            .id
            .and_then(|(kind, span)| matches!(kind, Kind::String | Kind::Number).then(|| string(text, span))),
        successful: match seen.successful {
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

    fn reading(text: &str) -> Result<Reading, ScanError> {
        read(Document::new(text.as_bytes().to_vec()).padded(), opaque)
    }

    #[test]
    fn tells_events_from_replies_by_what_they_say_and_not_by_their_id() {
        let text = r#"[{"channel":"/a","data":"é","id":"1"},{"channel":"/a","id":1,"successful":true},
            {"channel":"/meta/connect","id":"2"},{"data":1},{"channel":"/b"}]"#;
        let Ok(Reading { rows, replies }) = reading(text) else { unreachable!() };
        assert_eq!(rows.len(), 1);
        assert_eq!(rows.first().map(|row| &text[row.data.start..row.data.end]), Some("\"é\""));
        assert_eq!(rows.first().map(|row| row.message), Some((1, 37)));
        let ids: Vec<_> = replies.iter().map(|reply| reply.id.as_deref()).collect();
        assert_eq!(ids, [Some("1"), Some("2")]);
        assert_eq!(replies.first().and_then(|reply| reply.successful), Some(true));
    }

    #[test]
    fn takes_a_single_message_and_refuses_all_else() {
        assert_eq!(reading(r#"{"channel":"/a","data":1}"#).map(|reading| reading.rows.len()), Ok(1));
        for text in ["", "<html>", "[{]", "1", "[1]", "[]x", "{\"channel\":\"/a\"} {}"] {
            assert!(reading(text).is_err(), "{text}");
        }
        assert_eq!(reading("[]").map(|reading| reading.rows.len() + reading.replies.len()), Ok(0));
    }

    #[test]
    fn advice_for_a_transport_goes_before_that_for_all() {
        let text = r#"[{"channel":"/meta/connect","advice":{"interval":1000,"timeout":30000,"long-polling":{"interval":250},"reconnect":"later"}}]"#;
        let Ok(Reading { replies, .. }) = reading(text) else { unreachable!() };
        let advice = replies.first().and_then(|reply| reply.advice("long-polling")).unwrap_or_default();
        assert_eq!((advice.interval, advice.timeout), (Some(250), Some(30_000)));
        assert_eq!(advice.reconnect, Some(Reconnect::Unknown));
    }
}
