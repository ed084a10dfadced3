//! Chooses events of a scanned batch.

use super::attributes::{Attributes as _, Test};
use super::functions::ChangeCase;
use super::program::{Program, Step};
use super::run::{Outcome, Runner};
use super::scanned::ScannedEvent;
use super::value::Value;

/// A program that calls no functions of the user, for the events of a batch.
pub struct Selector<'a> {
    program: &'a Program,
    /// What an event must pass, see [`Program::required`].
    required: &'a [Step],
    runner: Runner<'a>,
}

impl<'a> Selector<'a> {
    /// A selector for a program, see [`Runner::new`].
    pub fn new(program: &'a Program, change_case: ChangeCase) -> Self {
        Self { program, required: program.required(), runner: Runner::new(change_case) }
    }

    /// Whether the value for an event is true, without errors.
    #[inline(always)]
    pub fn selects(&mut self, event: &ScannedEvent<'a>) -> bool {
        // Most events are not wanted, and most often the first comparison says so.
        for (number, test, text) in self.required.iter().filter_map(comparison) {
            let Some(attribute) = self.program.attributes.get(number as usize) else { return false };
            // Most texts that differ have another length.
            if (test == Test::Exact && event.has_other_length(attribute, text))
                || event.has_text(number, attribute, test, text) != Some(true)
            {
                return false;
            }
        }
        self.required.len() == self.program.steps.len() || self.is_true(event)
    }

    #[inline(never)]
    fn is_true(&mut self, event: &ScannedEvent<'a>) -> bool {
        let outcome = self.runner.run(self.program, event, &[]);
        matches!(outcome, Outcome::Done(Value::Bool(true), errors) if errors.is_empty())
    }
}

/// The attribute, the test and the text of a step that compares them.
#[inline(always)]
fn comparison(step: &Step) -> Option<(u16, Test, &str)> {
    let Step::HasText { attribute, test, text, .. } = step else { return None };
    Some((*attribute, *test, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudevents::filter::dialects::{compile_expression, compile_filter};

    /// The comparisons, with `*` for those with a part of the text, and whether they are all that decides.
    fn required(program: &Program) -> (String, bool) {
        let required = program.required();
        let named = |(number, test, text): (u16, Test, &str)| {
            let part = if test == Test::Exact { "" } else { "*" };
            format!("{} {text}{part}", program.attributes[number as usize].name())
        };
        let comparisons: Vec<_> = required.iter().filter_map(comparison).map(named).collect();
        (comparisons.join(", "), required.len() == program.steps.len())
    }

    #[test]
    fn the_first_comparisons_of_an_expression_in_a_filter_decided_nothing() {
        let found = |json: &str| required(&compile_filter(json, &[]).expect("valid"));
        for (filter, comparisons, is_all) in [
            (r#"{"sql":"type = 'a' AND subject LIKE 'b%'"}"#, "type a, subject b*", true),
            (
                r#"{"sql":"type = 'a' AND id LIKE 'b' AND subject LIKE 'c%'"}"#,
                "type a, id b, subject c*",
                true,
            ),
            (r#"[{"sql":"type = 'a' AND id LIKE 'b_'"},{"exact":{"id":"c"}}]"#, "type a", false),
            (r#"[{"sql":"type = 'a'"},{"exact":{"id":"c"}}]"#, "type a, id c", true),
            (r#"{"sql":"type = 'a'"}"#, "type a", true),
            (r#"{"exact":{"type":"a"}}"#, "type a", true),
            (r#"{"prefix":{"type":"a","id":"b"}}"#, "type a*, id b*", true),
            (r#"{"all":[{"suffix":{"type":"a"}},{"any":[{"exact":{"id":"b"}}]}]}"#, "type a*", false),
            (r#"{"sql":"type = 'a' AND (id = 'b' OR id = 'c')"}"#, "type a", false),
            (r#"{"sql":"type = 'a' AND (id = 'b' XOR id = 'c')"}"#, "type a", false),
            (
                r#"{"sql":"(type = 'a' AND id = 'b') AND (subject = 'c' AND source = 'd')"}"#,
                "type a, id b, subject c, source d",
                true,
            ),
            (r#"{"sql":"type = 'a' AND NOT (id = 'b')"}"#, "type a", false),
            (r#"{"sql":"type = 'a' OR id = 'b'"}"#, "", false),
            (r#"{"sql":"type = 'a' AND id = 'b' OR subject = 'c'"}"#, "", false),
            (r#"{"sql":"NOT (type = 'a')"}"#, "", false),
            (r#"{"sql":"(type = 'a') = FALSE"}"#, "", false),
            (r#"{"sql":"type NOT LIKE 'a%'"}"#, "", false),
            (r#"{"sql":"type LIKE 'a%' AND subject LIKE '%b' AND id LIKE 'c'"}"#, "type a*", false),
            (r#"{"any":[{"exact":{"type":"a"}}]}"#, "", false),
            (r#"{"not":{"exact":{"type":"a"}}}"#, "", false),
            ("[]", "", true),
        ] {
            assert_eq!(found(filter), (comparisons.to_owned(), is_all), "{filter}");
        }
        let expression = |text: &str| required(&compile_expression(text, &[]).expect("valid"));
        assert_eq!(expression("type = 'a' AND TRUE"), ("type a".to_owned(), true));
        assert_eq!(expression("TRUE"), (String::new(), true));
    }
}
