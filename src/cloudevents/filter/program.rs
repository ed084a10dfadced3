//! A compiled filter: a list of steps for a machine with a stack.

use super::attributes::{Attribute, Test};
use super::functions::Builtin;
use super::pattern::Pattern;
use super::value::{Type, Value};

/// `+` `-` `*` `/` `%`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// `=` `!=` `<` `<=` `>` `>=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=` or `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// One step. Operands are taken from the stack, results are put there. A jump goes to a step by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A literal.
    Push(Value<'static>),
    /// The value of an attribute, by its number in [`Program::attributes`].
    Attribute(u16),
    /// `EXISTS`
    Exists(u16),
    /// `NOT`
    Not,
    /// `-x`
    Negate,
    /// `x + y` and so on
    Compute(Arithmetic),
    /// `x = y` and so on
    Compare(Comparison),
    /// `x LIKE pattern`
    Like {
        /// The pattern.
        pattern: Pattern,
        /// `NOT LIKE`
        is_negated: bool,
    },
    /// `x IN (…)`, with the elements of the list above `x` on the stack.
    In {
        /// The number of elements.
        count: u16,
        /// `NOT IN`
        is_negated: bool,
    },
    /// Jumps over the right operand of `AND` if the left one decides.
    And(u32),
    /// Jumps over the right operand of `OR` if the left one decides.
    Or(u32),
    /// The right operand of `AND` or `OR`, which is their result.
    ToBool,
    /// `XOR`
    Xor,
    /// A built-in function.
    Call {
        /// The function.
        function: Builtin,
        /// The number of arguments.
        count: u16,
    },
    /// A function of the user, by its number in [`Program::functions`].
    CallUser {
        /// The function.
        function: u16,
        /// The number of arguments.
        count: u16,
    },
    /// A call that no function takes.
    MissingFunction,
    /// Whether an attribute has a text: `exact`, `prefix` and `suffix`; `attribute = 'text'`; `LIKE` with a text or the start of
    /// one.
    HasText {
        /// The attribute.
        attribute: u16,
        /// How.
        test: Test,
        /// The text.
        text: String,
        /// In CESQL an attribute that is missing is an error.
        is_cesql: bool,
    },
    /// The start of an expression that is used as a filter; its errors are its own. Where it ends.
    Sql(u32),
    /// The end of it: whether the value is true and there were no errors.
    EndSql,
}

/// A function that the user has defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFunction {
    /// Its name in upper case.
    pub name: String,
    /// The types of the parameters that must be given.
    pub parameters: Vec<Type>,
    /// The type of further arguments, if it takes them.
    pub rest: Option<Type>,
    /// The type of the result.
    pub returns: Type,
}

impl UserFunction {
    /// The type of the parameter at an index.
    pub(super) fn parameter(&self, index: usize) -> Type {
        self.parameters.get(index).copied().or(self.rest).unwrap_or(Type::Any)
    }
}

/// A compiled filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) functions: Vec<UserFunction>,
}

impl Program {
    /// The attributes that it reads.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The first steps, without jumps, as far as an event for which one of their comparisons is false gives false. After all
    /// other events true is on the stack.
    pub(super) fn required(&self) -> &[Step] {
        let is_required = |at: usize, step: &Step| match step {
            Step::Push(Value::Bool(true)) | Step::Sql(_) | Step::And(_) | Step::ToBool | Step::EndSql => true,
            Step::HasText { .. } => self.is_false_after(at),
            _ => false,
        };
        let count = self.steps.iter().enumerate().take_while(|(at, step)| is_required(*at, step)).count();
        self.steps.get(..count).unwrap_or_default()
    }

    /// Whether the value is false if a step leaves false on the stack.
    fn is_false_after(&self, step: usize) -> bool {
        let mut at = step + 1;
        while let Some(step) = self.steps.get(at) {
            match step {
                Step::And(end) => at = *end as usize,
                Step::ToBool | Step::EndSql => at += 1,
                _ => return false,
            }
        }
        true
    }

