//! Moves over arrays and objects by their quotes and brackets alone, for text that was checked before.
//!
//! It reads 64 bytes at a time, which become sets of one bit for each byte. Other text is no danger: the position is compared
//! with the length of the text before each step, and the number of open brackets is a counter.

use super::super::block::{Block, Special, Structure};
use super::{ScanError, ScanResult, Scanner};

impl<B: Block> Scanner<'_, B> {
    /// Moves over the array or object that starts here.
    #[inline(never)]
    pub(super) fn skip_nested(&mut self) -> ScanResult {
        // The bracket that starts here is open.
        let (mut pos, mut depth) = (self.pos + 1, 1);
        let mut strings = Strings { ends_inside: 0, ends_with_backslash: 0 };
        while let Some(bytes) = self.text.wide_block_at(pos) {
            let Structure { mut quotes, opening, closing } = B::structure(bytes);
            let mut special = Special::default();
            let has_special = B::has_special(bytes);
            if has_special {
                special = B::special(bytes);
            }
            if special.backslashes | strings.ends_with_backslash != 0 {
                quotes &= !strings.escaped(special.backslashes);
            }
            let outside = !strings.inside(quotes);
            let (opening, closing) = (opening & outside, closing & outside);
            let closing_count = closing.count_ones();
            // Most blocks close fewer brackets than are open.
            if closing_count >= depth
                && let Some(last) = end(opening, closing, depth)
            {
                self.count_units(&special, last ^ (last - 1));
                self.pos = pos + last.trailing_zeros() as usize + 1;
                return Ok(());
            }
            if has_special {
                self.count_units(&special, !0);
            }
            depth += opening.count_ones();
            depth -= closing_count;
            pos += bytes.len();
        }
        // All of it was counted, so this is where the error is.
        self.pos = self.text.len();
        Err(ScanError::Syntax)
    }

    /// Counts by how much those bytes that are in a set exceed their UTF-16 units.
    #[inline(always)]
    const fn count_units(&mut self, special: &Special, set: u64) {
        // A character has one unit for its first byte, and one more if it has four bytes.
        // Its first byte comes before the others, so the difference may be below zero in between.
        let (continuations, long_starts) = (special.continuations & set, special.long_starts & set);
        self.extra_bytes = self
            .extra_bytes
            .wrapping_add(continuations.count_ones() as usize)
            .wrapping_sub(long_starts.count_ones() as usize);
    }
}

/// The bracket that closes the outermost one of `depth`.
#[inline(always)]
const fn end(opening: u64, closing: u64, depth: u32) -> Option<u64> {
    let (mut left, mut closed) = (closing, 0);
    while left != 0 {
        let first = left & left.wrapping_neg();
        closed += 1;
        if depth + (opening & (first - 1)).count_ones() == closed {
            return Some(first);
        }
        left ^= first;
    }
    None
}

/// How the 64 bytes before end: sets of the first bit, or none.
struct Strings {
    /// All bits if they end in a string.
    ends_inside: u64,
    /// The first bit if they end with a backslash that escapes the next byte.
    ends_with_backslash: u64,
}

impl Strings {
    /// The bytes inside of strings, with the opening quotes.
    #[inline(always)]
    fn inside(&mut self, quotes: u64) -> u64 {
        // Each bit becomes the parity of the quotes up to it.
        let mut inside = quotes;
        inside ^= inside << 1;
        inside ^= inside << 2;
        inside ^= inside << 4;
        inside ^= inside << 8;
        inside ^= inside << 16;
        inside ^= inside << 32;
        inside ^= self.ends_inside;
        self.ends_inside = 0u64.wrapping_sub(inside >> 63);
        inside
    }

    /// The bytes that a backslash escapes.
    #[inline(never)]
    const fn escaped(&mut self, backslashes: u64) -> u64 {
        let (mut escaped, mut left) = (self.ends_with_backslash, backslashes & !self.ends_with_backslash);
        self.ends_with_backslash = 0;
        while left != 0 {
            let next = left.trailing_zeros() + 1;
            if next == 64 {
                self.ends_with_backslash = 1;
                break;
            }
            escaped |= 1 << next;
            // The escaped byte may be a backslash itself.
            left &= left - 1;
            left &= !(1 << next);
        }
        escaped
    }
}
