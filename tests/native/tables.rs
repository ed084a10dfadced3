//! `js/engine/generated/tables.ts` has the tables of this crate that TypeScript needs. The test compares the file; with
//! `WRITE_TABLES=1` it writes it.

use std::fs;

use eventferry::base::error::{Code, Culprit};
use eventferry::boundary::numbers::{
    CLASSIFIER_NAMES, COUNTER_NAMES, FAILURE_NAMES, MARKS_INPUT_NAMES, OUTBOX_CLASSIFIER_NAMES,
    OUTBOX_INPUT_NAMES, OUTBOX_LIST_INPUT_NAMES, POLICY_NAMES, PORT_INPUT_NAMES, STREAM_INPUT_NAMES,
    STREAM_TEXT_INPUT_NAMES,
};
use eventferry::boundary::options::{
    CALLS_OPTIONS, NumberOption, OUTBOX_OPTIONS, STREAM_NUMBERS, STREAM_TEXTS,
};
use eventferry::boundary::reasons::REASONS;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/js/engine/generated/tables.ts");

#[test]
fn the_tables_of_typescript_are_those_of_this_crate() {
    let expected = tables();
    if std::env::var_os("WRITE_TABLES").is_some() {
        fs::write(PATH, &expected).expect("written");
    }
    let found = fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        found == expected,
        "the tables differ; WRITE_TABLES=1 cargo test --test native tables writes them"
    );
}

#[test]
fn every_port_has_the_inputs_that_the_pump_makes() {
    for names in [PORT_INPUT_NAMES, OUTBOX_INPUT_NAMES, STREAM_INPUT_NAMES] {
        assert_eq!(names[..2], ["tick", "failure"]);
    }
}

#[test]
fn every_reason_has_a_sentence() {
    let source = include_str!("../../src/cloudevents/rejection.rs");
    let reasons = source.split("pub enum Reason {").nth(1).and_then(|rest| rest.split('}').next());
    let count = reasons.expect("the enum").matches(" = ").count();
    assert!(count > 20, "{count} reasons");
    assert_eq!(REASONS.len(), count);
}

/// The text of the file.
fn tables() -> String {
    [
        "/** What both sides of the wasm boundary must know. Generated from the Rust crate by `tests/native/tables.rs`. */".to_owned(),
        list(
            "Each code, its culprit, whether the same call may succeed later, and its sentence. The number of a code is its place and one more.",
            "CODES",
            Code::ALL.iter().map(|code| code_row(*code)).collect(),
        ),
        list(
            "What is exactly wrong with an event, by the number of the reason.",
            "REASONS",
            REASONS.iter().map(|(_, sentence)| literal(sentence)).collect(),
        ),
        numbers("The values of `failure`'s argument `reason`.", "FAILURE", FAILURE_NAMES),
        numbers("The policies of replay positions.", "POLICIES", POLICY_NAMES),
        numbers("Which function of the engine classifies the responses to calls.", "CLASSIFIERS", CLASSIFIER_NAMES),
        numbers(
            "Which function of the engine classifies the responses to an outbox.",
            "OUTBOX_CLASSIFIERS",
            OUTBOX_CLASSIFIER_NAMES,
        ),
        numbers(
            "The inputs of calls and of a GlassFlow sink that have only numbers. Those of an outbox and of a stream begin with `tick` and `failure` too.",
            "PORT_INPUTS",
            PORT_INPUT_NAMES,
        ),
        numbers("The inputs of an outbox that have only numbers.", "OUTBOX_INPUTS", OUTBOX_INPUT_NAMES),
        numbers(
            "The inputs of an outbox that have or give a list of numbers.",
            "OUTBOX_LIST_INPUTS",
            OUTBOX_LIST_INPUT_NAMES,
        ),
        numbers("The inputs of a stream that have only numbers.", "STREAM_INPUTS", STREAM_INPUT_NAMES),
        numbers("The inputs of a stream that have texts.", "STREAM_TEXT_INPUTS", STREAM_TEXT_INPUT_NAMES),
        numbers("The inputs of replay positions that start an operation.", "MARKS_INPUTS", MARKS_INPUT_NAMES),
        list("The counters of an outbox, in the order of their numbers.", "COUNTERS", quoted(COUNTER_NAMES)),
        list(
            "The options of calls, and the integers that each accepts.",
            "CALLS_OPTIONS",
            number_options(CALLS_OPTIONS),
        ),
        list(
            "The options of an outbox; one without a range is not an option of the user.",
            "OUTBOX_OPTIONS",
            number_options(OUTBOX_OPTIONS),
        ),
        list("The numbers in the options of a stream.", "STREAM_NUMBERS", number_options(STREAM_NUMBERS)),
        list("The texts in the options of a stream.", "STREAM_TEXTS", quoted(STREAM_TEXTS)),
    ]
    .join("\n")
}

fn list(what: &str, name: &str, rows: Vec<String>) -> String {
    format!("/** {what} */\nexport const {name} = [\n{}] as const;\n", lines(rows))
}

fn numbers(what: &str, name: &str, names: &[&str]) -> String {
    let rows = names.iter().enumerate().map(|(number, name)| format!("{name}: {number}")).collect();
    format!("/** {what} */\nexport const {name} = {{\n{}}} as const;\n", lines(rows))
}

fn lines(rows: Vec<String>) -> String {
    rows.iter().map(|row| format!("  {row},\n")).collect()
}

fn quoted(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name:?}")).collect()
}

fn code_row(code: Code) -> String {
    let culprit = match code.culprit() {
        Culprit::Caller => "caller",
        Culprit::Peer => "peer",
        Culprit::Network => "network",
        Culprit::Internal => "internal",
    };
    format!("[{:?}, {culprit:?}, {}, {:?}]", code.as_str(), code.is_retryable(), code.sentence())
}

/// A text in the quotation marks that Biome chooses.
fn literal(text: &str) -> String {
    if text.contains('"') { format!("'{text}'") } else { format!("{text:?}") }
}

fn number_options(options: &[NumberOption]) -> Vec<String> {
    options
        .iter()
        .map(|NumberOption { name, range }| match range {
            Some((min, max)) => format!("[{name:?}, {min}, {max}]"),
            None => format!("[{name:?}]"),
        })
        .collect()
}
