//! The data plane of GlassFlow, API `v1`, as pure functions.

use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, Scanner};

/// The two queues that a pipeline can be consumed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Events that were transformed.
    Output,
    /// Events that the transformation failed at.
    Failed,
}

/// The endpoints of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Accepts one event.
    Publish,
    /// Returns one event and deletes it.
    Consume(Topic),
    /// Checks the access token.
    Status,
}

/// The URL of an endpoint. `None` for an id that cannot be a segment of a URL path: an empty one, and `.` and
/// `..`, which browsers resolve even when they are percent-encoded.
pub fn url(base: &str, pipeline_id: &str, endpoint: Endpoint) -> Option<String> {
    let mut url = String::with_capacity(base.len() + pipeline_id.len() + 48);
    url.push_str(base.trim_end_matches('/'));
    url.push_str("/pipelines/");
    push_segment(&mut url, pipeline_id)?;
    url.push_str(match endpoint {
        Endpoint::Publish => "/topics/input/events",
        Endpoint::Consume(Topic::Output) => "/topics/output/events/consume",
        Endpoint::Consume(Topic::Failed) => "/topics/failed/events/consume",
        Endpoint::Status => "/status/access_token",
    });
    Some(url)
}

/// Appends a segment to the path of a URL, percent-encoded. `None` for one that cannot be a segment.
pub(super) fn push_segment(url: &mut String, segment: &str) -> Option<()> {
    if matches!(segment, "" | "." | "..") {
        return None;
    }
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'0').into();
            url.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    Some(())
}

/// The position of a value in a text: the offset of its first byte, and the offset after its last byte.
pub type Span = [u32; 2];

/// The positions of the fields of a consumed event. A missing field has `[0, 0]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventSpans {
    /// The event as it was published.
    pub payload: Span,
    /// The result of the transformation.
    pub response: Span,
    /// Outcome of the transformation.
    pub status: Span,
    /// Id of the request that published the event.
    pub request_id: Span,
    /// Id that a connector assigned.
    pub external_id: Span,
    /// When the service received the event.
    pub receive_time: Span,
    /// Error message of the transformation.
    pub error_details: Span,
    /// Stack trace of that error.
    pub stack_trace: Span,
}

impl EventSpans {
    /// All spans, in the order of `FIELDS` in `js/systems/glassflow/event.ts`.
    pub const fn to_array(self) -> [Span; 8] {
        [
            self.payload,
            self.response,
            self.status,
            self.request_id,
            self.external_id,
            self.receive_time,
            self.error_details,
            self.stack_trace,
        ]
    }
}

/// Finds the fields of a consumed event. `None` if the text is not a JSON object, or has neither a payload
/// nor a response. No other field is required: the server has deleted the event, so a partial event is better
/// than none.
pub fn read_event<B: Block>(text: Padded<'_>) -> Option<EventSpans> {
    let mut scanner = Scanner::<B>::new(text);
    let mut spans = EventSpans::default();
    // Deprecated names, used when there is no event_context.
    let (mut old_id, mut old_time) = (ABSENT, ABSENT);
    scanner.skip_space();
    let mut is_first = true;
    while let Some(name) = next_member(&mut scanner, &mut is_first)? {
        if name == b"event_context" && scanner.peek() == b'{' {
            let mut is_first = true;
            while let Some(name) = next_member(&mut scanner, &mut is_first)? {
                let span = value_span(&mut scanner)?.unless_null;
                match name {
                    b"request_id" => spans.request_id = span,
                    b"external_id" => spans.external_id = span,
                    b"receive_time" => spans.receive_time = span,
                    _ => {}
                }
            }
            continue;
        }
        let ValueSpan { any, unless_null } = value_span(&mut scanner)?;
        match name {
            b"payload" => spans.payload = any,
            b"response" => spans.response = any,
            b"status" => spans.status = unless_null,
            b"error_details" => spans.error_details = unless_null,
            b"stack_trace" => spans.stack_trace = unless_null,
            b"req_id" => old_id = unless_null,
            b"receive_time" => old_time = unless_null,
            _ => {}
        }
    }
    if !scanner.is_finished() || (spans.payload == ABSENT && spans.response == ABSENT) {
        return None;
    }
    let or_old = |new, old| if new == ABSENT { old } else { new };
    spans.request_id = or_old(spans.request_id, old_id);
    spans.receive_time = or_old(spans.receive_time, old_time);
    Some(spans)
}

const ABSENT: Span = [0, 0];

