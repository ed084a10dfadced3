//! Runs a program over the attributes of one event. Total: every input gives a value (section 3.3).
//!
//! An operand that is missing or cannot be cast makes the result of the operator the zero value of its type, with the
//! error in the list (sections 3.2 and 3.4).

use super::attributes::Attributes;
use super::functions::{Builtin, ChangeCase, change_case};
use super::program::{Arithmetic, Comparison, Program, Step};
use super::value::{Errors, EvaluationError, Type, Value};

/// What a function of the user has returned; `None` if it has failed.
pub type Returned = Option<Value<'static>>;

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// With a value.
    Done(Value<'a>, Errors),
    /// At a call of a function of the user that has not returned yet. The caller calls it and runs again, with one more
    /// result. The same calls come in the same order, because all else depends on the event alone.
    Call {
        /// The number of the function.
        function: u16,
        /// The arguments.
        arguments: Vec<Value<'a>>,
    },
}

/// An operand.
enum Operand<'a> {
    Value(Value<'a>),
    /// The attribute is missing, and that is in the list of errors.
    Missing,
    /// The result of a computation that has failed, with the error in the list. The conformance tests want an operator
    /// on it to fail as well: `1 != 1 / 0` is false.
    Failed(i32),
}

/// Runs programs. Keeps its stack from one event to the next.
pub struct Runner<'a> {
    stack: Vec<Operand<'a>>,
    errors: Errors,
    change_case: ChangeCase,
}

impl Default for Runner<'_> {
    fn default() -> Self {
        Self::new(change_case)
    }
}

impl<'a> Runner<'a> {
    /// A runner for which `UPPER` and `LOWER` are done by a function.
    pub fn new(change_case: ChangeCase) -> Self {
        Self { stack: Vec::new(), errors: Errors::default(), change_case }
    }

