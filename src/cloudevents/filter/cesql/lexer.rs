//! The tokens of an expression.

use super::fault::Fault;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name or keyword, as it is written.
    Word(&'a str),
    /// Digits.
    Integer(&'a str),
    /// A string, as it is written between its quotes.
    Text(&'a str),
    /// A character of an operator or a parenthesis, or a comma.
    Symbol(&'static str),
    /// The end of the expression.
    End,
}

/// The symbols. A longer one stands before its start.
const SYMBOLS: [&str; 15] = ["!=", "<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","];

/// Cuts an expression into tokens.
pub(super) struct Lexer<'a> {
    text: &'a str,
    pos: usize,
    /// The next token.
    pub(super) token: Token<'a>,
    /// Where it starts.
    pub(super) start: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, Fault> {
        let mut lexer = Self { text, pos: 0, token: Token::End, start: 0 };
        lexer.advance()?;
        Ok(lexer)
    }

    /// Reads the next token.
    pub(super) fn advance(&mut self) -> Result<(), Fault> {
        let rest = without_space(self.rest());
        self.start = self.text.len() - rest.len();
        self.pos = self.start;
        self.token = match rest.bytes().next() {
            None => Token::End,
            Some(quote @ (b'\'' | b'"')) => self.string(quote)?,
            Some(byte) if is_word(byte) => {
                let end = rest.bytes().position(|byte| !is_word(byte)).unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                self.pos += end;
                if word.bytes().all(|byte| byte.is_ascii_digit()) {
                    Token::Integer(word)
                } else {
                    Token::Word(word)
                }
            }
            Some(_) => {
                let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) else {
                    return Err(Fault {
                        at: self.start,
                        expected: "an attribute, a literal, an operator, a function or a parenthesis",
                    });
                };
                self.pos += symbol.len();
                Token::Symbol(symbol)
            }
        };
        Ok(())
    }

    /// Goes back to the token that starts here.
    pub(super) fn seek(&mut self, start: usize) -> Result<(), Fault> {
        self.pos = start;
        self.advance()
    }

    /// Whether `(` comes after the next token.
    pub(super) fn is_before_parenthesis(&self) -> bool {
        without_space(self.rest()).starts_with('(')
    }

    /// A string. A backslash takes the character after it along.
    fn string(&mut self, quote: u8) -> Result<Token<'a>, Fault> {
        let start = self.pos + 1;
        let mut bytes = self.rest().bytes().enumerate().skip(1);
        while let Some((at, byte)) = bytes.next() {
            if byte == quote {
                let end = self.pos + at;
                self.pos = end + 1;
                return Ok(Token::Text(self.text.get(start..end).unwrap_or_default()));
            }
            if byte == b'\\' {
                bytes.next();
            }
        }
        let expected = if quote == b'"' {
            "the closing quote \" of the string"
        } else {
            "the closing quote ' of the string"
        };
        Err(Fault { at: self.text.len(), expected })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }
}

fn without_space(text: &str) -> &str {
    let start = text.bytes().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    text.get(start.unwrap_or(text.len())..).unwrap_or_default()
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The content of a string: a backslash is dropped before a quote, and before another backslash unless `is_pattern`.
pub(super) fn content(raw: &str, is_pattern: bool) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        match chars.next() {
            Some(quote @ ('\'' | '"')) => text.push(quote),
            Some('\\') if !is_pattern => text.push('\\'),
            other => {
                text.push('\\');
                text.extend(other);
            }
        }
    }
    text
}
