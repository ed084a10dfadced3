//! The error tables of Rust and TypeScript are the same.

use eventferry::base::error::{Code, Culprit};

#[test]
fn both_tables_have_the_same_rows_in_the_same_order() {
    let source = include_str!("../../js/engine/errors.ts");
    let rows: Vec<&str> = source.lines().map(str::trim).filter(|line| line.starts_with("[\"ERR_")).collect();
    let expected: Vec<String> = Code::ALL
        .iter()
        .map(|code| {
            let culprit = match code.culprit() {
                Culprit::Caller => "caller",
                Culprit::Peer => "peer",
                Culprit::Network => "network",
                Culprit::Internal => "internal",
            };
            format!(
                "[\"{}\", \"{culprit}\", {}, \"{}\"],",
                code.as_str(),
                code.is_retryable(),
                code.sentence()
            )
        })
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn all_codes_differ() {
    let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(names.iter().all(|name| name.starts_with("ERR_")));
}

#[test]
fn javascript_has_a_sentence_for_every_reason() {
    let rust = include_str!("../../src/cloudevents/rejection.rs");
    let reasons =
        rust.split("pub enum Reason {").nth(1).and_then(|rest| rest.split('}').next()).expect("the enum");
    let js = include_str!("../../js/engine/errors.ts");
    let sentences =
        js.split("REASONS = [").nth(1).and_then(|rest| rest.split("] as const").next()).expect("the list");
    assert_eq!(
        reasons.matches(" = ").count(),
        sentences.lines().filter(|line| line.trim().starts_with(['"', '\''])).count()
    );
}
