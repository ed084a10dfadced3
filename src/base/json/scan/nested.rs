//! Moves over arrays and objects, with a stack of one bit per level.
//!
//! The position is a local variable that nothing else points to, so that it stays in a register: what is not inlined gets
//! it by value. That makes the loop a third faster than with a position in memory.

use core::marker::PhantomData;

use super::super::block::Block;
use super::super::padded::{Padded, zero};
use super::{MAX_DEPTH, ScanError, ScanResult, Scanner, number_end};

impl<B: Block> Scanner<'_, B> {
    /// Moves over an array or object with its content. A loop, because with recursion a peer could exhaust
    /// the stack. One bit per level tells whether it is an object.
    pub(super) fn nested(&mut self) -> ScanResult {
        let mut cursor =
            Cursor::<B> { text: self.text, pos: self.pos, extra_bytes: self.extra_bytes, block: PhantomData };
        let result = cursor.nested();
        (self.pos, self.extra_bytes) = (cursor.pos, cursor.extra_bytes);
        result
    }
}

struct Cursor<'a, B> {
    text: Padded<'a>,
    pos: usize,
    extra_bytes: usize,
    block: PhantomData<B>,
}

impl<B: Block> Cursor<'_, B> {
    #[inline(always)]
    fn nested(&mut self) -> ScanResult {
        let mut bits = [zero(); MAX_DEPTH / 64];
        let mut levels = Levels { bits: &mut bits, depth: 0, is_object: false };
        'value: loop {
            match self.peek() {
                b'"' => self.string()?,
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
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => {
                    let number = number_end(self.text, self.pos);
                    self.pos = number.end();
                    if !number.is_valid() {
                        return Err(ScanError::Syntax);
                    }
                }
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
                    return Err(ScanError::Syntax);
                }
                self.pos += 1;
                if levels.close() {
                    return Ok(());
                }
            }
        }
    }

    #[inline(always)]
    fn peek(&self) -> u8 {
        self.text.byte_at(self.pos)
    }

    #[inline(always)]
    fn skip_space(&mut self) {
        if self.peek() <= b' ' {
            self.pos = space_end(self.text, self.pos);
        }
    }

    /// Moves over a member name, its colon and the space after it.
    #[inline(always)]
    fn member_name(&mut self) -> ScanResult {
        if self.peek() != b'"' {
            return Err(ScanError::Syntax);
        }
        self.string()?;
        self.skip_space();
        if self.peek() != b':' {
            return Err(ScanError::Syntax);
        }
        self.pos += 1;
        self.skip_space();
        Ok(())
    }

    /// Moves over the string that starts here.
    #[inline(always)]
    fn string(&mut self) -> ScanResult {
        self.pos += 1;
        loop {
            let stops = B::string_stops(self.text.block_at(self.pos));
            if stops != 0 {
                self.pos += stops.trailing_zeros() as usize;
                break;
            }
            self.pos += 16;
        }
        if self.peek() != b'"' {
            let (end, extra_bytes, result) = special_string_end::<B>(self.text, self.pos);
            self.pos = end;
            self.extra_bytes += extra_bytes;
            result?;
        }
        self.pos += 1;
        Ok(())
    }

    #[inline(always)]
    fn literal(&mut self, literal: &[u8]) -> ScanResult {
        for byte in literal {
            if self.peek() != *byte {
                return Err(ScanError::Syntax);
            }
            self.pos += 1;
        }
        Ok(())
    }
}

/// The position after white space.
#[inline(never)]
pub(super) fn space_end(text: Padded<'_>, pos: usize) -> usize {
    let mut end = pos;
    while matches!(text.byte_at(end), b' ' | b'\n' | b'\r' | b'\t') {
        end += 1;
    }
    end
}

/// The closing quote of a string, from a byte that is not plain, and by how much its bytes exceed its UTF-16 units.
#[inline(never)]
pub(super) fn special_string_end<B: Block>(text: Padded<'_>, pos: usize) -> (usize, usize, ScanResult) {
    let mut scanner = Scanner::<B>::starting_at(text, pos);
    let result = scanner.skip_special_string();
    (scanner.pos, scanner.extra_bytes, result)
}

/// The open levels: one bit for each tells whether it is an object.
struct Levels<'b> {
    bits: &'b mut [u64; MAX_DEPTH / 64],
    depth: usize,
    is_object: bool,
}

impl Levels<'_> {
    #[inline(always)]
    fn open(&mut self, is_object: bool) -> ScanResult {
        // Saves the bit of the enclosing level, for `close`.
        let Some(bits) = self.bits.get_mut(self.depth / 64) else { return Err(ScanError::TooDeep) };
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

    /// Leaves the innermost level. Returns whether it was the outermost one.
    #[inline(always)]
    fn close(&mut self) -> bool {
        self.depth -= 1;
        let bits = self.bits.get(self.depth / 64).copied().unwrap_or(0);
        self.is_object = bits >> (self.depth % 64) & 1 == 1;
        self.depth == 0
    }
}
