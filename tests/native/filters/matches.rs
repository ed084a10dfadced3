//! Whether an event matches, which the first comparison often decides alone.

use eventferry::cloudevents::filter::functions::change_case;

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
        ("subject LIKE 'a%'", 2),
        ("subject LIKE 'a%' AND region LIKE '%'", 2),
        ("subject LIKE 'a\\%'", 0),
        ("subject LIKE 'a_%'", 1),
        ("subject NOT LIKE 'a%' OR FALSE", 0),
        ("region LIKE '7%'", 1),
        ("region LIKE '7'", 1),
        ("region LIKE 'é' AND subject LIKE 'a\"b'", 1),
        ("subject LIKE '%b' AND subject LIKE '%\"%'", 1),
        ("subject LIKE '' OR FALSE", 0),
        ("specversion LIKE '1%' AND type LIKE 'é'", 1),
        ("dataschema LIKE 'x%' AND id LIKE '1'", 1),
        ("missing LIKE 'x%' OR TRUE", 0),
        ("subject LIKE 'a%' XOR missing LIKE 'a%'", 0),
        ("subject LIKE 'a' = TRUE", 1),
        ("missing LIKE '%'", 0),
        ("NOT (missing LIKE '%')", 0),
    ] {
        let program = compile_expression(expression, &[]).expect("valid");
        let filter = |filter: &Json| compile_filter(&filter.to_string(), &[]).expect("valid");
        let sql = json!({"sql": expression});
        let filters = [filter(&sql), filter(&json!([sql])), filter(&json!({"all": [{"all": [sql]}, sql]}))];
        let mut matched = 0;
        for event in [batch.event(0), batch.event(1), batch.event(2), old.event(0)] {
            let outcome = Runner::default().run(&program, &event, &[]);
            let is_true = matches!(outcome, Outcome::Done(Value::Bool(true), errors) if errors.is_empty());
            for program in filters.iter().chain([&program]) {
                assert_eq!(Selector::new(program, change_case).selects(&event), is_true, "{expression}");
            }
            matched += u32::from(is_true);
        }
        assert_eq!(matched, count, "{expression}");
    }
}

#[test]
fn every_combination_of_two_dialects_selects_what_its_value_says() {
    let texts = ["my.type", "my", "type", "other"];
    let tests: Vec<Json> = texts
        .iter()
        .flat_map(|text| ["exact", "prefix", "suffix"].map(|dialect| json!({dialect: {"type": text}})))
        .chain([
            json!({"exact": {"type": "my.type", "subject": "a"}}),
            json!({"sql": "type = 'my.type' OR subject = 'x'"}),
        ])
        .collect();
    let batch = Batch::scan(&[event(&json!({"subject": "a"})), event(&json!({"type": "other"}))], false);
    for first in &tests {
        for second in &tests {
            for filter in [
                json!([first, second]),
                json!({"any": [first, second]}),
                json!({"all": [{"not": first}, second]}),
                json!({"not": {"all": [first, second]}}),
                json!([{"any": [first, {"not": second}]}, second]),
            ] {
                let program = compile_filter(&filter.to_string(), &[]).expect("valid");
                for event in [batch.event(0), batch.event(1)] {
                    let outcome = Runner::default().run(&program, &event, &[]);
                    let is_true = outcome == Outcome::Done(Value::Bool(true), Errors::default());
                    assert_eq!(Selector::new(&program, change_case).selects(&event), is_true, "{filter}");
                }
            }
        }
    }
}
