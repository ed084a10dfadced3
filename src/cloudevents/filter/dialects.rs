//! The dialects of the Subscriptions API, section 3.2.4.1: `exact`, `prefix`, `suffix`, `all`, `any`, `not` and `sql`.
//!
//! JavaScript has checked the shape of the filter and says what is wrong with it; here only `sql` can fail in a way that
//! it has not foreseen.

use super::attributes::Test;
use super::cesql::{self, ParseError};
use super::program::{Builder, Program, Step, UserFunction};
use super::value::{Type, Value};
use crate::base::json::find::{Document, items, members, string};
use crate::base::json::scan::{ScanError, Scanner};

/// How deep filters may be nested in `all`, `any` and `not`.
pub const MAX_DEPTH: usize = 50;

/// Why a filter was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// An expression does not parse.
    Expression {
        /// The expression.
        text: String,
        /// Where and why.
        error: ParseError,
    },
    /// Something else than JavaScript lets through.
    Shape,
}

/// Compiles one expression, for its value.
pub fn compile_expression(text: &str, functions: &[UserFunction]) -> Result<Program, ParseError> {
    let mut builder = Builder::new(functions);
    cesql::compile(text, &mut builder)?;
    Ok(builder.finish())
}

/// Compiles a filter from its JSON: one dialect, or an array of them, which must all be true.
pub fn compile_filter(json: &str, functions: &[UserFunction]) -> Result<Program, FilterError> {
    let document = Document::new(json.as_bytes().to_vec());
    let mut scanner = Scanner::new(document.padded());
    let mut compiler = Compiler { builder: Builder::new(functions), error: None };
    let result = compiler.filter(&mut scanner, 0);
    match (result, compiler.error) {
        (Ok(()), None) => Ok(compiler.builder.finish()),
        (_, error) => Err(error.unwrap_or(FilterError::Shape)),
    }
}

/// Reads the functions of the user: an array of `["NAME", "types of the parameters, * before that of the rest", "type of
/// the result"]`, where a type is `b`, `i`, `s`, or `a` for any.
pub fn read_functions(json: &str) -> Vec<UserFunction> {
    let document = Document::new(json.as_bytes().to_vec());
    let mut functions = Vec::new();
    let visited = items(&mut Scanner::new(document.padded()), |scanner| {
        let mut texts = Vec::new();
        items(scanner, |scanner| {
            let span = scanner.string()?;
            texts.push(string(scanner.text(), span));
            Ok(())
        })?;
        if let [name, parameters, returns] = texts.as_slice() {
            let (fixed, rest) = parameters.split_once('*').unwrap_or((parameters, ""));
            functions.push(UserFunction {
                name: name.clone(),
                parameters: fixed.chars().map(type_of).collect(),
                rest: rest.chars().next().map(type_of),
                returns: returns.chars().next().map_or(Type::Any, type_of),
            });
        }
        Ok(())
    });
    debug_assert!(visited.is_ok(), "JavaScript writes JSON");
    functions
}

const fn type_of(letter: char) -> Type {
    match letter {
        'b' => Type::Bool,
        'i' => Type::Int,
        's' => Type::Str,
        _ => Type::Any,
    }
}

struct Compiler<'f> {
    builder: Builder<'f>,
    error: Option<FilterError>,
}

impl Compiler<'_> {
    fn filter(&mut self, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), ScanError> {
        if depth > MAX_DEPTH {
            return Err(ScanError::TooDeep);
        }
        if scanner.peek() == b'[' {
            return self.group(scanner, true, depth);
        }
        members(scanner, |dialect, scanner| match dialect {
            b"exact" => self.tests(scanner, Test::Exact),
            b"prefix" => self.tests(scanner, Test::Prefix),
            b"suffix" => self.tests(scanner, Test::Suffix),
            b"all" => self.group(scanner, true, depth),
            b"any" => self.group(scanner, false, depth),
            b"not" => {
                self.filter(scanner, depth + 1)?;
                self.builder.add(Step::Not);
                Ok(())
            }
            b"sql" => self.sql(scanner),
            _ => Err(ScanError::Syntax),
        })
    }

    /// Filters that must all be true, or one of them.
    fn group(&mut self, scanner: &mut Scanner<'_>, is_all: bool, depth: usize) -> Result<(), ScanError> {
        let mut jumps = Vec::new();
        self.builder.add(Step::Push(Value::Bool(is_all)));
        items(scanner, |scanner| {
            jumps.push(self.builder.add(if is_all { Step::And(0) } else { Step::Or(0) }));
            self.filter(scanner, depth + 1)
        })?;
        for jump in jumps {
            self.builder.land(jump);
        }
        Ok(())
    }

    /// Attributes with the texts that they must have.
    fn tests(&mut self, scanner: &mut Scanner<'_>, test: Test) -> Result<(), ScanError> {
        let mut jumps = Vec::new();
        let mut is_first = true;
        members(scanner, |name, scanner| {
            let span = scanner.string()?;
            let text = string(scanner.text(), span);
            let name = core::str::from_utf8(name).map_err(|_| ScanError::Encoding)?;
            let attribute = self.builder.attribute(name).ok_or(ScanError::TooDeep)?;
            if !is_first {
                jumps.push(self.builder.add(Step::And(0)));
            }
            is_first = false;
            self.builder.add(Step::HasText { attribute, test, text, is_cesql: false });
            Ok(())
        })?;
        for jump in jumps {
            self.builder.land(jump);
        }
        Ok(())
    }

    fn sql(&mut self, scanner: &mut Scanner<'_>) -> Result<(), ScanError> {
        let span = scanner.string()?;
        let text = string(scanner.text(), span);
        let start = self.builder.add(Step::Sql(0));
        if let Err(error) = cesql::compile(&text, &mut self.builder) {
            self.error.get_or_insert(FilterError::Expression { text, error });
            return Err(ScanError::Syntax);
        }
        self.builder.land(start);
        self.builder.add(Step::EndSql);
        Ok(())
    }
}
