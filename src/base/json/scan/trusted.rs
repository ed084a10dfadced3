//! Moves over arrays and objects by their quotes and brackets alone, for text that was checked before: 64 bytes at a time,
//! as sets of one bit for each byte.
//!
//! Other text is no danger: the position stays within it, and the number of open brackets is a counter.

use super::super::block::{Block, Structure};
use super::{ScanError, ScanResult, Scanner};

impl<B: Block> Scanner<'_, B> {
    /// Moves over the array or object that starts here.
    #[inline(never)]
    pub(super) fn skip_nested(&mut self) -> ScanResult {
        let mut depth = 0;
        let mut strings = Strings::default();
        loop {
            let block = self.text.wide_block_at(self.pos);
            let found = B::structure(block);
            let outside = !strings.inside(&found);
            // All bytes before the first zero.
            let before_end = (found.zeros & found.zeros.wrapping_neg()).wrapping_sub(1);
            let opens = found.opens & outside & before_end;
            let closes = found.closes & outside & before_end;
            if closes.count_ones() >= depth
                && let Some(last) = last_bracket(opens, closes, depth)
            {
                self.count_units(block, found.has_non_ascii, last);
                self.pos += last + 1;
                return Ok(());
            }
            if found.zeros != 0 {
                return Err(ScanError::Syntax);
            }
            // The brackets that close are fewer than those that are open, at every place.
            depth = (depth + opens.count_ones()).wrapping_sub(closes.count_ones());
            self.count_units(block, found.has_non_ascii, block.len());
            self.pos += block.len();
        }
    }

    /// Counts the UTF-16 units of the first `len` bytes of a block.
    #[inline(always)]
    fn count_units(&mut self, block: &[u8; 64], has_non_ascii: bool, len: usize) {
        if has_non_ascii {
            self.count_special_units(block, len);
        }
    }

    #[inline(never)]
    fn count_special_units(&mut self, block: &[u8; 64], len: usize) {
        for byte in block.iter().take(len) {
            // A character has one unit for its first byte, and one more if it has four bytes.
            match byte {
                0x80..=0xbf => self.extra_bytes += 1,
                0xf0.. => self.extra_bytes = self.extra_bytes.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// The place of the bracket that closes the outermost one of `depth`, if it is in this block.
#[inline(always)]
fn last_bracket(opens: u64, mut closes: u64, depth: u32) -> Option<usize> {
    let mut closed = 0;
    while closes != 0 {
        let bit = closes & closes.wrapping_neg();
        closed += 1;
        if depth + (opens & (bit - 1)).count_ones() == closed {
            return Some(bit.trailing_zeros() as usize);
        }
        closes ^= bit;
    }
    None
}

/// What strings carry from one block to the next.
#[derive(Default)]
struct Strings {
    /// All bits are set if the block starts inside a string.
    starts_inside: u64,
    /// 1 if its first byte is escaped.
    starts_escaped: u64,
}

impl Strings {
    /// The bytes of strings, with the opening quote.
    #[inline(always)]
    fn inside(&mut self, found: &Structure) -> u64 {
        let mut escaped = 0;
        if found.backslashes | self.starts_escaped != 0 {
            escaped = self.escaped(found.backslashes);
        }
        // Each bit becomes the parity of the quotes up to it.
        let mut inside = found.quotes & !escaped;
        for distance in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << distance;
        }
        inside ^= self.starts_inside;
        self.starts_inside = if inside >> 63 == 1 { u64::MAX } else { 0 };
        inside
    }

    /// The bytes after a backslash that is not escaped itself.
    #[inline(never)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let mut escaped = self.starts_escaped;
        let mut left = backslashes & !escaped;
        self.starts_escaped = left >> 63;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let next = bit << 1;
            escaped |= next;
            left &= !(bit | next);
            // The last byte may turn out to be escaped.
            if next >> 63 == 1 {
                self.starts_escaped = 0;
            }
        }
        escaped
    }
}
