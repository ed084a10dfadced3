//! Chooses events of a scanned batch.

use super::attributes::{Attributes as _, Test};
use super::functions::ChangeCase;
use super::program::{Program, Required};
use super::run::{Outcome, Runner};
use super::scanned::ScannedEvent;
use super::value::Value;

/// A program that calls no functions of the user, for the events of a batch.
pub struct Selector<'a> {
    program: &'a Program,
    required: Option<Required<'a>>,
    /// The length of the required text in UTF-16 units.
    required_units: u32,
    runner: Runner<'a>,
}

impl<'a> Selector<'a> {
    /// A selector for a program, see [`Runner::new`].
    pub fn new(program: &'a Program, change_case: ChangeCase) -> Self {
        let required = program.required();
        let units = required.map_or(0, |required| required.text.encode_utf16().count());
        Self { program, required, required_units: units as u32, runner: Runner::new(change_case) }
    }

    /// Whether the value for an event is true, without errors.
    #[inline(always)]
    pub fn selects(&mut self, event: &ScannedEvent<'a>) -> bool {
        // Most events are not wanted, and most often the first comparison says so.
        if let Some(Required { number, attribute, test, text }) = self.required
            && ((test == Test::Exact && event.has_other_length(attribute, self.required_units))
                || event.has_text(number, attribute, test, text) != Some(true))
        {
            return false;
        }
        let outcome = self.runner.run(self.program, event, &[]);
        matches!(outcome, Outcome::Done(Value::Bool(true), errors) if errors.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudevents::filter::dialects::{compile_expression, compile_filter};

    fn required(program: &Program) -> Option<String> {
        program.required().map(|Required { attribute, text, .. }| format!("{} {text}", attribute.name()))
    }

    #[test]
    fn the_first_comparison_of_an_expression_in_a_filter_decided_nothing() {
        let found = |json: &str| required(&compile_filter(json, &[]).expect("valid"));
        for filter in [
            r#"{"sql":"type = 'a' AND subject LIKE 'b%'"}"#,
            r#"[{"sql":"type = 'a' AND subject LIKE 'b%' AND id = 'c'"},{"exact":{"id":"c"}}]"#,
            r#"{"sql":"type = 'a'"}"#,
            r#"{"exact":{"type":"a"}}"#,
            r#"{"prefix":{"type":"a","id":"b"}}"#,
            r#"{"all":[{"suffix":{"type":"a"}},{"any":[{"exact":{"id":"b"}}]}]}"#,
        ] {
            assert_eq!(found(filter).as_deref(), Some("type a"), "{filter}");
        }
        for filter in [
            r#"{"sql":"type = 'a' OR id = 'b'"}"#,
            r#"{"sql":"type = 'a' AND id = 'b' OR subject = 'c'"}"#,
            r#"{"sql":"NOT (type = 'a')"}"#,
            r#"{"sql":"(type = 'a') = FALSE"}"#,
            r#"{"any":[{"exact":{"type":"a"}}]}"#,
            r#"{"not":{"exact":{"type":"a"}}}"#,
            "[]",
        ] {
            assert_eq!(found(filter), None, "{filter}");
        }
        assert_eq!(
            required(&compile_expression("type = 'a' AND TRUE", &[]).expect("valid")).as_deref(),
            Some("type a")
        );
        assert_eq!(required(&compile_expression("TRUE", &[]).expect("valid")), None);
    }
}
