//! The two steps of a server of the events protocol, and the judge of its client.

use eventferry::base::error::{Code, Error};
use eventferry::base::http::{Failure, Response};
use eventferry::base::json::block::{Native, Swar};
use eventferry::base::json::padded::{Padded, pad};
use eventferry::engine::classify::ResponseClass;
use eventferry::engine::jitter::Rng;
use eventferry::events_protocol::client::judge;
use eventferry::events_protocol::event::{Envelope, Member, Rule};
use eventferry::events_protocol::server::{Outcome, Subject, accept, settle};
use eventferry::events_protocol::wire::Fault;
use serde_json::{Value, json};

const EVENT: &str = r#"{"name":"get:event:example","version":1,"id":"id-1","flowId":"flow-1","payload":{"example":"x"},"identity":{"userId":1},"auth":{"token":"s"},"metadata":{"origin":"w"}}"#;

fn take(text: &str, rule: Rule) -> Result<Envelope, Fault> {
    let padded = pad(text.as_bytes());
    accept::<Swar>(Padded::new(&padded).expect("padded"), rule)
}

fn cut<'t>(text: &'t str, envelope: &Envelope, member: Member) -> Option<&'t str> {
    envelope.get(member).map(|(_, span)| &text[span.start..span.end])
}

/// The event with one member put in place of another, or left out.
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
fn finds_every_member_where_it_stands() {
    let envelope = take(EVENT, Rule::Strict).expect("an event");
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
        assert_eq!(cut(EVENT, &envelope, member), Some(text));
    }
}

#[test]
fn knows_names_that_are_written_with_escapes_and_takes_the_last_of_two() {
    let text = r#"{"n\u0061me":"\u0061","name":"b:c","version":1,"id":"i","flow\u0049d":"f","payload":1,"payload":2,"n\u0061metoolongtobeaname\u0061\u0061\u0061\u0061\u0061":0,"\u0000":1}"#;
    let envelope = take(text, Rule::Usual).expect("an event");
    assert_eq!(cut(text, &envelope, Member::Name), Some("b:c"));
    assert_eq!(cut(text, &envelope, Member::FlowId), Some("f"));
    assert_eq!(cut(text, &envelope, Member::Payload), Some("2"));
}

