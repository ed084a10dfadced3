//! Several events with one layout, against each event with a new layout: the fast path must not change the result.
//! The byte 0xff, which UTF-8 does not have, separates the events.
#![no_main]

#[path = "scan.rs"]
mod scan;

use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::member::{MEMBER_COUNT, Member};
use eventferry::cloudevents::table::UNPACKED;
use libfuzzer_sys::fuzz_target;
use scan::{Found, scan};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

fuzz_target!(|input: &[u8]| {
    let mut layout = Layout::new();
    for text in input.split(|byte| *byte == 0xff) {
        let alone = scan(text, &mut Layout::new());
        for round in ["first", "again"] {
            let found = scan(text, &mut layout);
            assert_eq!(found, alone, "{round}: {:?}", String::from_utf8_lossy(text));
        }
        if let Ok(found) = alone {
            check(text, &found);
        }
    }
});

/// An accepted event is JSON for `serde_json` as well, and every position has the value that `serde_json` finds.
fn check(text: &[u8], (row, extensions): &Found) {
    let text = std::str::from_utf8(text).expect("accepted, so it is UTF-8");
    let units: Vec<u16> = text.encode_utf16().collect();
    let cut = |start: u32, end: u32| {
        String::from_utf16(&units[start as usize..end as usize]).expect("whole characters")
    };
    let members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).expect("accepted, so it is JSON");
    for (member, name) in NAMES {
        match row.packed[member as usize] {
            0 | UNPACKED => {}
            packed => {
                let start = packed >> 12;
                let raw = cut(start - 1, start + (packed & 0xfff) + 1);
                assert_eq!(raw, members[name].get(), "{name}");
            }
        }
    }
    let (start, end) = (row.packed[Member::Data as usize], row.packed[Member::DataBase64 as usize]);
    if end != 0 {
        let raw = cut(start, end);
        let found = ["data", "data_base64"].iter().filter_map(|name| members.get(*name)).any(|value| {
            let value = value.get();
            raw == value || value.len() >= 2 && raw == value[1..value.len() - 1]
        });
        assert!(found, "the payload is {raw}");
    }
    for [name_start, name_end, start, end, flags] in extensions {
        let name: String =
            serde_json::from_str(&format!("\"{}\"", cut(*name_start, *name_end))).expect("a name");
        let quotes = (flags & 1 == 0) as u32;
        assert_eq!(cut(start - quotes, end + quotes), members[&name].get(), "{name}");
    }
}

const NAMES: [(Member, &str); MEMBER_COUNT - 4] = [
    (Member::Id, "id"),
    (Member::Source, "source"),
    (Member::Type, "type"),
    (Member::Time, "time"),
    (Member::Subject, "subject"),
    (Member::DataContentType, "datacontenttype"),
    (Member::DataSchema, "dataschema"),
    (Member::SchemaUrl, "schemaurl"),
];
