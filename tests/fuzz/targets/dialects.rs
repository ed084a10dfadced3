//! Filters of the Subscriptions API: no JSON makes the compiler panic. A filter of the shape that JavaScript lets through
//! matches as a second, simple implementation says. The first line is the filter, the rest an event.
#![no_main]

use eventferry::cloudevents::filter::attributes::ListedAttributes;
use eventferry::cloudevents::filter::dialects::{MAX_DEPTH, compile_filter};
use eventferry::cloudevents::filter::run::{Outcome, Runner};
use eventferry::cloudevents::filter::value::Value;
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Json;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (filter, event) = text.split_once('\n').unwrap_or((text, "{}"));
    // Whatever it says, the compiler takes it or not.
    drop(compile_filter(filter, &[]));
    let (Ok(filter), Ok(event)) = (serde_json::from_str::<Json>(filter), serde_json::from_str::<Json>(event))
    else {
        return;
    };
    let expected = match &filter {
        Json::Array(filters) => all(filters, &event, 1),
        filter => matches(filter, &event, 0),
    };
    let Some(expected) = expected else { return };
    // As `JSON.stringify` writes it.
    let program = compile_filter(&filter.to_string(), &[]).expect("JavaScript lets it through");
    let values: Vec<Option<&Json>> = program
        .attributes()
        .iter()
        .map(|attribute| event.get(attribute.name()).filter(|value| is_value(value)))
        .collect();
    let listed = ListedAttributes::from_json(serde_json::to_string(&values).expect("JSON").as_bytes());
    assert_eq!(
        Runner::default().run(&program, &&listed, &[]),
        Outcome::Done(Value::Bool(expected), Default::default()),
        "{text}"
    );
});

/// Whether a filter matches. `None` for another shape, and for `sql`.
fn matches(filter: &Json, event: &Json, depth: usize) -> Option<bool> {
    if depth > MAX_DEPTH {
        return None;
    }
    let [(dialect, value)] = filter.as_object()?.iter().collect::<Vec<_>>()[..] else { return None };
    match (dialect.as_str(), value) {
        ("all", Json::Array(filters)) if !filters.is_empty() => all(filters, event, depth + 1),
        ("any", Json::Array(filters)) if !filters.is_empty() => {
            let each: Option<Vec<bool>> =
                filters.iter().map(|filter| matches(filter, event, depth + 1)).collect();
            Some(each?.contains(&true))
        }
        ("not", filter) => Some(!matches(filter, event, depth + 1)?),
        ("exact" | "prefix" | "suffix", Json::Object(texts)) if !texts.is_empty() => {
            let mut result = true;
            for (name, text) in texts {
                let is_name =
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                let text = text.as_str().filter(|text| is_name && name != "data" && !text.is_empty())?;
                let value = event.get(name).filter(|value| is_value(value)).map(text_of);
                result &= value.is_some_and(|value| match dialect.as_str() {
                    "exact" => value == text,
                    "prefix" => value.starts_with(text),
                    _ => value.ends_with(text),
                });
            }
            Some(result)
        }
        _ => None,
    }
}

fn all(filters: &[Json], event: &Json, depth: usize) -> Option<bool> {
    let each: Option<Vec<bool>> = filters.iter().map(|filter| matches(filter, event, depth)).collect();
    Some(!each?.contains(&false))
}

/// Whether a value is one of CESQL: a string, a Boolean or an integer of 32 bits.
fn is_value(value: &Json) -> bool {
    value.is_string()
        || value.is_boolean()
        || value.as_i64().is_some_and(|value| i32::try_from(value).is_ok())
}

fn text_of(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
