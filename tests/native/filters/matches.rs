//! Whether an event matches, which the first comparison often decides alone.

use super::*;

#[test]
fn an_event_matches_exactly_if_the_value_is_true_without_errors() {
    let events = [
        event(&json!({"subject": "a", "region": "eu"})),
        event(&json!({"subject": "a\"b", "region": "é"})),
        event(&json!({"type": "é", "region": 7})),
    ];
    let batch = Batch::scan(&events, false);
    let old = Batch::scan(&[event(&json!({"specversion": "0.3", "dataschema": "x"}))], false);
    for (expression, count) in [
        ("subject = 'a'", 1),
        ("subject = 'a\"b'", 1),
        ("subject = 'a' AND region = 'eu' AND TRUE", 1),
        ("subject = 'a' AND (region = 'eu' OR missing = 'x')", 1),
        ("(subject = 'a' AND region = 'eu') OR type = 'é'", 1),
        ("(subject = 'a' AND region = 'us') XOR source = 'http://localhost/source'", 2),
        ("region = '7' AND type = 'é'", 1),
        ("missing = 'x' AND TRUE", 0),
        ("NOT (missing = 'x')", 0),
        ("NOT (type = 'x')", 4),
        ("specversion = '1.0'", 3),
        ("specversion = '0.3' AND dataschema = 'x'", 1),
        ("schemaurl = ''", 0),
        ("subject = ''", 0),
        ("'a' = subject", 1),
    ] {
        let program = compile_expression(expression, &[]).expect("valid");
        let mut matched = 0;
        for event in [batch.event(0), batch.event(1), batch.event(2), old.event(0)] {
            let mut runner = Runner::default();
            let outcome = runner.run(&program, &event, &[]);
            let is_true = matches!(outcome, Outcome::Done(Value::Bool(true), errors) if errors.is_empty());
            assert_eq!(runner.matches(&program, &event), is_true, "{expression}");
            matched += u32::from(is_true);
        }
        assert_eq!(matched, count, "{expression}");
    }
}
