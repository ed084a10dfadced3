//! The events protocol: reading requests, writing responses, and how the client classifies responses.

use eventferry::base::error::{Code, Error};
use eventferry::base::http::{Failure, Response};
use eventferry::base::json::block::{Native, Swar};
use eventferry::base::json::padded::{Padded, pad};
use eventferry::engine::classify::ResponseClass;
use eventferry::engine::jitter::Rng;
use eventferry::events_protocol::client::classify_response;
use eventferry::events_protocol::event::{Envelope, EnvelopeRule, Member};
use eventferry::events_protocol::server::{EventRef, RequestOutcome, respond};
use eventferry::events_protocol::wire::{ReadError, read_event};
use serde_json::{Value, json};

const EVENT: &str = r#"{"name":"get:event:example","version":1,"id":"id-1","flowId":"flow-1","payload":{"example":"x"},"identity":{"userId":1},"auth":{"token":"s"},"metadata":{"origin":"w"}}"#;

fn read(text: &str, rule: EnvelopeRule) -> Result<Envelope, ReadError> {
    let padded = pad(text.as_bytes());
    read_event::<Swar>(Padded::new(&padded).expect("padded"), rule)
}

fn slice_of<'t>(text: &'t str, envelope: &Envelope, member: Member) -> Option<&'t str> {
    envelope.get(member).map(|(_, span)| &text[span.start..span.end])
}

/// The event with one member replaced or removed.
fn with(member: &str, value: Option<Value>) -> String {
    let mut event: Value = serde_json::from_str(EVENT).expect("JSON");
    let members = event.as_object_mut().expect("an object");
    match value {
        Some(value) => members.insert(member.to_owned(), value),
        None => members.remove(member),
    };
    event.to_string()
}