/// Advances to the value of the next member and returns the name as written; a name with escapes matches no
/// field. `Some(None)`: the object has ended. `None`: it is not an object.
#[inline(never)]
fn next_member<'a, B: Block>(scanner: &mut Scanner<'a, B>, is_first: &mut bool) -> Option<Option<&'a [u8]>> {
    let was_first = core::mem::replace(is_first, false);
    if was_first {
        scanner.expect(b'{').ok()?;
    }
    scanner.skip_space();
    if scanner.eat(b'}') {
        return Some(None);
    }
    if !was_first {
        scanner.expect(b',').ok()?;
        scanner.skip_space();
    }
    let name = scanner.string().ok()?;
    scanner.colon().ok()?;
    Some(Some(scanner.text().get(name.start, name.end)))
}

/// The position of a value, a string with its quotes.
struct ValueSpan {
    any: Span,
    /// [`ABSENT`] if the value is `null`.
    unless_null: Span,
}

/// Advances past a value.
#[inline(never)]
fn value_span<B: Block>(scanner: &mut Scanner<'_, B>) -> Option<ValueSpan> {
    let start = scanner.pos();
    let (kind, _) = scanner.value().ok()?;
    let any = [start as u32, scanner.pos() as u32];
    Some(ValueSpan { any, unless_null: if kind == Kind::Null { ABSENT } else { any } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::block::Swar;
    use crate::base::json::padded::pad;

    const BASE: &str = "https://api.glassflow.dev/v1";

    fn read(text: &str) -> Option<[&str; 8]> {
        let bytes = pad(text.as_bytes());
        let spans = read_event::<Swar>(Padded::new(&bytes).expect("padded"))?;
        Some(spans.to_array().map(|[start, end]| text.get(start as usize..end as usize).expect("in range")))
    }

    #[test]
    fn urls_are_those_of_the_service() {
        for (endpoint, path) in [
            (Endpoint::Publish, "topics/input/events"),
            (Endpoint::Consume(Topic::Output), "topics/output/events/consume"),
            (Endpoint::Consume(Topic::Failed), "topics/failed/events/consume"),
            (Endpoint::Status, "status/access_token"),
        ] {
            assert_eq!(url(BASE, "pipe-1", endpoint), Some(format!("{BASE}/pipelines/pipe-1/{path}")));
            assert_eq!(url(&format!("{BASE}//"), "pipe-1", endpoint), url(BASE, "pipe-1", endpoint));
        }
    }

    #[test]
    fn a_pipeline_id_stays_one_segment_of_the_path() {
        for (id, segment) in [("a/../b", "a%2F..%2Fb"), ("a?x=1#f", "a%3Fx%3D1%23f"), ("å %", "%C3%A5%20%25")]
        {
            let expected = format!("{BASE}/pipelines/{segment}/status/access_token");
            assert_eq!(url(BASE, id, Endpoint::Status), Some(expected));
        }
        for id in ["", ".", ".."] {
            assert_eq!(url(BASE, id, Endpoint::Status), None);
        }
    }

    #[test]
    fn finds_every_field() {
        let text = r#" {"req_id":"old","receive_time":"then","payload": {"n":1e2} ,
            "event_context":{"request_id":"r","external_id":"x",
            "receive_time":"t","more":[1]},
            "status":"success","response":[1,{"payload":0}],
            "error_details":"e","stack_trace":"s","more":null} "#;
        let expected = [
            "{\"n\":1e2}",
            "[1,{\"payload\":0}]",
            "\"success\"",
            "\"r\"",
            "\"x\"",
            "\"t\"",
            "\"e\"",
            "\"s\"",
        ];
        assert_eq!(read(text), Some(expected));
    }

    #[test]
    fn reads_the_deprecated_names_when_there_is_no_context() {
        for context in ["", r#","event_context":null"#, r#","event_context":"r""#, r#","event_context":{}"#] {
            let text = format!(r#"{{"payload":7,"req_id":"r","receive_time":"t"{context}}}"#);
            assert_eq!(read(&text), Some(["7", "", "", "\"r\"", "", "\"t\"", "", ""]), "{context}");
        }
    }

    #[test]
    fn either_payload_or_response_is_required() {
        for text in [r#"{"response":0}"#, r#"{"payload":null}"#, r#"{"payload":{},"response":null}"#] {
            assert!(read(text).is_some(), "{text}");
        }
        for text in [
            "",
            " ",
            "hello",
            "[]",
            "null",
            "{}",
            r#"{"status":"success"}"#,
            r#"{"payload":1"#,
            r#"{"payload":1}{"#,
            r#"{"payload":}"#,
            r#"{"payload":1,}"#,
            r#"{payload:1}"#,
            r#"{"payload":NaN}"#,
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_of_two_members_with_the_same_name_counts_as_in_other_json_readers() {
        assert_eq!(read(r#"{"payload":1,"payload":2}"#).map(|fields| fields[0]), Some("2"));
    }
}
