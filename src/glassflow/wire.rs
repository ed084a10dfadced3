//! The data plane of GlassFlow, API `v1`, as pure functions.

use crate::base::json::block::Block;
use crate::base::json::padded::Padded;
use crate::base::json::scan::{Kind, Scanner};

/// The two queues of a pipeline that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// What the transformation made.
    Output,
    /// What it failed at.
    Failed,
}

/// What a pipeline answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Takes events.
    Publish,
    /// Gives events away.
    Consume(Topic),
    /// Says whether the token is good.
    Status,
}

/// The URL of an endpoint. `None` for an id that no URL can carry: nothing, and the two that mean places in a path, which browsers
/// resolve even when they are escaped.
pub fn url(base: &str, pipeline: &str, endpoint: Endpoint) -> Option<String> {
    if matches!(pipeline, "" | "." | "..") {
        return None;
    }
    let mut url = String::with_capacity(base.len() + pipeline.len() + 48);
    url.push_str(base.trim_end_matches('/'));
    url.push_str("/pipelines/");
    for byte in pipeline.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'0').into();
            url.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    url.push_str(match endpoint {
        Endpoint::Publish => "/topics/input/events",
        Endpoint::Consume(Topic::Output) => "/topics/output/events/consume",
        Endpoint::Consume(Topic::Failed) => "/topics/failed/events/consume",
        Endpoint::Status => "/status/access_token",
    });
    Some(url)
}

/// Where a value stands in a text: its first byte, and the one behind its last.
pub type Extent = [u32; 2];

/// The parts of a consumed event. `[0, 0]` is one that is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The event as it was published.
    pub payload: Extent,
    /// What the transformation made of it.
    pub response: Extent,
    /// Outcome of the transformation.
    pub status: Extent,
    /// Id of the request that published it.
    pub request_id: Extent,
    /// Id that a connector gave it.
    pub external_id: Extent,
    /// When the platform took it.
    pub receive_time: Extent,
    /// What went wrong in the transformation.
    pub error_details: Extent,
    /// And where.
    pub stack_trace: Extent,
}

impl Parts {
    /// All of them, in the order of `js/systems/glassflow/event.ts`.
    pub const fn to_array(self) -> [Extent; 8] {
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

/// Finds the parts of a consumed event. `None` if the text is no JSON object, or has neither a payload nor a response. Nothing else is
/// insisted on: the event is gone from the server, so what is there has to be enough.
pub fn read_event<B: Block>(text: Padded<'_>) -> Option<Parts> {
    let mut scanner = Scanner::<B>::new(text);
    let mut parts = Parts::default();
    // Names that are marked as outdated in the description of the API, for when the context is not there.
    let (mut old_id, mut old_time) = (NOWHERE, NOWHERE);
    scanner.skip_space();
    let mut is_first = true;
    while let Some(name) = next_member(&mut scanner, &mut is_first)? {
        if name == b"event_context" && scanner.peek() == b'{' {
            let mut is_first = true;
            while let Some(name) = next_member(&mut scanner, &mut is_first)? {
                let (place, _) = value(&mut scanner)?;
                match name {
                    b"request_id" => parts.request_id = place,
                    b"external_id" => parts.external_id = place,
                    b"receive_time" => parts.receive_time = place,
                    _ => {}
                }
            }
            continue;
        }
        let (place, or_null) = value(&mut scanner)?;
        match name {
            b"payload" => parts.payload = or_null,
            b"response" => parts.response = or_null,
            b"status" => parts.status = place,
            b"error_details" => parts.error_details = place,
            b"stack_trace" => parts.stack_trace = place,
            b"req_id" => old_id = place,
            b"receive_time" => old_time = place,
            _ => {}
        }
    }
    if !scanner.is_finished() || (parts.payload == NOWHERE && parts.response == NOWHERE) {
        return None;
    }
    let or_old = |new, old| if new == NOWHERE { old } else { new };
    parts.request_id = or_old(parts.request_id, old_id);
    parts.receive_time = or_old(parts.receive_time, old_time);
    Some(parts)
}

const NOWHERE: Extent = [0, 0];

/// Steps to the value of the next member, and gives its name as it is written; a name with escapes is nobody's. `Some(None)`: the object has come
/// to its end. `None`: it is no object.
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

/// Steps over a value and says where it stands, with its quotes: first as nowhere if it is `null`, then in any case.
#[inline(never)]
fn value<B: Block>(scanner: &mut Scanner<'_, B>) -> Option<(Extent, Extent)> {
    let start = scanner.pos();
    let (kind, _) = scanner.value().ok()?;
    let place = [start as u32, scanner.pos() as u32];
    Some((if kind == Kind::Null { NOWHERE } else { place }, place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::block::Swar;
    use crate::base::json::padded::pad;

    const BASE: &str = "https://api.glassflow.dev/v1";

    fn read(text: &str) -> Option<[&str; 8]> {
        let bytes = pad(text.as_bytes());
        let parts = read_event::<Swar>(Padded::new(&bytes).expect("padded"))?;
        Some(parts.to_array().map(|[start, end]| text.get(start as usize..end as usize).expect("inside")))
    }

    #[test]
    fn addresses_are_those_of_the_service() {
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
    fn an_id_stays_one_segment_of_the_path() {
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
    fn finds_every_part() {
        let text = r#" {"req_id":"old","receive_time":"then","payload": {"n":1e2} ,"event_context":{"request_id":"r","external_id":"x","receive_time":"t","more":[1]},
            "status":"success","response":[1,{"payload":0}],"error_details":"e","stack_trace":"s","more":null} "#;
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
    fn takes_what_the_old_names_say_when_there_is_no_context() {
        for context in ["", r#","event_context":null"#, r#","event_context":"r""#, r#","event_context":{}"#] {
            let text = format!(r#"{{"payload":7,"req_id":"r","receive_time":"t"{context}}}"#);
            assert_eq!(read(&text), Some(["7", "", "", "\"r\"", "", "\"t\"", "", ""]), "{context}");
        }
    }

    #[test]
    fn one_of_payload_and_response_is_enough_and_none_is_not() {
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
    fn of_a_name_that_is_there_twice_the_last_one_counts_as_for_every_other_reader() {
        assert_eq!(read(r#"{"payload":1,"payload":2}"#).map(|parts| parts[0]), Some("2"));
    }
}
