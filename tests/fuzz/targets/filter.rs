//! CESQL. The first byte 0xff, which UTF-8 does not have, separates the expression from an event.
//!
//! No expression makes the parser or a run panic; the position of an error is in the expression; an event of a scanned
//! batch and a list of its values give the same result; a filter matches where the value is true without errors.
#![no_main]

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::filter::attributes::{Attributes, ListedAttributes};
use eventferry::cloudevents::filter::dialects::{
    FilterError, compile_expression, compile_filter, read_functions,
};
use eventferry::cloudevents::filter::program::Program;
use eventferry::cloudevents::filter::run::{Outcome, Runner};
use eventferry::cloudevents::filter::scanned::{Notes, ScannedEvent};
use eventferry::cloudevents::filter::value::{Errors, Value};
use eventferry::cloudevents::json::{ScanContext, Sequence, SequenceOptions, max_rows, scan_sequence_into};
use eventferry::cloudevents::layout::Layout;
use eventferry::cloudevents::table::{Row, Table};
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;

/// Functions of the user: one that returns its argument, one that adds, one that fails.
const FUNCTIONS: &str = r#"[["SAME","a","a"],["SUM","ii*i","i"],["FAILS","","b"]]"#;
/// A run calls at most as many functions as an expression can have, which has at least four bytes for each.
const MAX_CALLS: usize = 65_536 / 4;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0xff).unwrap_or(input.len());
    let (expression, event) = input.split_at(end);
    let Ok(expression) = std::str::from_utf8(expression) else { return };
    let functions = read_functions(FUNCTIONS);
    let filter = compile_filter(&serde_json::json!({ "sql": expression }).to_string(), &functions);
    let program = match compile_expression(expression, &functions) {
        Ok(program) => program,
        Err(error) => {
            assert!(error.at <= expression.encode_utf16().count(), "{error:?}");
            let same = FilterError::Expression { text: expression.to_owned(), error };
            assert_eq!(filter.expect_err("the same expression"), same);
            return;
        }
    };
    let filter = filter.expect("the same expression");
    check(&program, &filter, &&ListedAttributes::default());
    let batch = [b"[", event.get(1..).unwrap_or_default(), b"]"].concat();
    let Some((bytes, rows, notes)) = scan(&batch) else { return };
    let text = Padded::new(&bytes).expect("padded");
    let Ok(Json::Array(events)) = serde_json::from_slice(&batch) else { return };
    for (index, json) in events.iter().enumerate() {
        let event = ScannedEvent::new(text, &rows, &notes, index).expect("an event");
        let found = check(&program, &filter, &event);
        let listed = values(&program, json);
        assert_eq!(found, check(&program, &filter, &&listed), "{expression} of {json}");
    }
});

/// The value of an expression and its errors. The filter matches where it is true without errors.
fn check<'a>(program: &Program, filter: &Program, event: &impl Attributes<'a>) -> (Value<'static>, Errors) {
    let (value, errors) = run(program, event);
    let (is_match, none) = run(filter, event);
    assert_eq!(is_match, Value::Bool(value == Value::Bool(true) && errors.is_empty()));
    assert!(none.is_empty());
    assert_eq!(run(program, event), (value.clone(), errors), "a run has no memory");
    (value, errors)
}

fn run<'a>(program: &Program, event: &impl Attributes<'a>) -> (Value<'static>, Errors) {
    let mut returned = Vec::new();
    loop {
        match Runner::default().run(program, event, &returned) {
            Outcome::Done(value, errors) => return (owned(&value), errors),
            Outcome::Call { function, arguments } => {
                assert!(returned.len() < MAX_CALLS);
                returned.push(match function {
                    0 => arguments.first().map(owned),
                    1 => arguments
                        .iter()
                        .try_fold(0i32, |sum, value| sum.checked_add(value.to_int()?))
                        .map(Value::Int),
                    _ => None,
                });
            }
        }
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Str(text) => Value::Str(text.to_string().into()),
    }
}

/// The values of the attributes that a program reads, by `serde_json`.
fn values(program: &Program, event: &Json) -> ListedAttributes {
    let list: Vec<&Json> = program
        .attributes()
        .iter()
        .map(|attribute| match attribute.name() {
            "data" | "data_base64" => &Json::Null,
            // It says how `data` is encoded in 0.3, and is no attribute.
            "datacontentencoding" if event["specversion"] == "0.3" => &Json::Null,
            name => event.get(name).unwrap_or(&Json::Null),
        })
        .collect();
    ListedAttributes::from_json(&serde_json::to_vec(&list).expect("JSON"))
}

/// The batch with its padding, its rows, and what they lack.
fn scan(batch: &[u8]) -> Option<(Vec<u8>, Vec<Row>, Notes)> {
    let bytes = pad(batch);
    let mut rows = vec![Row::EMPTY; max_rows(bytes.len())];
    let (mut scratch, mut table, mut layout) = (vec![0; bytes.len()], Table::new(), Layout::new());
    let mut context = ScanContext { scratch: &mut scratch, table: &mut table, layout: &mut layout };
    let mut notes = Notes::new();
    let options = SequenceOptions { sequence: Sequence::Batch, in_bytes: true, is_trusted: false };
    let text = Padded::new(&bytes).expect("padded");
    let code = scan_sequence_into::<Swar, _>(text, options, &mut rows, &mut context, &mut notes);
    (code == 0).then_some((bytes, rows, notes))
}
