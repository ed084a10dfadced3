//! The parser. Each method reads one rule of the grammar and adds its steps.

use std::borrow::Cow;

use super::fault::{Fault, MAX_DEPTH, MAX_EXPRESSION};
use super::lexer::{Lexer, Token, content};
use crate::cloudevents::filter::program::{Arithmetic, Builder, Comparison, Step};
use crate::cloudevents::filter::value::{Value, parse_int};

/// Binding powers: a higher one binds more tightly.
mod power {
    pub(super) const LOGIC: u8 = 1;
    pub(super) const COMPARISON: u8 = 2;
    pub(super) const ADDITIVE: u8 = 3;
    pub(super) const MULTIPLICATIVE: u8 = 4;
    pub(super) const IN: u8 = 5;
    pub(super) const LIKE: u8 = 6;
}

/// An operator after an operand.
#[derive(Clone, Copy)]
enum Operator {
    And,
    Or,
    Xor,
    Compare(Comparison),
    Compute(Arithmetic),
    In { is_negated: bool },
    Like { is_negated: bool },
}

impl Operator {
    const fn power(self) -> u8 {
        match self {
            Self::And | Self::Or | Self::Xor => power::LOGIC,
            Self::Compare(_) => power::COMPARISON,
            Self::Compute(Arithmetic::Add | Arithmetic::Subtract) => power::ADDITIVE,
            Self::Compute(_) => power::MULTIPLICATIVE,
            Self::In { .. } => power::IN,
            Self::Like { .. } => power::LIKE,
        }
    }
}

pub(super) fn parse(text: &str, builder: &mut Builder<'_>) -> Result<(), Fault> {
    if text.len() > MAX_EXPRESSION {
        return Err(Fault { at: 0, expected: "an expression of at most 65536 bytes" });
    }
    let mut parser = Parser { lexer: Lexer::new(text)?, builder, depth: 0 };
    parser.expression(0)?;
    if parser.lexer.token == Token::End {
        Ok(())
    } else {
        parser.fail("an operator or the end of the expression")
    }
}

struct Parser<'a, 'b, 'f> {
    lexer: Lexer<'a>,
    builder: &'b mut Builder<'f>,
    depth: usize,
}

