//! CESQL and the dialects of the Subscriptions API: the official conformance tests, and rules that they do not cover.

use std::fs;
use std::path::Path;

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::cloudevents::filter::attributes::ListedAttributes;
use eventferry::cloudevents::filter::dialects::{compile_expression, compile_filter, read_functions};
use eventferry::cloudevents::filter::program::Program;
use eventferry::cloudevents::filter::run::{Outcome, Runner};
use eventferry::cloudevents::filter::scanned::{Notes, ScannedEvent};
use eventferry::cloudevents::filter::select::Selector;
use eventferry::cloudevents::filter::value::{Errors, Value};
use eventferry::cloudevents::json::{Sequence, SequenceOptions};
use eventferry::cloudevents::table::Row;
use serde_json::{Value as Json, json};

use crate::rows::scan_rows;

mod matches;

/// A scanned batch.
struct Batch {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    notes: Notes,
}

impl Batch {
    fn scan(events: &[Json], is_trusted: bool) -> Self {
        Self::scan_text(&serde_json::to_string(events).expect("JSON"), is_trusted)
    }

    fn scan_text(text: &str, is_trusted: bool) -> Self {
        let mut notes = Notes::new();
        let options =
            SequenceOptions { sequence: Sequence::Batch, in_bytes: true, is_trusted, skips_invalid: false };
        let (code, rows, table) = scan_rows::<Swar>(text.as_bytes(), options, &mut notes);
        assert_eq!(code, 0, "{text}: reason {}", table.reason);
        let bytes = pad(text.as_bytes());
        Self { bytes, rows, notes }
    }

    fn event(&self, index: usize) -> ScannedEvent<'_> {
        let text = Padded::new(&self.bytes).expect("padded");
        ScannedEvent::new(text, &self.rows, &self.notes, index).expect("an event")
    }
}

fn event(overrides: &Json) -> Json {
    let mut event =
        json!({"specversion": "1.0", "id": "1", "source": "http://localhost/source", "type": "my.type"});
    for (name, value) in overrides.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    event
}

fn names(errors: Errors) -> Vec<&'static str> {
    errors.kinds().map(|kind| kind.name()).collect()
}

fn json_of(value: Value<'_>) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Str(text) => json!(text),
    }
}

/// The value of an expression for an event, and the errors. The offsets and a list of the values must agree.
fn evaluate(expression: &str, overrides: &Json) -> (Json, Vec<&'static str>) {
    let program =
        compile_expression(expression, &[]).unwrap_or_else(|error| panic!("{expression}: {error:?}"));
    let event = event(overrides);
    let batch = Batch::scan(std::slice::from_ref(&event), false);
    let Outcome::Done(value, errors) = Runner::default().run(&program, &batch.event(0), &[]) else {
        panic!("{expression} has no functions of the user")
    };
    let result = (json_of(value), names(errors));
    let values: Vec<&Json> = program.attributes().iter().map(|attribute| &event[attribute.name()]).collect();
    let listed = ListedAttributes::from_json(serde_json::to_string(&values).expect("JSON").as_bytes());
    let Outcome::Done(value, errors) = Runner::default().run(&program, &&listed, &[]) else {
        panic!("{expression} has no functions of the user")
    };
    assert_eq!((json_of(value), names(errors)), result, "{expression}");
    result
}

fn matches(filter: &Json, event: &Json) -> bool {
    let program =
        compile_filter(&filter.to_string(), &[]).unwrap_or_else(|error| panic!("{filter}: {error:?}"));
    let batch = Batch::scan(std::slice::from_ref(event), true);
    let outcome = Runner::default().run(&program, &batch.event(0), &[]);
    match outcome {
        Outcome::Done(Value::Bool(value), errors) if errors.is_empty() => value,
        other => panic!("{filter}: {other:?}"),
    }
}