#[test]
fn says_what_is_wrong_with_a_text_that_is_no_event() {
    for (text, fault) in [
        ("", Fault::NotJson),
        ("not json", Fault::NotJson),
        ("{", Fault::NotJson),
        (r#"{"name":NaN}"#, Fault::NotJson),
        ("null", Fault::NotObject),
        ("[]", Fault::NotObject),
        ("7 ", Fault::NotObject),
        ("7 7", Fault::NotJson),
        ("{}", Fault::Member(Member::Name)),
        ("{} {}", Fault::NotJson),
    ] {
        assert_eq!(take(text, Rule::Usual).err(), Some(fault), "{text}");
        assert_eq!(take(text, Rule::Lenient).err(), Some(fault), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(take(&deep, Rule::Usual).err(), Some(Fault::TooDeep));
    let padded = pad(b"{\"name\":\"\xff\"}");
    let text = Padded::new(&padded).expect("padded");
    assert_eq!(accept::<Swar>(text, Rule::Usual).err(), Some(Fault::NotUtf8));
}

#[test]
fn each_rule_takes_what_it_says() {
    use Member::{Auth, FlowId, Id, Identity, Metadata, Name, Payload, Version};
    // A member, what it is, and who refuses that: S strict, U usual, L lenient, A an answer.
    let big = json!(2_147_483_648_i64);
    for (member, value, refused) in [
        (Name, None, "SULA"),
        (Name, Some(json!(5)), "SULA"),
        (Name, Some(json!(null)), "SULA"),
        (Name, Some(json!("")), ""),
        (Version, None, "SULA"),
        (Version, Some(json!(null)), "SULA"),
        (Version, Some(json!(true)), "SULA"),
        (Version, Some(json!(1.5)), "SULA"),
        (Version, Some(big), "SULA"),
        (Version, Some(json!(70_000)), ""),
        (Version, Some(json!(-1)), ""),
        (Version, Some(json!("1")), "SU"),
        (Version, Some(json!("v1")), "SULA"),
        (Version, Some(json!("")), "SULA"),
        (Version, Some(json!("+1")), "SULA"),
        (Version, Some(json!("99999999999")), "SULA"),
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
        for (letter, rule) in
            [("S", Rule::Strict), ("U", Rule::Usual), ("L", Rule::Lenient), ("A", Rule::Answer)]
        {
            let expected = refused.contains(letter).then_some(Fault::Member(member));
            assert_eq!(take(&text, rule).err(), expected, "{rule:?}: {text}");
        }
    }
}

#[test]
fn flow_id_stands_in_only_where_there_is_no_flow_id_in_camel_case() {
    let both = with("flow_id", Some(json!("snake")));
    let envelope = take(&both, Rule::Usual).expect("an event");
    assert_eq!(cut(&both, &envelope, Member::FlowId), Some("flow-1"));
    let one = both.replace("flowId", "other");
    let envelope = take(&one, Rule::Usual).expect("an event");
    assert_eq!(cut(&one, &envelope, Member::FlowId), Some("snake"));
    assert_eq!(take(&one, Rule::Strict).err(), Some(Fault::Member(Member::FlowId)));
}

const SUBJECT: Subject<'_> = Subject { name: "get:event", version: "3", id: "i\\\"1", flow_id: "f" };

#[test]
fn every_end_has_its_answer() {
    let head = r#""version":3,"id":"i\"1","flowId":"f","payload":"#;
    let bare = r#""version":1,"id":"i\"1","flowId":"f","payload":"#;
    let tail = r#","identity":{},"auth":{},"metadata":{}}"#;
    let error = |code: &str, parameters: &str| format!(r#"{{"code":"{code}","parameters":{parameters}}}"#);
    for (outcome, name, head, payload) in [
        (Outcome::Returned("[1, 2]"), "get:event:response", head, "[1, 2]".to_owned()),
        (
            Outcome::Raised { suffix: "userDenied", code: "\"NO\"", parameters: "{\"a\":1}" },
            "get:event:userDenied",
            head,
            error("NO", "{\"a\":1}"),
        ),
        (Outcome::Refused("[]"), "get:event:badRequest", head, error("MISSING_FIELDS", "{\"fields\":[]}")),
        (Outcome::Unhandled("{}"), "get:event:error", head, error("UNHANDLED_ERROR", "{}")),
        (
            Outcome::Late("20"),
            "get:event:error",
            head,
            error("EVENT_TIMEOUT", r#"{"message":"the handler did not come to an end within 20 ms"}"#),
        ),
        (
            Outcome::Busy,
            "get:event:error",
            head,
            error("TOO_MANY_EVENTS", r#"{"message":"too many events are being handled; try again later"}"#),
        ),
        (
            Outcome::NoHandler,
            "eventNotFound",
            bare,
            error("NO_EVENT_HANDLER_FOUND", r#"{"event":"get:event","version":3}"#),
        ),
        (
            Outcome::Malformed(Fault::Member(Member::FlowId)),
            "badProtocol",
            bare,
            error("INVALID_COMMUNICATION_PROTOCOL", r#"{"propertyName":"flowId"}"#),
        ),
        (
            Outcome::Malformed(Fault::NotJson),
            "badProtocol",
            bare,
            error("INVALID_COMMUNICATION_PROTOCOL", r#"{"message":"the text is not JSON"}"#),
        ),
    ] {
        let expected = format!("{{\"name\":\"{name}\",{head}{payload}{tail}");
        assert_eq!(settle(&SUBJECT, &outcome), expected, "{outcome:?}");
    }
    let built = Outcome::Built { payload: "null", identity: "{\"u\":1}", metadata: "{\"m\":2}" };
    assert_eq!(
        settle(&SUBJECT, &built),
        format!(
            "{{\"name\":\"get:event\",{head}null,\"identity\":{{\"u\":1}},\"auth\":{{}},\"metadata\":{{\"m\":2}}}}"
        )
    );
}

/// An event that was hurt in up to four places.
fn hurt(rng: &mut Rng) -> Vec<u8> {
    const WORDS: [&[u8]; 14] = [
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
        let word = WORDS[rng.up_to(WORDS.len() as u64 - 1) as usize];
        bytes.splice(from..to, word.iter().copied());
    }
    bytes
}

#[test]
fn hurt_events_are_read_as_serde_json_reads_them_or_refused() {
    let mut rng = Rng::new(6);
    let mut taken = 0;
    for _ in 0..60_000 {
        let bytes = hurt(&mut rng);
        let padded = pad(&bytes);
        let text = Padded::new(&padded).expect("padded");
        let found = accept::<Swar>(text, Rule::Usual);
        let native = accept::<Native>(text, Rule::Usual);
        assert_eq!(found.as_ref().err(), native.as_ref().err());
        let value: Option<Value> = serde_json::from_slice(&bytes).ok();
        let Ok(envelope) = found else { continue };
        taken += 1;
        // What we take serde_json takes too, with the same members; it is the stricter one only with half surrogates, which `WORDS` cannot make.
        let value = value.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)));
        for member in Member::ALL {
            let Some((kind, span)) = envelope.get(member) else { continue };
            let raw = &bytes[span.start..span.end];
            let is_text = kind == eventferry::base::json::scan::Kind::String;
            let json = if is_text { [b"\"", raw, b"\""].concat() } else { raw.to_vec() };
            let read: Value = serde_json::from_slice(&json).expect("a member is JSON");
            let there = value.get(member.as_str()).or_else(|| value.get("flow_id"));
            assert_eq!(Some(&read), there, "{}", String::from_utf8_lossy(&bytes));
        }
    }
    assert!((500..50_000).contains(&taken), "{taken} of 60000 is no fair mix");
}

#[test]
fn an_answer_is_json_with_the_ids_of_its_request_whatever_they_are() {
    let mut rng = Rng::new(7);
    for round in 0..5_000 {
        let odd: String = (0..rng.up_to(12))
            .map(|_| char::from_u32(rng.up_to(0x2fff) as u32).unwrap_or('\u{1f600}'))
            .collect();
        let quoted = Value::String(format!("{odd}{round}")).to_string();
        let raw = &quoted[1..quoted.len() - 1];
        let subject = Subject { name: raw, version: "2", id: raw, flow_id: raw };
        for outcome in [
            Outcome::Returned(&quoted),
            Outcome::NoHandler,
            Outcome::Malformed(Fault::TooDeep),
            Outcome::Refused("[]"),
        ] {
            let answer: Value = serde_json::from_str(&settle(&subject, &outcome)).expect("JSON");
            assert_eq!(answer["id"], format!("{odd}{round}"));
            assert_eq!(answer["flowId"], answer["id"]);
            assert_eq!(answer["auth"], json!({}));
            assert_eq!(answer.as_object().expect("an object").len(), 8);
        }
    }
}

fn answer(status: u16, body: &str) -> Result<Response, Failure> {
    Ok(Response { body: body.as_bytes().to_vec(), ..Response::new(status) })
}

#[test]
fn an_event_is_an_answer_whatever_the_status() {
    for status in [200, 202, 400, 404, 429, 500, 503] {
        assert_eq!(judge(&answer(status, EVENT)), ResponseClass::Done, "{status}");
        assert_eq!(judge(&answer(status, &format!("\u{feff}{EVENT}"))), ResponseClass::Done, "{status}");
        assert_eq!(
            judge(&answer(status, r#"{"name":"a:b:error","version":"1"}"#)),
            ResponseClass::Done,
            "{status}"
        );
    }
}

#[test]
fn what_is_no_event_is_judged_by_its_status_and_success_is_none() {
    let failed = |code, status| Error { code, status: Some(status), detail: String::new() };
    // The token stands for what a server might repeat of the request.
    let body = r#"{"auth":{"token":"s3cret"}}"#;
    for (status, code) in [(400, Code::Rejected), (403, Code::Unauthorized), (410, Code::Gone)] {
        assert_eq!(judge(&answer(status, body)), ResponseClass::Fail(failed(code, status)));
    }
    assert_eq!(judge(&answer(302, EVENT)), ResponseClass::Fail(failed(Code::Redirected, 302)));
    assert_eq!(judge(&answer(503, body)), ResponseClass::Retry(failed(Code::Unavailable, 503), None));
    assert_eq!(judge(&Err(Failure::Timeout)), ResponseClass::Retry(Error::new(Code::Timeout), None));
    for (body, detail) in [
        ("", "the text is not JSON"),
        ("hello", "the text is not JSON"),
        ("[]", "the text is not a JSON object"),
        ("{}", "the answer has no member name that is text"),
        (r#"{"name":"a"}"#, "the answer has no member version that is a whole number"),
    ] {
        let expected = Error { code: Code::InvalidEvent, status: Some(200), detail: detail.to_owned() };
        assert_eq!(judge(&answer(200, body)), ResponseClass::Fail(expected), "{body}");
    }
}