#[test]
fn every_member_is_found_at_its_position() {
    let envelope = read(EVENT, EnvelopeRule::Strict).expect("an event");
    for (member, text) in [
        (Member::Name, "get:event:example"),
        (Member::Version, "1"),
        (Member::Id, "id-1"),
        (Member::FlowId, "flow-1"),
        (Member::Payload, r#"{"example":"x"}"#),
        (Member::Identity, r#"{"userId":1}"#),
        (Member::Auth, r#"{"token":"s"}"#),
        (Member::Metadata, r#"{"origin":"w"}"#),
    ] {
        assert_eq!(slice_of(EVENT, &envelope, member), Some(text));
    }
}

#[test]
fn escaped_member_names_are_known_and_the_last_of_two_counts() {
    let text = r#"{"n\u0061me":"\u0061","name":"b:c","version":1,"id":"i","flow\u0049d":"f","payload":1,"payload":2,"n\u0061metoolongtobeaname\u0061\u0061\u0061\u0061\u0061":0,"\u0000":1}"#;
    let envelope = read(text, EnvelopeRule::Usual).expect("an event");
    assert_eq!(slice_of(text, &envelope, Member::Name), Some("b:c"));
    assert_eq!(slice_of(text, &envelope, Member::FlowId), Some("f"));
    assert_eq!(slice_of(text, &envelope, Member::Payload), Some("2"));
}

#[test]
fn a_text_that_is_not_an_event_is_refused_with_the_reason() {
    for (text, error) in [
        ("", ReadError::NotJson),
        ("not json", ReadError::NotJson),
        ("{", ReadError::NotJson),
        (r#"{"name":NaN}"#, ReadError::NotJson),
        ("null", ReadError::NotObject),
        ("[]", ReadError::NotObject),
        ("7 ", ReadError::NotObject),
        ("7 7", ReadError::NotJson),
        ("{}", ReadError::Member(Member::Name)),
        ("{} {}", ReadError::NotJson),
    ] {
        assert_eq!(read(text, EnvelopeRule::Usual).err(), Some(error), "{text}");
        assert_eq!(read(text, EnvelopeRule::Lenient).err(), Some(error), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(read(&deep, EnvelopeRule::Usual).err(), Some(ReadError::TooDeep));
    let padded = pad(b"{\"name\":\"\xff\"}");
    let text = Padded::new(&padded).expect("padded");
    assert_eq!(read_event::<Swar>(text, EnvelopeRule::Usual).err(), Some(ReadError::NotUtf8));
}

#[test]
fn each_rule_accepts_what_it_documents() {
    use Member::{Auth, FlowId, Id, Identity, Metadata, Name, Payload, Version};
    // A member, its value, and the rules that refuse it: S strict, U usual, L lenient, R response.
    let big = json!(2_147_483_648_i64);
    for (member, value, refused) in [
        (Name, None, "SULR"),
        (Name, Some(json!(5)), "SULR"),
        (Name, Some(json!(null)), "SULR"),
        (Name, Some(json!("")), ""),
        (Version, None, "SULR"),
        (Version, Some(json!(null)), "SULR"),
        (Version, Some(json!(true)), "SULR"),
        (Version, Some(json!(1.5)), "SULR"),
        (Version, Some(big), "SULR"),
        (Version, Some(json!(70_000)), ""),
        (Version, Some(json!(-1)), ""),
        (Version, Some(json!("1")), "SU"),
        (Version, Some(json!("v1")), "SULR"),
        (Version, Some(json!("")), "SULR"),
        (Version, Some(json!("+1")), "SULR"),
        (Version, Some(json!("99999999999")), "SULR"),
        (Id, None, "SU"),
        (Id, Some(json!(null)), "SU"),
        (Id, Some(json!(7)), "SUL"),
        (FlowId, None, "SU"),
        (FlowId, Some(json!({})), "SUL"),
        (Payload, None, "SU"),
        (Payload, Some(json!(null)), ""),
        (Payload, Some(json!([1])), ""),
        (Payload, Some(json!("abc")), ""),
        (Identity, None, "S"),
        (Identity, Some(json!(null)), "S"),
        (Identity, Some(json!("abc")), "SUL"),
        (Auth, None, "S"),
        (Auth, Some(json!([])), "SUL"),
        (Metadata, None, "S"),
        (Metadata, Some(json!(0)), "SUL"),
    ] {
        let text = with(member.as_str(), value);
        for (letter, rule) in [
            ("S", EnvelopeRule::Strict),
            ("U", EnvelopeRule::Usual),
            ("L", EnvelopeRule::Lenient),
            ("R", EnvelopeRule::Response),
        ] {
            let expected = refused.contains(letter).then_some(ReadError::Member(member));
            assert_eq!(read(&text, rule).err(), expected, "{rule:?}: {text}");
        }
    }
}

#[test]
fn snake_case_flow_id_is_read_only_where_flow_id_is_missing() {
    let both = with("flow_id", Some(json!("snake")));
    let envelope = read(&both, EnvelopeRule::Usual).expect("an event");
    assert_eq!(slice_of(&both, &envelope, Member::FlowId), Some("flow-1"));
    let one = both.replace("flowId", "other");
    let envelope = read(&one, EnvelopeRule::Usual).expect("an event");
    assert_eq!(slice_of(&one, &envelope, Member::FlowId), Some("snake"));
    assert_eq!(read(&one, EnvelopeRule::Strict).err(), Some(ReadError::Member(Member::FlowId)));
}

const EVENT_REF: EventRef<'_> = EventRef { name: "get:event", version: "3", id: "i\\\"1", flow_id: "f" };

#[test]
fn every_outcome_has_its_response() {
    let head = r#""version":3,"id":"i\"1","flowId":"f","payload":"#;
    let bare = r#""version":1,"id":"i\"1","flowId":"f","payload":"#;
    let tail = r#","identity":{},"auth":{},"metadata":{}}"#;
    let error = |code: &str, parameters: &str| format!(r#"{{"code":"{code}","parameters":{parameters}}}"#);
    for (outcome, name, head, payload) in [
        (RequestOutcome::Payload("[1, 2]"), "get:event:response", head, "[1, 2]".to_owned()),
        (
            RequestOutcome::Exception { suffix: "userDenied", code: "\"NO\"", parameters: "{\"a\":1}" },
            "get:event:userDenied",
            head,
            error("NO", "{\"a\":1}"),
        ),
        (
            RequestOutcome::InvalidPayload("[]"),
            "get:event:badRequest",
            head,
            error("MISSING_FIELDS", "{\"fields\":[]}"),
        ),
        (RequestOutcome::UnhandledError("{}"), "get:event:error", head, error("UNHANDLED_ERROR", "{}")),
        (
            RequestOutcome::TimedOut("20"),
            "get:event:error",
            head,
            error("EVENT_TIMEOUT", r#"{"message":"the handler did not finish within 20 ms"}"#),
        ),
        (
            RequestOutcome::TooManyEvents,
            "get:event:error",
            head,
            error("TOO_MANY_EVENTS", r#"{"message":"too many events are in flight; try again later"}"#),
        ),
        (
            RequestOutcome::NoHandler,
            "eventNotFound",
            bare,
            error("NO_EVENT_HANDLER_FOUND", r#"{"event":"get:event","version":3}"#),
        ),
        (
            RequestOutcome::InvalidEvent(ReadError::Member(Member::FlowId)),
            "badProtocol",
            bare,
            error("INVALID_COMMUNICATION_PROTOCOL", r#"{"propertyName":"flowId"}"#),
        ),
        (
            RequestOutcome::InvalidEvent(ReadError::NotJson),
            "badProtocol",
            bare,
            error("INVALID_COMMUNICATION_PROTOCOL", r#"{"message":"the text is not JSON"}"#),
        ),
    ] {
        let expected = format!("{{\"name\":\"{name}\",{head}{payload}{tail}");
        assert_eq!(respond(&EVENT_REF, &outcome), expected, "{outcome:?}");
    }
    let built = RequestOutcome::Response { payload: "null", identity: "{\"u\":1}", metadata: "{\"m\":2}" };
    assert_eq!(
        respond(&EVENT_REF, &built),
        format!(
            "{{\"name\":\"get:event\",{head}null,\"identity\":{{\"u\":1}},\"auth\":{{}},\"metadata\":{{\"m\":2}}}}"
        )
    );
}

/// The event, corrupted in up to four places.
fn corrupted_event(rng: &mut Rng) -> Vec<u8> {
    const TOKENS: [&[u8]; 14] = [
        b"null",
        b"{}",
        b"[]",
        b"1",
        b"\"\"",
        b",",
        b"\"name\":",
        b"\\u0061",
        b"\xff",
        b"\xc3\xa9",
        b"}",
        b"\"",
        b"e9",
        b"true",
    ];
    let mut bytes = EVENT.as_bytes().to_vec();
    for _ in 0..=rng.up_to(3) {
        let from = rng.up_to(bytes.len() as u64) as usize;
        let to = (from + rng.up_to(12) as usize).min(bytes.len());
        let token = TOKENS[rng.up_to(TOKENS.len() as u64 - 1) as usize];
        bytes.splice(from..to, token.iter().copied());
    }
    bytes
}

#[test]
fn corrupted_events_are_read_as_serde_json_reads_them_or_refused() {
    let mut rng = Rng::new(6);
    let mut read_count = 0;
    for _ in 0..60_000 {
        let bytes = corrupted_event(&mut rng);
        let padded = pad(&bytes);
        let text = Padded::new(&padded).expect("padded");
        let found = read_event::<Swar>(text, EnvelopeRule::Usual);
        let native = read_event::<Native>(text, EnvelopeRule::Usual);
        assert_eq!(found.as_ref().err(), native.as_ref().err());
        let value: Option<Value> = serde_json::from_slice(&bytes).ok();
        let Ok(envelope) = found else { continue };
        read_count += 1;
        // serde_json accepts what the reader accepts, with the same members. It is stricter only about half
        // surrogates, which `TOKENS` cannot produce.
        let value = value.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)));
        for member in Member::ALL {
            let Some((kind, span)) = envelope.get(member) else { continue };
            let raw = &bytes[span.start..span.end];
            let is_text = kind == eventferry::base::json::scan::Kind::String;
            let json = if is_text { [b"\"", raw, b"\""].concat() } else { raw.to_vec() };
            let parsed: Value = serde_json::from_slice(&json).expect("a member is JSON");
            let expected = value.get(member.as_str()).or_else(|| value.get("flow_id"));
            assert_eq!(Some(&parsed), expected, "{}", String::from_utf8_lossy(&bytes));
        }
    }
    assert!((500..50_000).contains(&read_count), "{read_count} of 60000 are valid, which is not a mix");
}

#[test]
fn a_response_is_json_with_the_ids_of_its_request_whatever_characters_they_have() {
    let mut rng = Rng::new(7);
    for round in 0..5_000 {
        let odd: String = (0..rng.up_to(12))
            .map(|_| char::from_u32(rng.up_to(0x2fff) as u32).unwrap_or('\u{1f600}'))
            .collect();
        let quoted = Value::String(format!("{odd}{round}")).to_string();
        let raw = &quoted[1..quoted.len() - 1];
        let event_ref = EventRef { name: raw, version: "2", id: raw, flow_id: raw };
        for outcome in [
            RequestOutcome::Payload(&quoted),
            RequestOutcome::NoHandler,
            RequestOutcome::InvalidEvent(ReadError::TooDeep),
            RequestOutcome::InvalidPayload("[]"),
        ] {
            let response: Value = serde_json::from_str(&respond(&event_ref, &outcome)).expect("JSON");
            assert_eq!(response["id"], format!("{odd}{round}"));
            assert_eq!(response["flowId"], response["id"]);
            assert_eq!(response["auth"], json!({}));
            assert_eq!(response.as_object().expect("an object").len(), 8);
        }
    }
}

fn response(status: u16, body: &str) -> Result<Response, Failure> {
    Ok(Response { body: body.as_bytes().to_vec(), ..Response::new(status) })
}

#[test]
fn an_event_is_a_response_whatever_the_status() {
    for status in [200, 202, 400, 404, 429, 500, 503] {
        assert_eq!(classify_response(&response(status, EVENT)), ResponseClass::Done, "{status}");
        assert_eq!(
            classify_response(&response(status, &format!("\u{feff}{EVENT}"))),
            ResponseClass::Done,
            "{status}"
        );
        assert_eq!(
            classify_response(&response(status, r#"{"name":"a:b:error","version":"1"}"#)),
            ResponseClass::Done,
            "{status}"
        );
    }
}

#[test]
fn a_body_that_is_not_an_event_is_classified_by_its_status_and_fails_on_success() {
    let failed = |code, status| Error { code, status: Some(status), detail: String::new() };
    // A server might repeat the credentials of the request.
    let body = r#"{"auth":{"token":"s3cret"}}"#;
    for (status, code) in [(400, Code::Rejected), (403, Code::Unauthorized), (410, Code::Gone)] {
        assert_eq!(classify_response(&response(status, body)), ResponseClass::Fail(failed(code, status)));
    }
    assert_eq!(classify_response(&response(302, EVENT)), ResponseClass::Fail(failed(Code::Redirected, 302)));
    assert_eq!(
        classify_response(&response(503, body)),
        ResponseClass::Retry(failed(Code::Unavailable, 503), None)
    );
    assert_eq!(
        classify_response(&Err(Failure::Timeout)),
        ResponseClass::Retry(Error::new(Code::Timeout), None)
    );
    for (body, detail) in [
        ("", "the text is not JSON"),
        ("hello", "the text is not JSON"),
        ("[]", "the text is not a JSON object"),
        ("{}", "the member name of the response must be a string"),
        (r#"{"name":"a"}"#, "the member version of the response must be an integer"),
    ] {
        let expected = Error { code: Code::InvalidEvent, status: Some(200), detail: detail.to_owned() };
        assert_eq!(classify_response(&response(200, body)), ResponseClass::Fail(expected), "{body}");
    }
}