    /// Whether it may call functions of the user.
    pub fn calls_user(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::CallUser { .. }))
    }
}

/// Collects the steps of a program.
pub(super) struct Builder<'f> {
    steps: Vec<Step>,
    attributes: Vec<Attribute>,
    functions: &'f [UserFunction],
}

impl<'f> Builder<'f> {
    pub(super) const fn new(functions: &'f [UserFunction]) -> Self {
        Self { steps: Vec::new(), attributes: Vec::new(), functions }
    }

    pub(super) fn finish(self) -> Program {
        Program { steps: self.steps, attributes: self.attributes, functions: self.functions.to_vec() }
    }

    /// The number of the next step.
    pub(super) const fn len(&self) -> usize {
        self.steps.len()
    }

    /// Adds a step. Returns its number.
    pub(super) fn add(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Adds the comparison of the last two operands.
    pub(super) fn compare(&mut self, comparison: Comparison) {
        // An operand that ends with one of these steps is that step alone.
        if let [.., Step::Attribute(attribute), Step::Push(Value::Str(text))] = self.steps.as_slice()
            && comparison == Comparison::Equal
        {
            let (attribute, text) = (*attribute, text.clone().into_owned());
            self.steps.truncate(self.steps.len() - 2);
            self.steps.push(Step::HasText { attribute, test: Test::Exact, text, is_cesql: true });
        } else {
            self.steps.push(Step::Compare(comparison));
        }
    }

    /// Adds the comparison of the last operand with a pattern.
    pub(super) fn like(&mut self, pattern: &str, is_negated: bool) {
        let (test, text) = if let Some(text) = pattern.strip_suffix('%') {
            (Test::Prefix, text)
        } else {
            (Test::Exact, pattern)
        };
        if let Some(Step::Attribute(attribute)) = self.steps.last()
            && !is_negated
            && !text.bytes().any(|byte| matches!(byte, b'%' | b'_' | b'\\'))
        {
            let attribute = *attribute;
            self.steps.pop();
            self.steps.push(Step::HasText { attribute, test, text: text.to_owned(), is_cesql: true });
        } else {
            self.steps.push(Step::Like { pattern: Pattern::new(pattern), is_negated });
        }
    }

    /// Lets the jump at a step go to the next one.
    pub(super) fn land(&mut self, jump: usize) {
        let target = self.steps.len() as u32;
        if let Some(Step::And(to) | Step::Or(to) | Step::Sql(to)) = self.steps.get_mut(jump) {
            *to = target;
        }
    }

    /// The number of an attribute. `None` if there are too many.
    pub(super) fn attribute(&mut self, name: &str) -> Option<u16> {
        let known = self.attributes.iter().position(|attribute| attribute.name() == name);
        let index = known.unwrap_or_else(|| {
            self.attributes.push(Attribute::new(name));
            self.attributes.len() - 1
        });
        u16::try_from(index).ok()
    }

    /// Adds a call of the function with this name, which takes its arguments from the steps since `first`.
    pub(super) fn call(&mut self, name: &str, count: u16, first: usize) {
        let arity = count as usize;
        let builtin = Builtin::from_name(name).filter(|function| function.takes(arity));
        let step = builtin.map(|function| Step::Call { function, count }).or_else(|| {
            let named = || self.functions.iter().enumerate().filter(|(_, function)| function.name == name);
            let fixed =
                named().find(|(_, function)| function.parameters.len() == arity && function.rest.is_none());
            let variadic = || {
                named().find(|(_, function)| function.rest.is_some() && function.parameters.len() <= arity)
            };
            let (index, _) = fixed.or_else(variadic)?;
            Some(Step::CallUser { function: u16::try_from(index).ok()?, count })
        });
        if step.is_none() {
            // Nobody takes the arguments, so they are not evaluated.
            self.steps.truncate(first);
        }
        self.add(step.unwrap_or(Step::MissingFunction));
    }
}
