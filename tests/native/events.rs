//! The scanner of events against `serde_json`, and its fast path against the scan without it.

use eventferry::base::error::Code;
use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::json::{ScanContext, Sequence, SequenceOptions, is_json_text, scan_document};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::member::Member;
use eventferry::cloudevents::table::{Row, Table, UNPACKED};
use eventferry::engine::jitter::Rng;
use serde_json::Value;
use serde_json::de::IoRead;

use crate::rows::scan_rows;

/// Scans one event: 0 or the number of a code, and the table.
fn scan(text: &[u8], layout: &mut Layout) -> (u32, Table) {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let mut table = Table::new();
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout };
    let code = scan_document::<Swar>(Padded::new(&bytes).expect("padded"), &mut context);
    (code, table)
}

fn code_of(text: &str) -> Option<Code> {
    let (code, _) = scan(text.as_bytes(), &mut Layout::new());
    code.checked_sub(1).map(|row| Code::ALL[row as usize])
}

fn is_json(text: &[u8]) -> bool {
    let bytes = pad(text);
    is_json_text::<Swar>(Padded::new(&bytes).expect("padded"))
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.up_to(from.len() as u64 - 1) as usize]
}

/// Random JSON text of limited depth, with random white space.
fn random_json(rng: &mut Rng, depth: u64) -> String {
    let space = |rng: &mut Rng| pick(rng, &["", "", "", " ", "\n", "\t \r"]);
    let kinds = if depth == 0 { 6 } else { 8 };
    let value = match rng.up_to(kinds - 1) {
        0 => pick(rng, &["null", "true", "false"]).to_owned(),
        1 | 2 => {
            pick(rng, &["0", "-0", "1", "-12", "12.5", "1e5", "-1.5E-10", "12345678901234567890", "0.0"])
                .to_owned()
        }
        3..=5 => random_string(rng),
        6 => {
            let items: Vec<String> = (0..rng.up_to(3)).map(|_| random_json(rng, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let members: Vec<String> = (0..rng.up_to(3))
                .map(|_| format!("{}{}:{}", random_string(rng), space(rng), random_json(rng, depth - 1)))
                .collect();
            format!("{{{}{}}}", space(rng), members.join(","))
        }
    };
    format!("{}{value}{}", space(rng), space(rng))
}

fn random_string(rng: &mut Rng) -> String {
    let fragments = [
        "a",
        "key",
        "long plain text of more than peek_block bytes",
        "é",
        "€",
        "😀",
        "\\n",
        "\\\"",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\/",
        "\u{7f}",
        " ",
        "{",
        "]",
        ",",
    ];
    let text: String = (0..rng.up_to(4)).map(|_| pick(rng, &fragments)).collect();
    format!("\"{text}\"")
}

/// Removes, changes or inserts a random byte, or truncates the text.
fn mutate(rng: &mut Rng, text: &mut Vec<u8>) {
    if text.is_empty() {
        return;
    }
    let at = rng.up_to(text.len() as u64 - 1) as usize;
    match rng.up_to(3) {
        0 => drop(text.remove(at)),
        1 => text[at] = rng.up_to(255) as u8,
        2 => text.insert(at, pick(rng, b"{}[]\",:\\0eE+-.tfn \x00\x1f\x7f\x80\xc3\xed\xf0")),
        _ => text.truncate(at),
    }
}

/// Whether `serde_json` accepts the text. It does not check UTF-8 in ignored strings, so that is checked here.
fn serde_accepts(text: &[u8]) -> bool {
    let mut stream = serde_json::Deserializer::new(IoRead::new(text));
    std::str::from_utf8(text).is_ok()
        && serde::de::IgnoredAny::deserialize_from(&mut stream)
        && stream.end().is_ok()
}

trait DeserializeFrom {
    fn deserialize_from(stream: &mut serde_json::Deserializer<IoRead<&[u8]>>) -> bool;
}

impl DeserializeFrom for serde::de::IgnoredAny {
    fn deserialize_from(stream: &mut serde_json::Deserializer<IoRead<&[u8]>>) -> bool {
        <Self as serde::Deserialize>::deserialize(stream).is_ok()
    }
}

#[test]
fn accepts_exactly_the_json_that_serde_accepts() {
    let mut rng = Rng::new(1);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..30_000 {
        let mut text = random_json(&mut rng, 4).into_bytes();
        for _ in 0..rng.up_to(2) {
            mutate(&mut rng, &mut text);
        }
        let expected = serde_accepts(&text);
        assert_eq!(is_json(&text), expected, "{:?}", String::from_utf8_lossy(&text));
        if expected { good += 1 } else { bad += 1 }
    }
    assert!(good > 5_000 && bad > 5_000, "{good} good, {bad} bad");
}

/// A string member as text, from its position in the table.
fn cut(text: &str, table: &Table, member: Member) -> Option<String> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let packed = table.row.packed[member as usize];
    let (start, end) = match packed {
        0 => return None,
        UNPACKED => {
            let place = table.span(member)?;
            (place.start as usize, place.end as usize)
        }
        packed => ((packed >> 12) as usize, (packed >> 12) as usize + (packed & 0xfff) as usize),
    };
    let raw = String::from_utf16(&units[start..end]).expect("whole characters");
    if table.row.escaped & member.bit() != 0 {
        serde_json::from_str(&format!("\"{raw}\"")).ok()
    } else {
        Some(raw)
    }
}

#[test]
fn members_have_the_values_that_serde_finds() {
    let mut rng = Rng::new(2);
    for _ in 0..3_000 {
        let data = random_json(&mut rng, 3);
        let subject = pick(&mut rng, &["plain", "é", "Euro \\u20ac", "\\ud83d\\ude00 x", "a\\/b"]);
        let id = "i".repeat(pick(&mut rng, &[1, 5, 4095, 4096, 5000]));
        let mut members = [
            "\"specversion\":\"1.0\"".to_owned(),
            format!("\"id\":\"{id}\""),
            "\"source\" : \"/s\"".to_owned(),
            "\"type\":\"t\"".to_owned(),
            format!("\"subject\":\"{subject}\""),
            format!("\"data\":{data}"),
        ];
        for at in (1..members.len()).rev() {
            members.swap(at, rng.up_to(at as u64) as usize);
        }
        let text = format!("{{ {} }}", members.join(" ,\n"));
        let (code, table) = scan(text.as_bytes(), &mut Layout::new());
        assert_eq!(code, 0, "{text}");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        for (member, name) in [
            (Member::Id, "id"),
            (Member::Source, "source"),
            (Member::Type, "type"),
            (Member::Subject, "subject"),
        ] {
            assert_eq!(cut(&text, &table, member).as_deref(), value[name].as_str(), "{name} of {text}");
        }
        let units: Vec<u16> = text.encode_utf16().collect();
        let (start, end) = payload(&table);
        let found = String::from_utf16(&units[start as usize..end as usize]).expect("whole characters");
        assert_eq!(found, data.trim_matches([' ', '\n', '\t', '\r']), "{text}");
    }
}

fn payload(table: &Table) -> (u32, u32) {
    (table.row.packed[Member::Data as usize], table.row.packed[Member::DataBase64 as usize])
}

/// The part of the table that is defined after a scan.
fn visible(code: u32, table: &Table) -> impl PartialEq + std::fmt::Debug + use<> {
    let extensions: Vec<_> = table.extensions[..table.row.extension_count as usize]
        .iter()
        .map(|e| (e.name_start, e.name_end, e.start, e.end, e.flags))
        .collect();
    (code == 0).then_some((table.row, extensions))
}

#[test]
fn the_fast_path_never_changes_the_result() {
    let mut rng = Rng::new(3);
    let mut layout = Layout::new();
    let mut accepted = 0;
    for _ in 0..40_000 {
        let version = pick(&mut rng, &["1.0", "1.0", "1.0", "1.0", "0.3", "0.9"]);
        let source = pick(&mut rng, &["/s", "/s", "/shop", "https://example.com/a/b?c", "not a uri", ""]);
        let media = pick(&mut rng, &["application/json", "application/json", "text/plain", "x"]);
        let time = pick(&mut rng, &["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-02-30T00:00:00Z"]);
        let tail = pick(
            &mut rng,
            &[
                "",
                "",
                "",
                ",\"ext\":\"v\"",
                ",\"ext\":\"w\"",
                ",\"ext\":5",
                ",\"Bad\":\"v\"",
                ",\"id\":\"2\"",
            ],
        );
        let data = pick(
            &mut rng,
            &[
                "{\"a\":1}",
                "\"text\"",
                "[1,2",
                "null",
                "{\"long\":\"0123456789abcdef0123456789\"}",
                // Strings that are other values without their quotes, and one without its end.
                "\"42\"",
                "\"true\"",
                "\"{}\"",
                "\"4",
            ],
        );
        let id = rng.up_to(999);
        let space = pick(&mut rng, &["", "", "", " "]);
        let mut text = match rng.up_to(3) {
            0 => format!("{{\"specversion\":\"{version}\",\"id\":\"{id}\",\"source\":\"{source}\",\"type\":\"t\"{tail}}}{space}"),
            1 => format!("{{\"specversion\":\"{version}\",\"id\":\"{id}\",\"source\":\"{source}\",\"type\":\"t\"{tail},\"data\":{data}{space}}}"),
            _ => format!("{{\"specversion\":\"{version}\",{space}\"id\":\"{id}\",\"source\":\"{source}\",\"type\":\"t\",\"time\":\"{time}\",\"datacontenttype\":\"{media}\"{tail},\"data\":{data}}}"),
        }
        .into_bytes();
        if rng.up_to(9) == 0 {
            mutate(&mut rng, &mut text);
        }
        let (code, table) = scan(&text, &mut layout);
        let (expected_code, expected) = scan(&text, &mut Layout::new());
        assert_eq!(code, expected_code, "{}", String::from_utf8_lossy(&text));
        assert_eq!(visible(code, &table), visible(code, &expected), "{}", String::from_utf8_lossy(&text));
        accepted += u32::from(code == 0);
    }
    assert!(accepted > 5_000, "{accepted}");
}

#[test]
fn a_batch_is_valid_if_its_events_are() {
    let event = |id: &str| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/s\",\"type\":\"t\",\"data\":{{\"é\":\"€😀\"}}}}"
        )
    };
    let cases = [
        ("[]".to_owned(), Ok(0)),
        (" [ ] ".to_owned(), Ok(0)),
        (format!("[{}]", event("1")), Ok(1)),
        (format!("[{} , {}]\n", event("1"), event("2")), Ok(2)),
        (String::new(), Err(Code::InvalidBatch)),
        ("{}".to_owned(), Err(Code::InvalidBatch)),
        ("[1]".to_owned(), Err(Code::InvalidBatch)),
        (format!("[{},]", event("1")), Err(Code::InvalidBatch)),
        (format!("[{}", event("1")), Err(Code::InvalidBatch)),
        (format!("[{}]]", event("1")), Err(Code::InvalidBatch)),
        (format!("[{}{}]", event("1"), event("2")), Err(Code::InvalidBatch)),
        ("[[]]".to_owned(), Err(Code::InvalidBatch)),
        (format!("[{},{{}}]", event("1")), Err(Code::MissingAttribute)),
        (format!("[{},{}]", event("1"), event("").replace("/s", "a b")), Err(Code::InvalidAttributeValue)),
        (format!("[{},{}]", event("1"), event("2").replace("1.0", "0.3")), Err(Code::InvalidBatch)),
    ];
    for (text, expected) in cases {
        for in_bytes in [false, true] {
            let (code, rows) = scan_all(&text, Sequence::Batch, in_bytes);
            let found = match code.checked_sub(1) {
                None => Ok(rows.len()),
                Some(row) => Err(Code::ALL[row as usize]),
            };
            assert_eq!(found, expected, "{text}");
            for (at, row) in rows.iter().enumerate() {
                let (start, end) = row.extent();
                let units: Vec<u16> = text.encode_utf16().collect();
                let part = match in_bytes {
                    true => text[start as usize..end as usize].to_owned(),
                    false => {
                        String::from_utf16(&units[start as usize..end as usize]).expect("whole characters")
                    }
                };
                assert_eq!(part, event(&(at + 1).to_string()));
                // Except for the extent, the row is that of the event alone.
                let (_, alone) = scan(part.as_bytes(), &mut Layout::new());
                let mut row = *row;
                row.set_extent(0, 0);
                assert_eq!(row, alone.row);
            }
        }
    }
}

