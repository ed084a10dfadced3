//! Events of the events protocol: what is read is what `serde_json` reads, every rule refuses the first member that it must, and the answer to
//! whatever came is an event.
#![no_main]

use std::collections::BTreeMap;

use eventferry::events_protocol::event::{Envelope, Member, Rule};
use eventferry::events_protocol::server::{Outcome, Subject, accept, settle};
use eventferry::events_protocol::wire::Fault;
use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;

type Members<'t> = BTreeMap<String, &'t RawValue>;

fuzz_target!(|text: &[u8]| {
    let bytes = pad(text);
    let padded = Padded::new(&bytes).expect("padded");
    let members: Option<Members<'_>> = serde_json::from_slice(text).ok();
    for rule in [Rule::Usual, Rule::Strict, Rule::Lenient, Rule::Answer] {
        let found = accept::<Swar>(padded, rule);
        match (&found, &members) {
            (Ok(envelope), Some(members)) => {
                assert_eq!(first_wrong(members, rule), None, "{rule:?}");
                compare(text, envelope, members, rule);
            }
            (Err(Fault::Member(member)), Some(members)) => {
                assert_eq!(first_wrong(members, rule), Some(*member), "{rule:?}")
            }
            (Err(Fault::TooDeep), _) => {}
            (Err(fault), Some(_)) => panic!("{fault:?}, but it is an object"),
            // A name with half a surrogate pair is none of ours, and no String.
            (Ok(_) | Err(Fault::Member(_)), None) => {
                assert!(String::from_utf8_lossy(text).to_ascii_lowercase().contains("\\ud"))
            }
            (Err(_), None) => {}
        }
        answer(text, found);
    }
});

/// A rule as its documentation says it, by the first characters of the members.
fn first_wrong(members: &Members<'_>, rule: Rule) -> Option<Member> {
    let raw = |name: &str| members.get(name).map(|value| value.get());
    Member::ALL.into_iter().find(|member| {
        let mut text = raw(member.as_str());
        if *member == Member::FlowId && rule != Rule::Strict {
            text = text.or_else(|| raw("flow_id"));
        }
        let starts = |with: char| text.is_some_and(|text| text.starts_with(with));
        let is_absent = text.is_none_or(|text| text == "null");
        let lenient = matches!(rule, Rule::Lenient | Rule::Answer);
        let fits = match member {
            Member::Name => starts('"'),
            Member::Version => {
                let digits = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
                let quoted = digits.filter(|digits| lenient && digits.bytes().all(|b| b.is_ascii_digit()));
                quoted.or(text).is_some_and(|text| text.parse::<i32>().is_ok())
            }
            Member::Id | Member::FlowId => {
                starts('"') || rule == Rule::Answer || rule == Rule::Lenient && is_absent
            }
            Member::Payload => text.is_some() || lenient,
            _ => starts('{') || rule == Rule::Answer || rule != Rule::Strict && is_absent,
        };
        !fits
    })
}

fn compare(text: &[u8], envelope: &Envelope, members: &Members<'_>, rule: Rule) {
    let text = std::str::from_utf8(text).expect("accepted, so it is UTF-8");
    let units: Vec<u16> = text.encode_utf16().collect();
    for member in Member::ALL {
        let Some((kind, span)) = envelope.get(member) else { continue };
        let quotes = usize::from(kind == eventferry::base::json::scan::Kind::String);
        let raw = &text[span.start - quotes..span.end + quotes];
        let name = match member {
            Member::FlowId if rule != Rule::Strict && !members.contains_key("flowId") => "flow_id",
            member => member.as_str(),
        };
        assert_eq!(raw, members[name].get(), "{name}");
        let cut = &units[span.start_unit - quotes..span.end_unit + quotes];
        assert_eq!(String::from_utf16(cut).expect("whole characters"), raw, "{name}");
    }
}

fn answer(text: &[u8], found: Result<Envelope, Fault>) {
    let (subject, outcome) = match &found {
        Ok(envelope) => {
            let cut = |member| {
                let span = envelope.get(member).map(|(_, span)| &text[span.start..span.end]);
                span.map_or("", |bytes| std::str::from_utf8(bytes).expect("UTF-8"))
            };
            let subject =
                Subject { name: cut(Member::Name), version: "1", id: cut(Member::Id), flow_id: "f" };
            (subject, if text.len() % 2 == 0 { Outcome::NoHandler } else { Outcome::Returned("{}") })
        }
        Err(fault) => (Subject { name: "", version: "1", id: "i", flow_id: "f" }, Outcome::Malformed(*fault)),
    };
    let written = settle(&subject, &outcome);
    let answer: Option<Value> = serde_json::from_str(&written).ok();
    // Half surrogates come back as they came, and serde_json does not take them.
    let answer = answer.unwrap_or_else(|| {
        assert!(written.to_ascii_lowercase().contains("\\ud"), "{written}");
        Value::Null
    });
    assert!(answer.is_null() || answer.as_object().is_some_and(|members| members.len() == 8), "{written}");
}
