//! The scanner: one pass over JSON text that checks everything and remembers nothing but where it is.
//!
//! Checked are the whole grammar of RFC 8259 and UTF-8. Not checked, because RFC 8259 allows them, are
//! unpaired surrogates behind `\u` and repeated member names; who cares looks at the strings.
//!
//! Zeros stand behind the text ([`Padded`]). Zero is allowed nowhere in JSON, so no step passes the end and
//! none has to ask for it.
//!
//! Positions are in bytes. [`Scanner::units`] is the same position in UTF-16 code units, which is how
//! JavaScript counts; the scanner keeps the difference as it goes.

use core::marker::PhantomData;

use super::block::{Block, Native};
use super::padded::{Padded, zero};

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 512;

/// What is wrong with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON.
    Syntax,
    /// Not UTF-8.
    Encoding,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// The kinds of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number; [`Span::plain`] tells whether it is an integer without fraction and exponent.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Where a value stands. For strings without the quotes.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// [`Self::start`] in UTF-16 units.
    pub start_unit: usize,
    /// [`Self::end`] in UTF-16 units.
    pub end_unit: usize,
    /// A string of printable ASCII without escapes, or an integer.
    pub plain: bool,
    /// A string with at least one escape.
    pub escaped: bool,
}

/// The walk over one text.
pub struct Scanner<'a, B = Native> {
    text: Padded<'a>,
    pos: usize,
    /// Bytes minus UTF-16 units before `pos`.
    shrink: usize,
    block: PhantomData<B>,
}

impl<B> Clone for Scanner<'_, B> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Scanner<'_, B> {}

type Step<T = ()> = Result<T, Fault>;

impl<'a, B: Block> Scanner<'a, B> {
    /// Starts at the first byte.
    pub const fn new(text: Padded<'a>) -> Self {
        Self { text, pos: 0, shrink: 0, block: PhantomData }
    }