#[test]
fn each_line_is_an_event_and_empty_lines_are_skipped() {
    let event = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"}";
    for (text, expected) in [
        (String::new(), Ok(0)),
        ("\n \r\n".to_owned(), Ok(0)),
        (event.to_owned(), Ok(1)),
        (format!("\n{event}\r\n\n{event}\n"), Ok(2)),
        (format!("{event} {event}"), Err(Code::InvalidBatch)),
        (format!("{event}\n["), Err(Code::InvalidBatch)),
    ] {
        let (code, rows) = scan_all(&text, Sequence::Lines, false);
        let found = match code.checked_sub(1) {
            None => Ok(rows.len()),
            Some(row) => Err(Code::ALL[row as usize]),
        };
        assert_eq!(found, expected, "{text:?}");
    }
}

fn scan_all(text: &str, sequence: Sequence, in_bytes: bool) -> (u32, Vec<Row>) {
    let options = SequenceOptions { sequence, in_bytes, is_trusted: false, skips_invalid: false };
    let (code, rows, _) = scan_rows::<Swar>(text.as_bytes(), options, &mut ());
    (code, if code == 0 { rows } else { Vec::new() })
}

#[test]
fn rejects_more_extensions_than_the_limit() {
    let event = |count: usize| {
        let extensions: String = (0..count).map(|n| format!(",\"ext{n}\":\"v\"")).collect();
        format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\"{extensions}}}")
    };
    assert_eq!(code_of(&event(128)), None);
    assert_eq!(code_of(&event(129)), Some(Code::TooLarge));
}

