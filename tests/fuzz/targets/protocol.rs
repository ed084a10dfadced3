//! The events protocol: members are read as `serde_json` reads them, every rule refuses the first invalid member, and
//! the response to any input is an event.
#![no_main]

use std::collections::BTreeMap;

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::events_protocol::event::{Envelope, EnvelopeRule, Member};
use eventferry::events_protocol::server::{EventRef, RequestOutcome, respond};
use eventferry::events_protocol::wire::{ReadError, read_event};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

type Members<'t> = BTreeMap<String, &'t RawValue>;

fuzz_target!(|text: &[u8]| {
    let bytes = pad(text);
    let padded = Padded::new(&bytes).expect("padded");
    let members: Option<Members<'_>> = serde_json::from_slice(text).ok();
    for rule in [EnvelopeRule::Usual, EnvelopeRule::Strict, EnvelopeRule::Lenient, EnvelopeRule::Response] {
        let found = read_event::<Swar>(padded, rule);
        match (&found, &members) {
            (Ok(envelope), Some(members)) => {
                assert_eq!(first_wrong(members, rule), None, "{rule:?}");
                compare(text, envelope, members, rule);
            }
            (Err(ReadError::Member(member)), Some(members)) => {
                assert_eq!(first_wrong(members, rule), Some(*member), "{rule:?}")
            }
            (Err(ReadError::TooDeep), _) => {}
            (Err(error), Some(_)) => panic!("{error:?}, but the text is an object"),
            // A member name with half a surrogate pair cannot be a `String`.
            (Ok(_) | Err(ReadError::Member(_)), None) => {
                assert!(String::from_utf8_lossy(text).to_ascii_lowercase().contains("\\ud"))
            }
            (Err(_), None) => {}
        }
        answer(text, found);
    }
});

/// The rules as documented, checked by the first characters of the members.
fn first_wrong(members: &Members<'_>, rule: EnvelopeRule) -> Option<Member> {
    let raw = |name: &str| members.get(name).map(|value| value.get());
    Member::ALL.into_iter().find(|member| {
        let mut text = raw(member.as_str());
        if *member == Member::FlowId && rule != EnvelopeRule::Strict {
            text = text.or_else(|| raw("flow_id"));
        }
        let starts = |with: char| text.is_some_and(|text| text.starts_with(with));
        let is_absent = text.is_none_or(|text| text == "null");
        let lenient = matches!(rule, EnvelopeRule::Lenient | EnvelopeRule::Response);
        let is_valid = match member {
            Member::Name => starts('"'),
            Member::Version => {
                let digits = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
                let quoted = digits.filter(|digits| lenient && digits.bytes().all(|b| b.is_ascii_digit()));
                quoted.or(text).is_some_and(|text| text.parse::<i32>().is_ok())
            }
            Member::Id | Member::FlowId => {
                starts('"') || rule == EnvelopeRule::Response || rule == EnvelopeRule::Lenient && is_absent
            }
            Member::Payload => text.is_some() || lenient,
            _ => starts('{') || rule == EnvelopeRule::Response || rule != EnvelopeRule::Strict && is_absent,
        };
        !is_valid
    })
}

fn compare(text: &[u8], envelope: &Envelope, members: &Members<'_>, rule: EnvelopeRule) {
    let text = std::str::from_utf8(text).expect("accepted, so it is UTF-8");
    let units: Vec<u16> = text.encode_utf16().collect();
    for member in Member::ALL {
        let Some((kind, span)) = envelope.get(member) else { continue };
        let quotes = usize::from(kind == eventferry::base::json::scan::Kind::String);
        let raw = &text[span.start - quotes..span.end + quotes];
        let name = match member {
            Member::FlowId if rule != EnvelopeRule::Strict && !members.contains_key("flowId") => "flow_id",
            member => member.as_str(),
        };
        assert_eq!(raw, members[name].get(), "{name}");
        let cut = &units[span.start_unit - quotes..span.end_unit + quotes];
        assert_eq!(String::from_utf16(cut).expect("whole characters"), raw, "{name}");
    }
}

fn answer(text: &[u8], found: Result<Envelope, ReadError>) {
    let (event, outcome) = match &found {
        Ok(envelope) => {
            let cut = |member| {
                let span = envelope.get(member).map(|(_, span)| &text[span.start..span.end]);
                span.map_or("", |bytes| std::str::from_utf8(bytes).expect("UTF-8"))
            };
            let event = EventRef { name: cut(Member::Name), version: "1", id: cut(Member::Id), flow_id: "f" };
            (
                event,
                if text.len() % 2 == 0 { RequestOutcome::NoHandler } else { RequestOutcome::Payload("{}") },
            )
        }
        Err(error) => {
            (EventRef { name: "", version: "1", id: "i", flow_id: "f" }, RequestOutcome::InvalidEvent(*error))
        }
    };
    let written = respond(&event, &outcome);
    let answer: Option<Value> = serde_json::from_str(&written).ok();
    // Half surrogates are returned unchanged, and serde_json refuses them.
    let answer = answer.unwrap_or_else(|| {
        assert!(written.to_ascii_lowercase().contains("\\ud"), "{written}");
        Value::Null
    });
    assert!(answer.is_null() || answer.as_object().is_some_and(|members| members.len() == 8), "{written}");
}