/// The official tests, beside the folder of the project. `None` where they are not.
fn conformance_tests() -> Option<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases/cesql_tck/cesql_tck.json");
    let Ok(text) = fs::read_to_string(&path) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
        eprintln!("skipped: {} is missing", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn the_conformance_tests_of_cesql_pass() {
    let Some(file) = conformance_tests() else { return };
    let (mut passed, mut failed) = (0, Vec::new());
    for test in file["suites"]
        .as_array()
        .expect("suites")
        .iter()
        .flat_map(|suite| suite["tests"].as_array().expect("tests"))
    {
        let expression = test["expression"].as_str().expect("an expression");
        let error = test["error"].as_str();
        let is_passed = if error == Some("parse") {
            compile_expression(expression, &[]).is_err()
        } else {
            let whole = if test["event"].is_object() { &test["event"] } else { &Json::Null };
            let mut overrides = test["eventOverrides"].clone();
            for (name, value) in whole.as_object().into_iter().flatten() {
                overrides[name] = value.clone();
            }
            evaluate(expression, &overrides) == (test["result"].clone(), error.into_iter().collect())
        };
        if is_passed { passed += 1 } else { failed.push(expression) }
    }
    // The text of the specification casts 10 to true (section 3.7), so NOT 10 is false without an error.
    assert_eq!(failed, ["NOT 10"]);
    assert_eq!(passed, 274);
}

#[test]
fn expressions_have_the_value_that_the_text_of_the_specification_gives() {
    let extensions = json!({"n": 5, "neg": -7, "yes": true, "text": "a\"é\\😀", "wide": "日本語", "empty": " ", "big": 2147483647});
    for (expression, value, errors) in [
        // Section 3.6: from left to right, with one precedence.
        ("TRUE OR FALSE AND FALSE", json!(false), &[][..]),
        ("FALSE AND FALSE OR TRUE", json!(true), &[]),
        ("NOT 10", json!(false), &[]),
        ("NOT n = 5", json!(false), &[]),
        ("NOT (n = 5)", json!(false), &[]),
        ("n=5 AND neg<-6", json!(true), &[]),
        ("4-1", json!(3), &[]),
        ("10 - 4 - 3", json!(3), &[]),
        ("2 + 3 * 4 % 5", json!(4), &[]),
        ("+5", json!(5), &[]),
        ("-2147483648", json!(-2_147_483_648i64), &[]),
        ("-7 / 2", json!(-3), &[]),
        ("-7 % 2", json!(-1), &[]),
        ("big + 1", json!(0), &["math"]),
        ("-2147483648 / -1", json!(0), &["math"]),
        ("-(-2147483648)", json!(0), &["math"]),
        // Section 3.4: a failed cast gives the zero value of the operator.
        ("'abc' = 0", json!(false), &["cast"]),
        ("'abc' != 0", json!(false), &["cast"]),
        ("'abc' + 1", json!(0), &["cast"]),
        ("'abc' OR TRUE", json!(false), &["cast"]),
        ("NOT 'abc'", json!(false), &["cast"]),
        ("1 IN ('1', 'x')", json!(false), &["cast"]),
        ("LEFT('abc', 'x')", json!(""), &["cast"]),
        ("missing AND TRUE", json!(false), &["missingAttribute"]),
        ("TRUE OR missing", json!(true), &[]),
        ("missing + 'x'", json!(0), &["cast", "missingAttribute"]),
        // The conformance tests want an operator on a failed computation to fail as well.
        ("NOT (1 / 0)", json!(false), &["math"]),
        ("1 / 0 = 0", json!(false), &["math"]),
        ("ABS(-2147483648) = 2147483647", json!(false), &["math"]),
        ("NOT (missing = 1)", json!(true), &["missingAttribute"]),
        ("missing NOT IN (1)", json!(false), &["missingAttribute"]),
        ("1 NOT IN (missing)", json!(false), &["missingAttribute"]),
        ("missing NOT LIKE '%'", json!(false), &["missingAttribute"]),
        ("LENGTH(missing) = 0", json!(true), &["missingAttribute"]),
        ("NOSUCH(missing)", json!(false), &["missingFunction"]),
        ("LENGTH()", json!(false), &["missingFunction"]),
        ("yes", json!(true), &[]),
        ("yes = 'true'", json!(true), &[]),
        ("n = '5'", json!(true), &[]),
        ("text = 'a\"é\\\\😀'", json!(true), &[]),
        ("LENGTH(text)", json!(5), &[]),
        ("LENGTH(wide)", json!(3), &[]),
        ("SUBSTRING(wide, 2)", json!("本語"), &[]),
        ("SUBSTRING(wide, 2, 1)", json!("本"), &[]),
        ("SUBSTRING(wide, 1, -1)", json!(""), &["functionEvaluation"]),
        ("LEFT(wide, 1)", json!("日"), &[]),
        ("RIGHT(wide, 1)", json!("語"), &[]),
        ("TRIM('\u{3000} x\t')", json!("x"), &[]),
        ("UPPER('straße')", json!("STRASSE"), &[]),
        ("wide LIKE '_本%'", json!(true), &[]),
        ("wide LIKE '_'", json!(false), &[]),
        ("'a\\b' LIKE 'a\\\\b'", json!(true), &[]),
        ("'' LIKE '%'", json!(true), &[]),
        ("'' LIKE ''", json!(true), &[]),
        ("'ab' LIKE '%%b'", json!(true), &[]),
        ("'abc' LIKE '_b*'", json!(false), &[]),
        ("EXISTS TeXt AND EXISTS specversion", json!(true), &[]),
        ("specversion = '1.0'", json!(true), &[]),
        ("EXISTS data OR EXISTS data", json!(false), &[]),
        ("concat_ws('-', n, yes, neg)", json!("5-true--7"), &[]),
        ("LENGTH (text)", json!(5), &[]),
    ] {
        assert_eq!(evaluate(expression, &extensions), (value, errors.to_vec()), "{expression}");
    }
}

#[test]
fn an_expression_that_does_not_parse_is_rejected_with_its_position() {
    for (expression, at, expected) in [
        ("", 0, "an attribute, a literal"),
        ("   ", 3, "an attribute, a literal"),
        ("a =", 3, "an attribute, a literal"),
        ("a = = 1", 4, "an attribute, a literal"),
        ("'é😀' ==", 7, "an attribute, a literal"),
        ("(a", 2, "\")\""),
        ("a)", 1, "the end of the expression"),
        ("a b", 2, "an operator"),
        ("ABC(", 4, "an attribute, a literal"),
        ("ABC(1", 5, "\")\""),
        ("ABC(1,)", 6, "an attribute, a literal"),
        ("x LIKE 123", 7, "a pattern in quotes"),
        ("x IN ()", 6, "must not be empty"),
        ("x IN 5", 5, "\"(\""),
        ("x NOT 5", 6, "LIKE or IN"),
        ("EXISTS 'a'", 7, "the name of an attribute"),
        ("'abc", 4, "the closing quote"),
        ("2147483648", 0, "32 bits"),
        ("-2147483649", 1, "32 bits"),
        ("my_ext = 1", 0, "only letters and digits"),
        ("a ; b", 2, "an operator"),
        ("a = \u{0}", 4, "an attribute, a literal"),
        ("+a", 1, "digits"),
        ("AND", 0, "an attribute, a literal"),
    ] {
        let error = compile_expression(expression, &[]).expect_err(expression);
        assert!(error.expected.contains(expected), "{expression}: {}", error.expected);
        assert_eq!(error.at, at, "{expression}");
    }
}

#[test]
fn an_expression_is_limited_in_length_and_depth() {
    let chain = vec!["a = 1"; 5000].join(" OR ");
    assert!(compile_expression(&chain, &[]).is_ok());
    assert!(compile_expression(&format!("'{}'", "a".repeat(65_536)), &[]).is_err());
    let parentheses = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(compile_expression(&parentheses(100), &[]).is_ok());
    for (open, close) in
        [("(", ")"), ("NOT ", ""), ("- ", ""), ("ABS(", ")"), ("1 IN (", ")"), ("1 + (", ")")]
    {
        let deep = format!("{}1{}", open.repeat(9000), close.repeat(9000));
        let error = compile_expression(&deep, &[]).expect_err("too deep");
        assert!(error.expected.contains("nested less deeply"), "{open}");
    }
    assert!(
        compile_filter(
            &format!("{}{{\"exact\":{{\"a\":\"b\"}}}}{}", "{\"not\":".repeat(60), "}".repeat(60)),
            &[]
        )
        .is_err()
    );
}

#[test]
fn dialects_match_as_the_subscriptions_api_says() {
    let event = event(&json!({"subject": "Ölpreis", "n": 5, "yes": true, "data": {"a": [1, "]}\"\\", {}]}}));
    for (filter, expected) in [
        (json!({"exact": {"type": "my.type"}}), true),
        (json!({"exact": {"type": "My.type"}}), false),
        (json!({"exact": {"type": "my.type", "subject": "x"}}), false),
        (json!({"exact": {"missing": "x"}}), false),
        (json!({"exact": {"n": "5", "yes": "true"}}), true),
        (json!({"prefix": {"subject": "Öl"}}), true),
        (json!({"suffix": {"subject": "preis"}}), true),
        (json!({"suffix": {"subject": "öl"}}), false),
        (json!({"all": [{"prefix": {"type": "my"}}, {"suffix": {"type": "type"}}]}), true),
        (json!({"all": [{"prefix": {"type": "my"}}, {"suffix": {"type": "x"}}]}), false),
        (json!({"any": [{"exact": {"id": "2"}}, {"exact": {"id": "1"}}]}), true),
        (json!({"any": [{"exact": {"id": "2"}}, {"exact": {"id": "3"}}]}), false),
        (json!({"not": {"exact": {"id": "2"}}}), true),
        (json!({"not": {"any": [{"not": {"exact": {"id": "1"}}}]}}), true),
        (json!({"sql": "n = 5 AND subject LIKE 'Öl%'"}), true),
        (json!({"sql": "n"}), false),
        (json!({"sql": "'true'"}), false),
        (json!({"sql": "missing = 1 OR TRUE"}), false),
        (json!({"not": {"sql": "missing = 1 OR TRUE"}}), true),
        (json!({"all": [{"not": {"sql": "1 / 0 = 0"}}, {"sql": "TRUE"}]}), true),
        (json!([]), true),
        (json!([{"exact": {"id": "1"}}, {"sql": "TRUE"}]), true),
        (json!([{"exact": {"id": "1"}}, {"sql": "FALSE"}]), false),
    ] {
        assert_eq!(matches(&filter, &event), expected, "{filter}");
    }
}

#[test]
fn attributes_are_found_wherever_they_are_in_the_event() {
    let long = "x".repeat(5000);
    let text = format!(
        r#"[{{"specversion":"1.0","data":{{"é":"日本😀"}},"t\u0065xt":"\u00e9","id":"{long}","source":"/c","type":"t","schemaurl":"s","subject":"日本"}},
            {{"specversion":"1.0","id":"2","source":"/a","type":"t","ext":"1"}},
            {{"specversion":"1.0","id":"3","source":"/b","type":"t","ext":"2"}},
            {{"specversion":"1.0","id":"4","source":"/b","type":"t"}}]"#
    );
    for is_trusted in [false, true] {
        let batch = Batch::scan_text(&text, is_trusted);
        assert_eq!(batch.notes.len(), 4);
        let attributes = ["id", "text", "subject", "schemaurl", "ext", "source", "dataschema"];
        let values = |index: usize| {
            let event = batch.event(index);
            attributes.map(|name| {
                let program = compile_expression(name, &[]).expect("a name");
                match Runner::default().run(&program, &event, &[]) {
                    Outcome::Done(value, errors) if errors.is_empty() => json_of(value),
                    _ => Json::Null,
                }
            })
        };
        let expected: [(usize, [Json; 7]); 4] = [
            (0, [json!(long), json!("é"), json!("日本"), json!("s"), Json::Null, json!("/c"), Json::Null]),
            (1, [json!("2"), Json::Null, Json::Null, Json::Null, json!("1"), json!("/a"), Json::Null]),
            (2, [json!("3"), Json::Null, Json::Null, Json::Null, json!("2"), json!("/b"), Json::Null]),
            (3, [json!("4"), Json::Null, Json::Null, Json::Null, Json::Null, json!("/b"), Json::Null]),
        ];
        for (index, expected) in expected {
            assert_eq!(values(index), expected, "event {index}, trusted {is_trusted}");
        }
    }
}