    /// Runs the program. `returned` has the results of the calls that this event has had so far.
    pub fn run(
        &mut self,
        program: &'a Program,
        event: &impl Attributes<'a>,
        returned: &[Returned],
    ) -> Outcome<'a> {
        self.stack.clear();
        self.errors = Errors::default();
        let mut calls = returned.iter();
        let mut outer = None;
        let mut next = 0;
        while let Some(step) = program.steps.get(next) {
            next += 1;
            let result = match step {
                Step::Push(value) => Operand::Value(value.borrowed()),
                Step::Attribute(number) => self.attribute(program, event, *number),
                Step::Exists(number) => {
                    let attribute = program.attributes.get(*number as usize);
                    bool(attribute.is_some_and(|attribute| event.get(*number, attribute).is_some()))
                }
                Step::Not => self.pop_bool().map_or(FALSE, |value| bool(!value)),
                Step::Negate => match self.pop_int() {
                    Some(value) => self.integer(value.checked_neg()),
                    None => Operand::Value(Type::Int.zero()),
                },
                Step::Compute(arithmetic) => {
                    let (right, left) = (self.pop_int(), self.pop_int());
                    match left.zip(right) {
                        Some((left, right)) => self.integer(compute(*arithmetic, left, right)),
                        None => Operand::Value(Type::Int.zero()),
                    }
                }
                Step::Compare(comparison) => self.compare(*comparison).map_or(FALSE, bool),
                Step::Like { pattern, is_negated } => match self.pop() {
                    Operand::Value(value) => bool(pattern.matches(&value.into_text()) != *is_negated),
                    Operand::Missing | Operand::Failed(_) => FALSE,
                },
                Step::In { count, is_negated } => {
                    self.is_in(*count as usize).map_or(FALSE, |found| bool(found != *is_negated))
                }
                Step::And(end) | Step::Or(end) => {
                    let decides = matches!(step, Step::Or(_));
                    match self.pop_bool() {
                        Some(left) if left != decides => continue,
                        left => {
                            next = *end as usize;
                            left.map_or(FALSE, bool)
                        }
                    }
                }
                Step::ToBool => self.pop_bool().map_or(FALSE, bool),
                Step::Xor => {
                    let (right, left) = (self.pop_bool(), self.pop_bool());
                    left.zip(right).map_or(FALSE, |(left, right)| bool(left != right))
                }
                Step::Call { function, count } => {
                    let arguments = self.arguments(*count as usize, |index| function.parameter(index));
                    match arguments {
                        Some(arguments) => self.call(*function, &arguments),
                        None => Operand::Value(function.returns().zero()),
                    }
                }
                Step::CallUser { function: number, count } => {
                    let Some(function) = program.functions.get(*number as usize) else { continue };
                    let arguments = self.arguments(*count as usize, |index| function.parameter(index));
                    // A call without all its arguments is not made.
                    match arguments.map(|arguments| (arguments, calls.next())) {
                        None => Operand::Value(function.returns.zero()),
                        Some((_, Some(result))) => self.returned(result, function.returns),
                        Some((arguments, None)) => return Outcome::Call { function: *number, arguments },
                    }
                }
                Step::MissingFunction => {
                    self.errors.add(EvaluationError::MissingFunction);
                    FALSE
                }
                Step::HasText { attribute: number, test, text, is_cesql } => {
                    let attribute = program.attributes.get(*number as usize);
                    let found =
                        attribute.and_then(|attribute| event.has_text(*number, attribute, *test, text));
                    if found.is_none() && *is_cesql {
                        self.errors.add(EvaluationError::MissingAttribute);
                    }
                    bool(found == Some(true))
                }
                Step::Sql(end) => {
                    outer = Some((*end as usize, self.errors));
                    self.errors = Errors::default();
                    continue;
                }
                Step::EndSql => {
                    let is_true = matches!(self.pop(), Operand::Value(Value::Bool(true)));
                    let result = bool(is_true && self.errors.is_empty());
                    self.errors = outer.take().map(|(_, errors)| errors).unwrap_or_default();
                    result
                }
            };
            self.stack.push(result);
            // An expression that is used as a filter is false after its first error, so the rest is skipped.
            if let (Some((end, _)), false) = (outer, self.errors.is_empty()) {
                next = end;
            }
        }
        let value = match self.pop() {
            Operand::Value(value) => value,
            Operand::Failed(value) => Value::Int(value),
            Operand::Missing => Value::Bool(false),
        };
        self.stack.clear();
        Outcome::Done(value, self.errors)
    }

    fn attribute(&mut self, program: &Program, event: &impl Attributes<'a>, number: u16) -> Operand<'a> {
        let value =
            program.attributes.get(number as usize).and_then(|attribute| event.get(number, attribute));
        match value {
            Some(value) => Operand::Value(value),
            None => {
                self.errors.add(EvaluationError::MissingAttribute);
                Operand::Missing
            }
        }
    }

    fn pop(&mut self) -> Operand<'a> {
        // The compiler gives every step its operands.
        self.stack.pop().unwrap_or(Operand::Missing)
    }

    /// A value of another type. `None`, with the error, if it is missing or cannot be cast.
    fn cast(&mut self, operand: Operand<'a>, to: Type) -> Option<Value<'a>> {
        let Operand::Value(value) = operand else { return None };
        let cast = value.cast(to);
        if cast.is_none() {
            self.errors.add(EvaluationError::Cast);
        }
        cast
    }

    fn pop_bool(&mut self) -> Option<bool> {
        let operand = self.pop();
        self.cast(operand, Type::Bool)?.to_bool()
    }

    fn pop_int(&mut self) -> Option<i32> {
        let operand = self.pop();
        self.cast(operand, Type::Int)?.to_int()
    }

    /// The result of a computation, or 0 with an error if it has none.
    fn integer(&mut self, result: Option<i32>) -> Operand<'a> {
        match result {
            Some(value) => Operand::Value(Value::Int(value)),
            None => {
                self.errors.add(EvaluationError::Math);
                Operand::Failed(0)
            }
        }
    }

    fn call(&mut self, function: Builtin, arguments: &[Value<'a>]) -> Operand<'a> {
        let before = self.errors;
        let value = function.call(arguments, &mut self.errors, self.change_case);
        match value {
            Value::Int(value) if function == Builtin::Abs && self.errors != before => Operand::Failed(value),
            value => Operand::Value(value),
        }
    }

    fn compare(&mut self, comparison: Comparison) -> Option<bool> {
        if let Comparison::Equal | Comparison::NotEqual = comparison {
            let (right, left) = (self.pop(), self.pop());
            let Operand::Value(right) = right else { return None };
            // The operator is ambiguous, so the right operand decides (section 3.7).
            let left = self.cast(left, right.kind())?;
            return Some((left == right) == (comparison == Comparison::Equal));
        }
        let (right, left) = (self.pop_int(), self.pop_int());
        let (left, right) = left.zip(right)?;
        Some(match comparison {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            _ => left >= right,
        })
    }

    fn is_in(&mut self, count: usize) -> Option<bool> {
        let elements = self.stack.split_off(self.stack.len().saturating_sub(count));
        let Operand::Value(value) = self.pop() else { return None };
        let (mut is_found, mut is_valid) = (false, true);
        for element in elements {
            match self.cast(element, value.kind()) {
                Some(element) => is_found |= element == value,
                None => is_valid = false,
            }
        }
        is_valid.then_some(is_found)
    }

    /// The arguments of a call. `None` if one is missing or cannot be cast.
    fn arguments(&mut self, count: usize, parameter: impl Fn(usize) -> Type) -> Option<Vec<Value<'a>>> {
        let operands = self.stack.split_off(self.stack.len().saturating_sub(count));
        let mut arguments = Vec::with_capacity(operands.len());
        for (index, operand) in operands.into_iter().enumerate() {
            arguments.extend(self.cast(operand, parameter(index)));
        }
        (arguments.len() == count).then_some(arguments)
    }

    fn returned(&mut self, result: &Returned, to: Type) -> Operand<'a> {
        let value = result.clone().and_then(|value| value.cast(to));
        if value.is_none() {
            self.errors.add(EvaluationError::FunctionEvaluation);
        }
        Operand::Value(value.unwrap_or_else(|| to.zero()))
    }
}

const FALSE: Operand<'static> = Operand::Value(Value::Bool(false));

const fn bool(value: bool) -> Operand<'static> {
    Operand::Value(Value::Bool(value))
}

fn compute(arithmetic: Arithmetic, left: i32, right: i32) -> Option<i32> {
    match arithmetic {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    }
}