#[test]
fn a_duplicate_attribute_is_rejected_however_it_is_escaped() {
    let event = |members: &str| {
        format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",{members}}}")
    };
    for duplicate in [
        "\"id\":\"2\"",
        "\"\\u0069d\":\"2\"",
        "\"subject\":null,\"subject\":\"x\"",
        "\"e\":\"1\",\"e\":\"1\"",
        "\"ext\":1,\"e\\u0078t\":2",
        "\"data\":1,\"data\":1",
    ] {
        assert_eq!(code_of(&event(duplicate)), Some(Code::InvalidEvent), "{duplicate}");
    }
    assert_eq!(
        code_of(&event("\"e\":\"1\",\"f\":\"1\",\"schemaurl\":\"x\",\"datacontentencoding\":\"y\"")),
        None
    );
}

#[test]
fn a_string_with_the_text_of_another_value_is_a_string_each_time() {
    let event = |data: &str| {
        format!("{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"data\":{data}}}")
    };
    for data in ["\"42\"", "\"true\"", "\"{}\"", "\"x\"", "\"\""] {
        let mut layout = Layout::new();
        for round in 0..3 {
            assert_eq!(scan(event(data).as_bytes(), &mut layout).0, 0, "{data} in round {round}");
        }
        let truncated = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"t\",\"data\":\"1";
        assert_ne!(scan(truncated.as_bytes(), &mut layout).0, 0, "truncated after {data}");
    }
}

#[test]
fn extensions_have_the_order_of_the_text_on_both_paths() {
    let text = "{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"/\",\"type\":\"t\",\"dataschema\":\"e\",\"ext\":\"t\"}";
    let mut layout = Layout::new();
    for _ in 0..2 {
        let (code, table) = scan(text.as_bytes(), &mut layout);
        assert_eq!((code, table.row.extension_count), (0, 2));
        assert!(table.extensions[0].name_start < table.extensions[1].name_start);
    }
}
