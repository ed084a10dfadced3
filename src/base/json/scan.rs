//! The scanner: one pass over JSON text that checks it and keeps only a position.
//!
//! It checks the whole grammar of RFC 8259 and UTF-8. It does not check what RFC 8259 allows: unpaired
//! surrogates in `\u` escapes and repeated member names.
//!
//! Zeros follow the text ([`Padded`]). A zero byte is not valid anywhere in JSON, so no step passes the end
//! and none has to check for it.
//!
//! Positions are in bytes. [`Scanner::units`] is the same position in UTF-16 code units, as JavaScript
//! counts; the scanner keeps the difference.

use core::marker::PhantomData;

use super::block::{Block, Native};
use super::padded::Padded;
use number::number_end;

mod nested;
mod number;
#[cfg(feature = "filters")]
pub mod repeated;
#[cfg(test)]
mod tests;
mod trusted;

/// The maximum nesting depth of arrays and objects.
pub const MAX_DEPTH: usize = 512;

/// Why a text was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Not JSON.
    Syntax,
    /// Not UTF-8.
    Encoding,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true`
    True,
    /// `false`
    False,
    /// A number. [`Span::is_plain`]: it is an integer without fraction and exponent.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// The position of a value; of a string, without the quotes.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The end, exclusive.
    pub end: usize,
    /// [`Self::start`] in UTF-16 units.
    pub start_unit: usize,
    /// [`Self::end`] in UTF-16 units.
    pub end_unit: usize,
    /// A string of printable ASCII without escapes, or an integer.
    pub is_plain: bool,
    /// A string with at least one escape.
    pub has_escapes: bool,
}

/// A position in a text, and the steps from there.
pub struct Scanner<'a, B = Native> {
    text: Padded<'a>,
    pos: usize,
    /// Bytes minus UTF-16 units before `pos`.
    extra_bytes: usize,
    /// Arrays and objects are skipped by their brackets.
    is_trusted: bool,
    block: PhantomData<B>,
}

impl<B> Clone for Scanner<'_, B> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Scanner<'_, B> {}

/// What a step of the scanner returns.
pub type ScanResult<T = ()> = Result<T, ScanError>;

impl<'a, B: Block> Scanner<'a, B> {
    /// A scanner at the start of `text`.
    pub const fn new(text: Padded<'a>) -> Self {
        Self { text, pos: 0, extra_bytes: 0, is_trusted: false, block: PhantomData }
    }

    /// A scanner at a byte of `text`, or at its end. Units are counted as if all before were ASCII.
    pub(crate) fn starting_at(text: Padded<'a>, start: usize) -> Self {
        Self { pos: start.min(text.len()), ..Self::new(text) }
    }

    /// From here on, arrays and objects are skipped by their quotes and brackets, without a check of the rest, for text
    /// that was checked before.
    pub const fn trust(&mut self) {
        self.is_trusted = true;
    }

    /// Whether arrays and objects are skipped by their quotes and brackets.
    #[cfg(feature = "filters")]
    pub(crate) const fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// The whole text.
    pub const fn text(&self) -> Padded<'a> {
        self.text
    }

    /// The position in bytes.
    pub const fn pos(&self) -> usize {
        self.pos
    }

    /// The position in UTF-16 units.
    pub const fn units(&self) -> usize {
        self.pos.wrapping_sub(self.extra_bytes)
    }

    /// Counts UTF-16 units from here on. Returns the previous count.
    pub(crate) const fn restart_units(&mut self) -> usize {
        let units = self.units();
        self.extra_bytes = self.pos;
        units
    }

    /// Moves over bytes that are known to be in the text and printable ASCII.
    #[inline(always)]
    pub(crate) fn advance(&mut self, len: usize) {
        self.pos += len;
        debug_assert!(self.pos <= self.text.len());
    }

    /// The next sixteen bytes, which may reach into the padding.
    #[inline(always)]
    pub(crate) fn peek_block(&self) -> &'a [u8; 16] {
        self.text.block_at(self.pos)
    }

    /// The next byte; 0 at the end.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        self.text.byte_at(self.pos)
    }

    /// Moves over white space.
    #[inline(always)]
    pub fn skip_space(&mut self) {
        if self.peek() > b' ' {
            return;
        }
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.pos += 1;
        }
    }

    /// The next line break, or the end of the text.
    #[inline(always)]
    pub(crate) fn line_end(&self) -> usize {
        let mut at = self.pos;
        while at < self.text.len() {
            let breaks = B::equal_bytes(self.text.block_at(at), &[b'\n'; 16]);
            if breaks != 0 {
                return at + breaks.trailing_zeros() as usize;
            }
            at += 16;
        }
        self.text.len()
    }

    /// Moves over `byte` if it is next. Returns whether it was.
    #[inline(always)]
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        if found {
            self.pos += 1;
        }
        found
    }

    /// Moves over `byte`, which must be next.
    #[inline(always)]
    pub fn expect(&mut self, byte: u8) -> ScanResult {
        if self.eat(byte) { Ok(()) } else { Err(ScanError::Syntax) }
    }

    /// Moves over the string that starts here.
    #[inline(always)]
    pub fn string(&mut self) -> ScanResult<Span> {
        self.expect(b'"')?;
        let (start, start_unit) = (self.pos, self.units());
        let (mut is_plain, mut has_escapes) = (true, false);
        loop {
            match self.next_stop() {
                b'"' => break,
                b'\\' => {
                    (is_plain, has_escapes) = (false, true);
                    self.escape()?;
                }
                0x80.. => {
                    is_plain = false;
                    self.skip_non_ascii()?;
                }
                0x7f => {
                    is_plain = false;
                    self.pos += 1;
                }
                _ => return Err(ScanError::Syntax),
            }
        }
        let (end, end_unit) = (self.pos, self.units());
        self.pos += 1;
        Ok(Span { start, end, start_unit, end_unit, is_plain, has_escapes })
    }

    /// Moves over the value that starts here.
    pub fn value(&mut self) -> ScanResult<(Kind, Span)> {
        let (start, start_unit) = (self.pos, self.units());
        let mut is_plain = false;
        let kind = match self.peek() {
            b'"' => return Ok((Kind::String, self.string()?)),
            b'{' => self.array_or_object().map(|()| Kind::Object)?,
            b'[' => self.array_or_object().map(|()| Kind::Array)?,
            b't' => self.literal(b"true").map(|()| Kind::True)?,
            b'f' => self.literal(b"false").map(|()| Kind::False)?,
            b'n' => self.literal(b"null").map(|()| Kind::Null)?,
            _ => {
                is_plain = self.number()?;
                Kind::Number
            }
        };
        Ok((
            kind,
            Span { start, end: self.pos, start_unit, end_unit: self.units(), is_plain, has_escapes: false },
        ))
    }

    #[inline(always)]
    fn array_or_object(&mut self) -> ScanResult {
        // The other modules have no use for the code.
        if cfg!(feature = "filters") && self.is_trusted { self.skip_nested() } else { self.nested() }
    }

    /// Whether only white space follows.
    pub fn is_finished(&mut self) -> bool {
        self.skip_space();
        self.pos == self.text.len()
    }

    /// Moves to the next byte of a string that is not plain, and returns it. See [`Block::string_stops`].
    #[inline(always)]
    fn next_stop(&mut self) -> u8 {
        loop {
            let stops = B::string_stops(self.text.block_at(self.pos));
            if stops != 0 {
                self.pos += stops.trailing_zeros() as usize;
                return self.peek();
            }
            self.pos += 16;
        }
    }

    /// Moves to the end of a string, from a byte that is not plain.
    #[inline(never)]
    fn skip_special_string(&mut self) -> ScanResult {
        loop {
            match self.next_stop() {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                0x80.. => self.skip_non_ascii()?,
                0x7f => self.pos += 1,
                _ => return Err(ScanError::Syntax),
            }
        }
    }

    /// Moves over the colon after a member name, and the space around it.
    #[inline(always)]
    pub fn colon(&mut self) -> ScanResult {
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Ok(())
    }

    fn literal(&mut self, text: &[u8]) -> ScanResult {
        for byte in text {
            self.expect(*byte)?;
        }
        Ok(())
    }

    /// Moves over a number. Returns whether it is an integer without fraction and exponent.
    fn number(&mut self) -> ScanResult<bool> {
        let number = number_end(self.text, self.pos);
        self.pos = number.end();
        if number.is_valid() { Ok(number.is_integer()) } else { Err(ScanError::Syntax) }
    }

    /// Moves over an escape.
    fn escape(&mut self) -> ScanResult {
        self.pos += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.pos += 1,
            b'u' => {
                self.pos += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(ScanError::Syntax);
                    }
                    self.pos += 1;
                }
            }
            _ => return Err(ScanError::Syntax),
        }
        Ok(())
    }

    /// Moves over characters outside ASCII: well-formed UTF-8 by table 3-7 of the Unicode standard.
    fn skip_non_ascii(&mut self) -> ScanResult {
        while self.peek() >= 0x80 {
            let Some(len) = super::text::sequence_len(self.text.block_at(self.pos)) else {
                return Err(ScanError::Encoding);
            };
            self.pos += len;
            // Two units for a supplementary character, one for all others.
            self.extra_bytes = self.extra_bytes.wrapping_add(if len == 4 { 2 } else { len - 1 });
        }
        Ok(())
    }
}

/// The first byte of a string, from a position in it, that is not plain: see [`Block::string_stops`].
#[inline(always)]
pub(crate) fn plain_end<B: Block>(text: Padded<'_>, mut pos: usize) -> usize {
    loop {
        let stops = B::string_stops(text.block_at(pos));
        if stops != 0 {
            return pos + stops.trailing_zeros() as usize;
        }
        pos += 16;
    }
}
