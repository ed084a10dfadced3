//! Moves over arrays and objects by their quotes and brackets alone, for text that was checked before.
//!
//! It reads 64 bytes at a time, which become sets of one bit for each byte. Other text is no danger: the position is compared
//! with the length of the text before each step, and the number of open brackets is a counter.

use super::super::block::{Block, Structure};
use super::super::padded::Padded;
use super::{ScanError, ScanResult, Scanner};

impl<B: Block> Scanner<'_, B> {
    /// Moves over the array or object that starts here.
    #[inline(never)]
    pub(super) fn skip_nested(&mut self) -> ScanResult {
        let (text, mut pos) = (self.text, self.pos);
        let mut depth = 0usize;
        let mut strings = Strings { ends_inside: 0, ends_with_backslash: 0 };
        while pos <= text.len() {
            let Structure { quotes, backslashes, brackets, non_ascii } = structure::<B>(text, pos);
            let mut left = brackets & !strings.next(quotes, backslashes);
            while left != 0 {
                let at = pos + left.trailing_zeros() as usize;
                // This bit tells `{` and `[` from `}` and `]`.
                if text.byte_at(at) & 2 != 0 {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        self.count_units(text, pos, non_ascii & (left ^ (left - 1)));
                        self.pos = at + 1;
                        return Ok(());
                    }
                }
                left &= left - 1;
            }
            self.count_units(text, pos, non_ascii);
            pos += 64;
        }
        // All of it was counted, so this is where the error is.
        self.pos = text.len();
        Err(ScanError::Syntax)
    }

    /// Counts the UTF-16 units of those bytes outside ASCII behind a position that are in a set.
    #[inline(always)]
    fn count_units(&mut self, text: Padded<'_>, pos: usize, mut set: u64) {
        while set != 0 {
            // A character has one unit for its first byte, and one more if it has four bytes.
            // Its first byte comes before the others, so the difference may be below zero in between.
            match text.byte_at(pos + set.trailing_zeros() as usize) {
                0x80..=0xbf => self.extra_bytes = self.extra_bytes.wrapping_add(1),
                0xf0.. => self.extra_bytes = self.extra_bytes.wrapping_sub(1),
                _ => {}
            }
            set &= set - 1;
        }
    }
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
    fn next(&mut self, quotes: u64, backslashes: u64) -> u64 {
        let mut quotes = quotes;
        if backslashes | self.ends_with_backslash != 0 {
            quotes &= !self.escaped(backslashes);
        }
        // Each bit becomes the parity of the quotes up to it.
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
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

/// The sets of four blocks.
#[inline(always)]
fn structure<B: Block>(text: Padded<'_>, pos: usize) -> Structure<u64> {
    let mut all = Structure { quotes: 0, backslashes: 0, brackets: 0, non_ascii: 0 };
    for shift in [0, 16, 32, 48] {
        let block = B::structure(text.block_at(pos + shift));
        all.quotes |= u64::from(block.quotes) << shift;
        all.backslashes |= u64::from(block.backslashes) << shift;
        all.brackets |= u64::from(block.brackets) << shift;
        all.non_ascii |= u64::from(block.non_ascii) << shift;
    }
    all
}
