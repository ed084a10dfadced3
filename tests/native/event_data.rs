//! The data of events that resemble earlier ones: what was learned from those never changes the result.

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::json::{ScanContext, Sequence, SequenceOptions, scan_document};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::{Row, Table};
use eventferry::engine::jitter::Rng;

use crate::rows::scan_rows;

const HEAD: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":"#;

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.up_to(from.len() as u64 - 1) as usize]
}

fn scan(text: &[u8], layout: &mut Layout) -> Result<Row, u32> {
    let bytes = pad(text);
    let mut scratch = vec![0; bytes.len()];
    let mut table = Table::new();
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout };
    match scan_document::<Swar>(Padded::new(&bytes).expect("padded"), &mut context) {
        0 => Ok(table.row),
        code => Err(code),
    }
}

fn scan_batch(text: &[u8], is_trusted: bool) -> Result<Vec<Row>, u32> {
    let options =
        SequenceOptions { sequence: Sequence::Batch, in_bytes: false, is_trusted, skips_invalid: false };
    match scan_rows::<Swar>(text, options, &mut ()) {
        (0, rows, _) => Ok(rows),
        (code, ..) => Err(code),
    }
}

fn scalar<'a>(rng: &mut Rng) -> &'a str {
    pick(
        rng,
        &[
            "0",
            "7",
            "-3",
            "12.5",
            "0.25",
            "1e5",
            "-0.5E-10",
            "123456789012345",
            "1234567890123456",
            "123456789012.5",
            "1234567890123.25",
            "true",
            "false",
            "null",
            "\"\"",
            "\"plain\"",
            "\"fifteen chars..\"",
            "\"more than sixteen characters\"",
            "\"é€😀\"",
            "\"a\\\"b\\\\\"",
            "\"\\u00e9\\n\"",
            "\"{[,]}:\"",
            // Not JSON.
            "01",
            "-",
            "1.",
            ".5",
            "1.e5",
            "truE",
            "nul",
            "\"\\x\"",
            "tru",
            "falsey",
        ],
    )
}

/// Data like those of one producer: the members of the objects are the same, their values and the length of the list are not.
fn data(rng: &mut Rng) -> String {
    let scalar = |rng: &mut Rng| loop {
        let text = scalar(rng);
        // One in thirty values is not JSON.
        if serde_json::from_str::<serde_json::Value>(text).is_ok() || rng.up_to(9) == 0 {
            return text;
        }
    };
    let items: Vec<String> = (0..rng.up_to(4))
        .map(|_| {
            let tags = pick(rng, &["[]", "[1]", "[1,2]", "[{}]", "[[\"x\"]]"]);
            format!("{{\"sku\":{},\"tags\":{tags},\"price\":{}}}", scalar(rng), scalar(rng))
        })
        .collect();
    let items = items.join(pick(rng, &[",", ",", ",", " , ", ",\n    "]));
    match rng.up_to(9) {
        0 => format!("[{items}]"),
        1 => format!(
            "{{\"amount\":{},\"another member with a name of more than sixty-four characters, as few have\":{}}}",
            scalar(rng),
            scalar(rng)
        ),
        2 => format!("{{\"é\":{},\"a\\n\":{}}}", scalar(rng), scalar(rng)),
        3 => {
            let depth = pick(rng, &["1", "61", "62", "63", "64", "65", "511", "512"])
                .parse::<usize>()
                .expect("a number");
            format!("{}{}{}", "[".repeat(depth), scalar(rng), "]".repeat(depth))
        }
        4 => format!("{{\"optional\":{},\"amount\":{},\"items\":[{items}]}}", scalar(rng), scalar(rng)),
        _ => format!(
            "{{\"amount\":{},\"a name of twenty bytes\":{},\"items\":[{items}],\"note\":{}}}",
            scalar(rng),
            scalar(rng),
            scalar(rng)
        ),
    }
}

fn event(rng: &mut Rng, data: &str) -> Vec<u8> {
    let mut text = format!("{HEAD}{data}}}").into_bytes();
    if rng.up_to(4) == 0 {
        let at = HEAD.len() + rng.up_to((text.len() - HEAD.len() - 1) as u64) as usize;
        match rng.up_to(2) {
            0 => drop(text.remove(at)),
            1 => text[at] = b",:{}[]\"\\0-.e \x00\x80a"[rng.up_to(15) as usize],
            _ => text.insert(at, b",:{}[]\"\\0-.e \x00\x80a"[rng.up_to(15) as usize]),
        }
    }
    text
}

#[test]
fn earlier_data_never_change_the_result() {
    let mut rng = Rng::new(7);
    let mut layout = Layout::new();
    let (mut accepted, mut rejected) = (0, 0);
    for round in 0..60_000 {
        if round % 2_000 == 0 {
            layout = Layout::new();
        }
        let data = data(&mut rng);
        let text = event(&mut rng, &data);
        let found = scan(&text, &mut layout);
        assert_eq!(found, scan(&text, &mut Layout::new()), "{:?}", String::from_utf8_lossy(&text));
        if found.is_ok() {
            accepted += 1;
        } else {
            rejected += 1;
        }
    }
    assert!(accepted > 10_000 && rejected > 5_000, "{accepted} {rejected}");
}

#[test]
fn a_batch_has_the_rows_of_its_events_whether_it_is_trusted_or_not() {
    let mut rng = Rng::new(8);
    let mut accepted = 0;
    for _ in 0..2_000 {
        let events: Vec<String> = (0..4)
            .map(|_| {
                loop {
                    let text = format!("{HEAD}{}}}", data(&mut rng));
                    if scan(text.as_bytes(), &mut Layout::new()).is_ok() {
                        return text;
                    }
                }
            })
            .collect();
        let mut text = format!("[{}]", events.join(","));
        let rows = scan_batch(text.as_bytes(), false).expect("valid");
        assert_eq!(scan_batch(text.as_bytes(), true), Ok(rows.clone()), "{text}");
        for (row, event) in rows.iter().zip(&events) {
            let mut row = *row;
            let (start, end) = row.extent();
            assert_eq!((end - start) as usize, event.encode_utf16().count());
            row.set_extent(0, 0);
            assert_eq!(Ok(row), scan(event.as_bytes(), &mut Layout::new()));
        }
        accepted += rows.len();
        // What is not JSON does no harm.
        let at = rng.up_to(text.len() as u64 - 1) as usize;
        if text.is_char_boundary(at) {
            text.truncate(at);
            let _ = scan_batch(text.as_bytes(), true);
        }
    }
    assert_eq!(accepted, 8_000);
}

#[test]
fn data_that_never_repeat_and_data_that_repeat_after_them_have_the_same_rows_as_alone() {
    let mut layout = Layout::new();
    for round in 0..3_000 {
        let text = format!("{HEAD}{{\"member{round}\":[{round},{{\"other{round}\":true}}]}}}}");
        assert_eq!(scan(text.as_bytes(), &mut layout), scan(text.as_bytes(), &mut Layout::new()), "{text}");
    }
    for round in 0..1_000 {
        let text = format!("{HEAD}{{\"a\":{round},\"b\":[true,\"{round}\"]}}}}");
        assert_eq!(scan(text.as_bytes(), &mut layout), scan(text.as_bytes(), &mut Layout::new()), "{text}");
    }
}
