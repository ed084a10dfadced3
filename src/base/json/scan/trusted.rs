//! Moves over arrays and objects by their quotes and brackets alone, for text that was checked before.
//!
//! Other text is no danger: the position stays within it, and the number of open brackets is a counter.

use super::super::block::Block;
use super::{ScanError, ScanResult, Scanner};

impl<B: Block> Scanner<'_, B> {
    /// Moves over the array or object that starts here.
    #[inline(never)]
    pub(super) fn skip_nested(&mut self) -> ScanResult {
        let mut depth = 0usize;
        loop {
            let block = self.text.block_at(self.pos);
            let mut stops = B::structure_stops(block);
            self.count_units(block, if stops == 0 { 16 } else { stops.trailing_zeros() as usize });
            if stops == 0 {
                self.pos += 16;
                continue;
            }
            let skipped = stops.trailing_zeros();
            self.pos += skipped as usize;
            stops >>= skipped;
            // Brackets often come one after the other.
            while stops & 1 != 0 {
                stops >>= 1;
                match self.peek() {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        self.pos += 1;
                        depth -= 1;
                        if depth == 0 {
                            return Ok(());
                        }
                        continue;
                    }
                    b'"' => {
                        self.pos += 1;
                        self.skip_trusted_string()?;
                        break;
                    }
                    _ => return Err(ScanError::Syntax),
                }
                self.pos += 1;
            }
        }
    }

    /// Moves behind the closing quote, from behind the opening one.
    #[inline(always)]
    fn skip_trusted_string(&mut self) -> ScanResult {
        loop {
            let block = self.text.block_at(self.pos);
            let stops = B::string_ends(block);
            self.count_units(block, if stops == 0 { 16 } else { stops.trailing_zeros() as usize });
            if stops == 0 {
                self.pos += 16;
                continue;
            }
            self.pos += stops.trailing_zeros() as usize;
            match self.peek() {
                b'"' => {
                    self.pos += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.pos += 1;
                    // The escaped character may be a quote; at the end it is a zero, where the next step stops.
                    if self.peek() != 0 && self.peek() < 0x80 {
                        self.pos += 1;
                    }
                }
                _ => return Err(ScanError::Syntax),
            }
        }
    }

    /// Counts the UTF-16 units of the first `len` bytes of a block.
    #[inline(always)]
    fn count_units(&mut self, block: &[u8; 16], len: usize) {
        if B::has_non_ascii(block) {
            self.count_special_units(block, len);
        }
    }

    #[inline(never)]
    fn count_special_units(&mut self, block: &[u8; 16], len: usize) {
        for byte in block.iter().take(len) {
            // A character has one unit for its first byte, and one more if it has four bytes.
            // Its first byte comes before the others, so the difference may be below zero in between.
            match byte {
                0x80..=0xbf => self.extra_bytes = self.extra_bytes.wrapping_add(1),
                0xf0.. => self.extra_bytes = self.extra_bytes.wrapping_sub(1),
                _ => {}
            }
        }
    }
}