    /// The text under the scanner.
    pub const fn text(&self) -> Padded<'a> {
        self.text
    }

    /// The position in bytes.
    pub const fn pos(&self) -> usize {
        self.pos
    }

    /// The position in UTF-16 units.
    pub const fn units(&self) -> usize {
        self.pos.wrapping_sub(self.shrink)
    }

    /// Counts UTF-16 units from here on. Gives what had been counted.
    pub(crate) const fn restart_units(&mut self) -> usize {
        let units = self.units();
        self.shrink = self.pos;
        units
    }

    /// Steps over bytes that are known to be in the text, printable and in ASCII.
    #[inline(always)]
    pub(crate) fn step_over(&mut self, len: usize) {
        self.pos += len;
        debug_assert!(self.pos <= self.text.len());
    }

    /// Steps over the rest of a string and its closing quote, if all of it is printable ASCII without escapes.
    #[inline(always)]
    pub(crate) fn skip_plain_rest(&mut self) -> bool {
        self.next_stop() == b'"'
    }

    /// The sixteen bytes from here, with the padding behind the text.
    #[inline(always)]
    pub(crate) fn sixteen(&self) -> &'a [u8; 16] {
        self.text.sixteen(self.pos)
    }

    /// The next byte, 0 at the end.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        self.text.at(self.pos)
    }

    /// Steps over white space.
    #[inline(always)]
    pub fn skip_space(&mut self) {
        if self.peek() > b' ' {
            return;
        }
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.pos += 1;
        }
    }

    /// Steps over `byte` and says whether it was there.
    #[inline(always)]
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.pos += 1;
        }
        found
    }

    /// Steps over `byte`.
    #[inline(always)]
    pub fn expect(&mut self, byte: u8) -> Step {
        if self.eat(byte) { Ok(()) } else { Err(Fault::Syntax) }
    }

    /// Steps over the string that starts here.
    #[inline(always)]
    pub fn string(&mut self) -> Step<Span> {
        self.expect(b'"')?;
        let (start, start_unit) = (self.pos, self.units());
        let (mut plain, mut escaped) = (true, false);
        loop {
            match self.next_stop() {
                b'"' => break,
                b'\\' => {
                    (plain, escaped) = (false, true);
                    self.escape()?;
                }
                0x80.. => {
                    plain = false;
                    self.beyond_ascii()?;
                }
                0x7f => {
                    plain = false;
                    self.pos += 1;
                }
                _ => return Err(Fault::Syntax),
            }
        }
        let (end, end_unit) = (self.pos, self.units());
        self.pos += 1;
        Ok(Span { start, end, start_unit, end_unit, plain, escaped })
    }

    /// Steps over the value that starts here, whatever it is.
    pub fn value(&mut self) -> Step<(Kind, Span)> {
        let (start, start_unit) = (self.pos, self.units());
        let mut plain = false;
        let kind = match self.peek() {
            b'"' => return Ok((Kind::String, self.string()?)),
            b'{' => self.nested().map(|()| Kind::Object)?,
            b'[' => self.nested().map(|()| Kind::Array)?,
            b't' => self.word(b"true").map(|()| Kind::True)?,
            b'f' => self.word(b"false").map(|()| Kind::False)?,
            b'n' => self.word(b"null").map(|()| Kind::Null)?,
            _ => {
                plain = self.number()?;
                Kind::Number
            }
        };
        Ok((kind, Span { start, end: self.pos, start_unit, end_unit: self.units(), plain, escaped: false }))
    }

    /// Whether only white space is left.
    pub fn is_finished(&mut self) -> bool {
        self.skip_space();
        self.pos == self.text.len()
    }

    /// Moves to the next byte that ends or interrupts a plain stretch of a string.
    #[inline(always)]
    fn next_stop(&mut self) -> u8 {
        loop {
            let stops = B::string_stops(self.text.sixteen(self.pos));
            if stops != 0 {
                self.pos += stops.trailing_zeros() as usize;
                return self.peek();
            }
            self.pos += 16;
        }
    }

    /// Steps over the string that starts here, for those who do not look at it.
    #[inline(always)]
    fn skip_string(&mut self) -> Step {
        self.pos += 1;
        if self.next_stop() != b'"' {
            self.skip_odd_string()?;
        }
        self.pos += 1;
        Ok(())
    }

    /// The rest of a string, from a stop that is not its end.
    #[inline(never)]
    fn skip_odd_string(&mut self) -> Step {
        loop {
            match self.next_stop() {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0x80.. => self.beyond_ascii()?,
                0x7f => self.pos += 1,
                _ => return Err(Fault::Syntax),
            }
        }
    }

    /// Steps over an array or object with everything in it. A loop, because recursion would let a peer choose
    /// the depth of our stack: one bit per level says whether it is an object.
    fn nested(&mut self) -> Step {
        let mut bits = [zero(); MAX_DEPTH / 64];
        let mut levels = Levels { bits: &mut bits, depth: 0, is_object: false };
        'value: loop {
            match self.peek() {
                b'"' => self.skip_string()?,
                b'{' => {
                    self.pos += 1;
                    levels.open(true)?;
                    self.skip_space();
                    if self.peek() != b'}' {
                        self.member_name()?;
                        continue 'value;
                    }
                }
                b'[' => {
                    self.pos += 1;
                    levels.open(false)?;
                    self.skip_space();
                    if self.peek() != b']' {
                        continue 'value;
                    }
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => drop(self.number()?),
            }
            loop {
                self.skip_space();
                let byte = self.peek();
                if byte == b',' {
                    self.pos += 1;
                    self.skip_space();
                    if levels.is_object {
                        self.member_name()?;
                    }
                    continue 'value;
                }
                if byte != if levels.is_object { b'}' } else { b']' } {
                    return Err(Fault::Syntax);
                }
                self.pos += 1;
                if levels.close() {
                    return Ok(());
                }
            }
        }
    }

    /// `"name" :` and the space behind it.
    #[inline(always)]
    fn member_name(&mut self) -> Step {
        if self.peek() != b'"' {
            return Err(Fault::Syntax);
        }
        self.skip_string()?;
        self.colon()
    }

    /// The colon behind a member name, and the space around it.
    #[inline(always)]
    pub fn colon(&mut self) -> Step {
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Step {
        for byte in word {
            self.expect(*byte)?;
        }
        Ok(())
    }

    /// Steps over a number and says whether it is an integer without fraction and exponent.
    fn number(&mut self) -> Step<bool> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut integer = true;
        if self.eat(b'.') {
            integer = false;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            integer = false;
            self.pos += 1;
            if !self.eat(b'-') {
                self.eat(b'+');
            }
            self.digits()?;
        }
        Ok(integer)
    }

    /// At least one digit.
    fn digits(&mut self) -> Step {
        let start = self.pos;
        while self.peek().is_ascii_digit() {
            self.pos += 1;
        }
        if self.pos > start { Ok(()) } else { Err(Fault::Syntax) }
    }

    /// Steps over a backslash and what belongs to it.
    fn escape(&mut self) -> Step {
        self.pos += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.pos += 1,
            b'u' => {
                self.pos += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(Fault::Syntax);
                    }
                    self.pos += 1;
                }
            }
            _ => return Err(Fault::Syntax),
        }
        Ok(())
    }

    /// Steps over a stretch of characters outside ASCII: well-formed UTF-8 by table 3-7 of the Unicode standard.
    fn beyond_ascii(&mut self) -> Step {
        while self.peek() >= 0x80 {
            let Some(len) = super::text::sequence_len(self.text.sixteen(self.pos)) else {
                return Err(Fault::Encoding);
            };
            self.pos += len;
            // Two units for a supplementary character, one for all others.
            self.shrink += if len == 4 { 2 } else { len - 1 };
        }
        Ok(())
    }
}