impl Parser<'_, '_, '_> {
    fn fail<T>(&self, expected: &'static str) -> Result<T, Fault> {
        Err(Fault { at: self.lexer.start, expected })
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.lexer.token, Token::Symbol(next) if next == symbol)
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.lexer.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn expect(&mut self, symbol: &str, expected: &'static str) -> Result<(), Fault> {
        if self.is_symbol(symbol) { self.lexer.advance() } else { self.fail(expected) }
    }

    /// An operand, and the operators after it that bind more tightly than `min`.
    fn expression(&mut self, min: u8) -> Result<(), Fault> {
        self.nested(Self::unary)?;
        while let Some(operator) = self.operator(min)? {
            match operator {
                Operator::Like { is_negated } => {
                    let Token::Text(raw) = self.lexer.token else {
                        return self.fail("a pattern in quotes after LIKE");
                    };
                    self.lexer.advance()?;
                    self.builder.like(&content(raw, true), is_negated);
                }
                Operator::In { is_negated } => {
                    self.expect("(", "\"(\" after IN")?;
                    let count = self.list()?;
                    if count == 0 {
                        return self.fail("an expression: the list of IN must not be empty");
                    }
                    self.expect(")", "an operator, \",\" or \")\"")?;
                    self.builder.add(Step::In { count, is_negated });
                }
                Operator::And | Operator::Or => {
                    let is_and = matches!(operator, Operator::And);
                    let jump = self.builder.add(if is_and { Step::And(0) } else { Step::Or(0) });
                    self.nested(|parser| parser.expression(power::LOGIC))?;
                    self.builder.add(Step::ToBool);
                    self.builder.land(jump);
                }
                Operator::Xor => {
                    self.nested(|parser| parser.expression(power::LOGIC))?;
                    self.builder.add(Step::Xor);
                }
                Operator::Compare(comparison) => {
                    self.nested(|parser| parser.expression(power::COMPARISON))?;
                    self.builder.compare(comparison);
                }
                Operator::Compute(arithmetic) => {
                    self.nested(|parser| parser.expression(operator.power()))?;
                    self.builder.add(Step::Compute(arithmetic));
                }
            }
        }
        Ok(())
    }

    /// Moves over the next operator, if it binds more tightly than `min`.
    fn operator(&mut self, min: u8) -> Result<Option<Operator>, Fault> {
        let start = self.lexer.start;
        let mut is_negated = false;
        let operator = match self.lexer.token {
            Token::Symbol(symbol) => match symbol {
                "=" => Operator::Compare(Comparison::Equal),
                "!=" | "<>" => Operator::Compare(Comparison::NotEqual),
                "<" => Operator::Compare(Comparison::Less),
                "<=" => Operator::Compare(Comparison::LessOrEqual),
                ">" => Operator::Compare(Comparison::Greater),
                ">=" => Operator::Compare(Comparison::GreaterOrEqual),
                "+" => Operator::Compute(Arithmetic::Add),
                "-" => Operator::Compute(Arithmetic::Subtract),
                "*" => Operator::Compute(Arithmetic::Multiply),
                "/" => Operator::Compute(Arithmetic::Divide),
                "%" => Operator::Compute(Arithmetic::Remainder),
                _ => return Ok(None),
            },
            Token::Word(word) => {
                let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
                if is("AND") {
                    Operator::And
                } else if is("OR") {
                    Operator::Or
                } else if is("XOR") {
                    Operator::Xor
                } else if is("LIKE") {
                    Operator::Like { is_negated }
                } else if is("IN") {
                    Operator::In { is_negated }
                } else if is("NOT") {
                    is_negated = true;
                    self.lexer.advance()?;
                    if self.is_keyword("LIKE") {
                        Operator::Like { is_negated }
                    } else if self.is_keyword("IN") {
                        Operator::In { is_negated }
                    } else {
                        return self.fail("LIKE or IN after NOT");
                    }
                } else {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        };
        if operator.power() <= min {
            // `NOT IN` was read too far for an operand that binds between the two.
            return if is_negated { self.lexer.seek(start).map(|()| None) } else { Ok(None) };
        }
        self.lexer.advance()?;
        Ok(Some(operator))
    }

    /// `NOT x`, `-x`, `EXISTS name`, or an operand.
    fn unary(&mut self) -> Result<(), Fault> {
        if self.is_keyword("NOT") {
            self.lexer.advance()?;
            self.nested(Self::unary)?;
            self.builder.add(Step::Not);
        } else if self.is_keyword("EXISTS") {
            self.lexer.advance()?;
            let (Token::Word(name) | Token::Integer(name)) = self.lexer.token else {
                return self.fail("the name of an attribute after EXISTS");
            };
            let attribute = self.attribute(name)?;
            self.builder.add(Step::Exists(attribute));
        } else if self.is_symbol("-") || self.is_symbol("+") {
            let is_negative = self.is_symbol("-");
            self.lexer.advance()?;
            if let Token::Integer(digits) = self.lexer.token {
                return self.integer(digits, is_negative);
            }
            if !is_negative {
                return self.fail("digits after +");
            }
            self.nested(Self::unary)?;
            self.builder.add(Step::Negate);
        } else {
            return self.operand();
        }
        Ok(())
    }

    /// A literal, an attribute, a call, or an expression in parentheses.
    fn operand(&mut self) -> Result<(), Fault> {
        match self.lexer.token {
            Token::Text(raw) => {
                self.lexer.advance()?;
                self.builder.add(Step::Push(Value::Str(Cow::Owned(content(raw, false)))));
                Ok(())
            }
            Token::Integer(digits) => self.integer(digits, false),
            Token::Symbol("(") => {
                self.lexer.advance()?;
                self.nested(|parser| parser.expression(0))?;
                self.expect(")", "an operator or \")\"")
            }
            Token::Word(word) => {
                for (keyword, value) in [("TRUE", true), ("FALSE", false)] {
                    if word.eq_ignore_ascii_case(keyword) {
                        self.lexer.advance()?;
                        self.builder.add(Step::Push(Value::Bool(value)));
                        return Ok(());
                    }
                }
                if ["AND", "OR", "XOR", "IN", "LIKE"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
                {
                    return self.fail(OPERAND);
                }
                if self.lexer.is_before_parenthesis() {
                    return self.call(word);
                }
                let attribute = self.attribute(word)?;
                self.builder.add(Step::Attribute(attribute));
                Ok(())
            }
            _ => self.fail(OPERAND),
        }
    }

    fn integer(&mut self, digits: &str, is_negative: bool) -> Result<(), Fault> {
        let sign = if is_negative { "-" } else { "" };
        let Some(value) = parse_int([sign, digits].concat().as_bytes()) else {
            return self.fail("an integer of 32 bits, from -2147483648 to 2147483647");
        };
        self.lexer.advance()?;
        self.builder.add(Step::Push(Value::Int(value)));
        Ok(())
    }

    /// The number of the attribute, whose name is the next token.
    fn attribute(&mut self, name: &str) -> Result<u16, Fault> {
        if name.contains('_') {
            return self.fail("the name of an attribute, which has only letters and digits");
        }
        let Some(number) = self.builder.attribute(&name.to_ascii_lowercase()) else {
            return self.fail("at most 65535 attributes");
        };
        self.lexer.advance()?;
        Ok(number)
    }

    fn call(&mut self, name: &str) -> Result<(), Fault> {
        let first = self.builder.len();
        self.lexer.advance()?;
        self.expect("(", "\"(\"")?;
        let count = self.list()?;
        self.expect(")", "an operator, \",\" or \")\"")?;
        self.builder.call(&name.to_ascii_uppercase(), count, first);
        Ok(())
    }

    /// Expressions with commas between them, up to a closing parenthesis. Returns their number.
    fn list(&mut self) -> Result<u16, Fault> {
        let mut count = 0u16;
        if self.is_symbol(")") {
            return Ok(0);
        }
        loop {
            self.nested(|parser| parser.expression(0))?;
            let Some(next) = count.checked_add(1) else {
                return self.fail("at most 65535 expressions in a list");
            };
            count = next;
            if !self.is_symbol(",") {
                return Ok(count);
            }
            self.lexer.advance()?;
        }
    }

    fn nested(&mut self, rule: impl FnOnce(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.depth == MAX_NESTED {
            return self.fail("an expression that is nested less deeply");
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }
}

/// Each parenthesis and argument is three rules deep: the expression, its operand, and the operand of an operator.
const MAX_NESTED: usize = 3 * MAX_DEPTH;

const OPERAND: &str = "an attribute, a literal, a function, NOT, EXISTS, \"-\" or \"(\"";