#[test]
fn a_function_of_the_user_is_called_by_its_arity_and_with_its_types() {
    let functions = read_functions(r#"[["DOUBLE","i","i"],["PAIR","aa","a"],["PAIR","aaa*s","s"]]"#);
    let run = |expression: &str, returned: &[Option<Value<'static>>]| {
        let program: Program = compile_expression(expression, &functions).expect("an expression");
        let attributes = ListedAttributes::from_json(b"[null]");
        match Runner::default().run(&program, &&attributes, returned) {
            Outcome::Done(value, errors) => (json_of(value), names(errors)),
            Outcome::Call { function, arguments } => {
                let arguments: Vec<Json> = arguments.into_iter().map(json_of).collect();
                (json!({ "call": function, "with": arguments }), vec![])
            }
        }
    };
    let done = |value: i32| Some(Value::Int(value));
    assert_eq!(run("double('4') + 1", &[]), (json!({"call": 0, "with": [4]}), vec![]));
    assert_eq!(run("double('4') + 1", &[done(8)]), (json!(9), vec![]));
    assert_eq!(run("double('4') + double(5)", &[done(8)]), (json!({"call": 0, "with": [5]}), vec![]));
    assert_eq!(run("double('4') + double(5)", &[done(8), done(10)]), (json!(18), vec![]));
    assert_eq!(run("double('x') + double(5)", &[done(10)]), (json!(10), vec!["cast"]));
    assert_eq!(run("double(missing) + 1", &[]), (json!(1), vec!["missingAttribute"]));
    assert_eq!(run("double(1)", &[None]), (json!(0), vec!["functionEvaluation"]));
    assert_eq!(run("FALSE AND double(1)", &[]), (json!(false), vec![]));
    assert_eq!(run("pair(1, TRUE)", &[]), (json!({"call": 1, "with": [1, true]}), vec![]));
    assert_eq!(
        run("pair(1, TRUE, 2, 3, 4)", &[]),
        (json!({"call": 2, "with": [1, true, 2, "3", "4"]}), vec![])
    );
    assert_eq!(run("pair(1)", &[]), (json!(false), vec!["missingFunction"]));
    assert_eq!(run("double(1, 2)", &[]), (json!(false), vec!["missingFunction"]));
}

#[test]
fn trusted_text_is_skipped_to_the_same_place_and_with_the_same_units() {
    let data = [
        r#"{"a":"é😀日","b":[1,2,{"c":"]}\"\\"}],"d":"\\\\"}"#,
        r#"[[[]],"[{",{}]"#,
        r#"{"long":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaéaaaaaaaaaaaaaaaaaaaa\"bbbbbbbbbbbbbbbbbb"}"#,
    ];
    for text in data {
        let batch = format!(
            r#"[{{"specversion":"1.0","id":"1","source":"/","type":"t","data":{text},"ext":"é"}},{{"specversion":"1.0","id":"2","source":"/","type":"t","data":{text}}}]"#
        );
        let (full, trusted) = (Batch::scan_text(&batch, false), Batch::scan_text(&batch, true));
        assert_eq!(full.rows, trusted.rows, "{text}");
    }
}
