//! Moves over arrays and objects, with a stack of one bit per level.

use super::super::block::Block;
use super::super::padded::zero;
use super::{MAX_DEPTH, ScanError, ScanResult, Scanner};

impl<B: Block> Scanner<'_, B> {
    /// Moves over an array or object with its content. A loop, because with recursion a peer could exhaust
    /// the stack. One bit per level tells whether it is an object.
    pub(super) fn nested(&mut self) -> ScanResult {
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
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
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
                    return Err(ScanError::Syntax);
                }
                self.pos += 1;
                if levels.close() {
                    return Ok(());
                }
            }
        }
    }

    /// Moves over a member name, its colon and the space after it.
    #[inline(always)]
    fn member_name(&mut self) -> ScanResult {
        if self.peek() != b'"' {
            return Err(ScanError::Syntax);
        }
        self.skip_string()?;
        self.colon()
    }
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