/// One bit for each open level: whether it is an object.
struct Levels<'b> {
    bits: &'b mut [u64; MAX_DEPTH / 64],
    depth: usize,
    is_object: bool,
}

impl Levels<'_> {
    #[inline(always)]
    fn open(&mut self, is_object: bool) -> Step {
        // The bit of the level that is left goes to where `close` finds it again.
        let Some(bits) = self.bits.get_mut(self.depth / 64) else { return Err(Fault::TooDeep) };
        let bit = 1 << (self.depth % 64);
        if self.is_object {
            *bits |= bit
        } else {
            *bits &= !bit
        }
        self.depth += 1;
        self.is_object = is_object;
        Ok(())
    }

    /// Leaves the innermost level; true when none is left.
    #[inline(always)]
    fn close(&mut self) -> bool {
        self.depth -= 1;
        let bits = self.bits.get(self.depth / 64).copied().unwrap_or(0);
        self.is_object = bits >> (self.depth % 64) & 1 == 1;
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::Words;
    use super::super::padded::pad;
    use super::*;

    fn accepts(text: &str) -> Result<(Kind, usize), Fault> {
        let bytes = pad(text.as_bytes());
        let mut scanner = Scanner::<Words>::new(Padded::new(&bytes).expect("padded"));
        scanner.skip_space();
        let (kind, _) = scanner.value()?;
        if scanner.is_finished() { Ok((kind, scanner.units())) } else { Err(Fault::Syntax) }
    }

    #[test]
    fn accepts_all_kinds() {
        for (text, kind) in [
            ("null", Kind::Null),
            (" true ", Kind::True),
            ("false\n", Kind::False),
            ("-0.5e+10", Kind::Number),
            ("\"a\\u00e9\\n\"", Kind::String),
            ("[1,[],{}, [ ]]", Kind::Array),
            ("{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":\"\"}", Kind::Object),
        ] {
            assert_eq!(accepts(text).map(|(kind, _)| kind), Ok(kind), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "0x1",
            "NaN",
            "'a'",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "\"\u{0}\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "[}",
            "{]",
            "[1",
            "{\"a\":1",
            "1 2",
            "[]]",
            "\u{feff}1",
            "\u{0}",
        ] {
            assert_eq!(accepts(text), Err(Fault::Syntax), "{text:?}");
        }
    }

    #[test]
    fn refuses_malformed_utf8_in_strings() {
        for bytes in [
            &b"\"\xc0\xa0\""[..],
            b"\"\xed\xa0\x80\"",
            b"\"\xf4\x90\x80\x80\"",
            b"\"\xe2\x82\"",
            b"\"\xff\"",
            b"\"\x80\"",
        ] {
            let padded = pad(bytes);
            let mut scanner = Scanner::<Words>::new(Padded::new(&padded).expect("padded"));
            assert_eq!(scanner.value().err(), Some(Fault::Encoding), "{bytes:?}");
        }
    }

    #[test]
    fn stops_at_the_depth_limit_and_not_before() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(accepts(&nested(MAX_DEPTH + 1)), Err(Fault::TooDeep));
        assert_eq!(accepts(&"[".repeat(100_000)), Err(Fault::TooDeep));
    }

    #[test]
    fn remembers_across_many_levels_what_is_open() {
        let mut text = String::new();
        for level in 0..200 {
            text.push_str(if level % 3 == 0 { "{\"a\":" } else { "[" });
        }
        text.push('1');
        for level in (0..200).rev() {
            text.push(if level % 3 == 0 { '}' } else { ']' });
        }
        assert!(accepts(&text).is_ok());
        assert_eq!(accepts(&text.replacen('}', "]", 1)), Err(Fault::Syntax));
    }

    #[test]
    fn counts_utf16_units_as_javascript_does() {
        let text = "[\"aé€😀\",\"\\u00e9\", \"z\"]";
        assert_eq!(accepts(text), Ok((Kind::Array, text.encode_utf16().count())));
    }
}
