//! CESQL: no expression makes the parser or the evaluation panic or loop. The first line is the expression, the rest the
//! values of the attributes, one a line.
//!
//! The value is the same from the offsets of a scanned event and from a list of values, and a filter of the expression
//! matches if and only if the value is `true` without errors.
#![no_main]

#[path = "../../native/rows.rs"]
mod rows;

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::filter::attributes::ListedAttributes;
use eventferry::cloudevents::filter::dialects::{compile_expression, compile_filter, read_functions};
use eventferry::cloudevents::filter::functions::change_case;
use eventferry::cloudevents::filter::run::{Outcome, Runner};
use eventferry::cloudevents::filter::scanned::{Notes, ScannedEvent};
use eventferry::cloudevents::filter::select::Selector;
use eventferry::cloudevents::filter::value::Value;
use eventferry::cloudevents::json::{Sequence, SequenceOptions};
use eventferry::cloudevents::table::Row;
use libfuzzer_sys::fuzz_target;
use rows::scan_rows;
use serde_json::{Map, Value as Json, json};

/// The attributes whose values the input chooses.
const NAMES: [&str; 5] = ["id", "subject", "type", "ext", "n"];
/// A function that takes an integer, and one that takes any number of strings.
const FUNCTIONS: &str = r#"[["DOUBLE","i","i"],["JOIN","*s","s"]]"#;
/// An expression has at most as many calls as it has characters.
const MAX_CALLS: usize = 5_000;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (expression, values) = text.split_once('\n').unwrap_or((text, ""));
    let functions = read_functions(FUNCTIONS);
    let program = match compile_expression(expression, &functions) {
        Ok(program) => program,
        Err(error) => {
            assert!(error.at <= expression.encode_utf16().count());
            assert!(!error.expected.is_empty());
            return;
        }
    };
    let event = event_of(values);
    let batch = format!("[{event}]");
    let Some((rows, notes)) = scan(batch.as_bytes()) else { return };
    let bytes = pad(batch.as_bytes());
    let padded = Padded::new(&bytes).expect("padded");
    let scanned = ScannedEvent::new(padded, &rows, &notes, 0).expect("one event");
    let list: Vec<&Json> = program.attributes().iter().map(|attribute| &event[attribute.name()]).collect();
    let listed = ListedAttributes::from_json(serde_json::to_string(&list).expect("JSON").as_bytes());
    let filter = compile_filter(&json!({ "sql": expression }).to_string(), &functions)
        .expect("the expression of a filter parses if it parses alone");

    let mut returned = Vec::new();
    loop {
        let outcome = Runner::default().run(&program, &scanned, &returned);
        assert_eq!(outcome, Runner::default().run(&program, &&listed, &returned), "{expression}");
        match outcome {
            Outcome::Done(value, errors) => {
                let matches = value == Value::Bool(true) && errors.is_empty();
                // After its first error a filter makes no more calls, so it may need fewer results.
                let Outcome::Done(found, _) = Runner::default().run(&filter, &scanned, &returned) else {
                    panic!("{expression}: the filter calls a function that the expression does not call")
                };
                assert_eq!(found, Value::Bool(matches), "{expression}");
                if !program.calls_user() {
                    for program in [&program, &filter] {
                        assert_eq!(Selector::new(program, change_case).selects(&scanned), matches, "{expression}");
                    }
                }
                return;
            }
            Outcome::Call { function, arguments } => {
                returned.push(result_of(function, &arguments));
                assert!(returned.len() < MAX_CALLS, "{expression}");
            }
        }
    }
});

fn event_of(values: &str) -> Json {
    let mut event: Map<String, Json> = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")]
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .into_iter()
        .collect();
    for (name, line) in NAMES.iter().zip(values.split('\n')) {
        let value = match line {
            "" => continue,
            "true" => json!(true),
            "false" => json!(false),
            line => match line.parse::<i32>() {
                Ok(number) if *name == "ext" || *name == "n" => json!(number),
                _ => json!(line),
            },
        };
        event.insert((*name).to_owned(), value);
    }
    Json::Object(event)
}

/// `None` if the values make no event.
fn scan(text: &[u8]) -> Option<(Vec<Row>, Notes)> {
    let mut notes = Notes::new();
    let options = SequenceOptions {
        sequence: Sequence::Batch,
        in_bytes: true,
        is_trusted: false,
        skips_invalid: false,
    };
    let (code, rows, _) = scan_rows::<Swar>(text, options, &mut notes);
    (code == 0).then_some((rows, notes))
}

/// What the functions return. `DOUBLE` fails for odd numbers.
fn result_of(function: u16, arguments: &[Value<'_>]) -> Option<Value<'static>> {
    match (function, arguments) {
        (0, [Value::Int(value)]) if value % 2 == 0 => Some(Value::Int(value.wrapping_mul(2))),
        (0, _) => None,
        _ => Some(Value::Bool(arguments.len() % 2 == 0)),
    }
}
