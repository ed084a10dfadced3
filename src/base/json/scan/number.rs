//! Where a number ends.

use super::super::padded::Padded;

/// A number, in one register.
#[derive(Clone, Copy)]
pub(super) struct NumberEnd(u64);

const IS_INTEGER: u64 = 1;
const IS_VALID: u64 = 2;

impl NumberEnd {
    /// The position after it; of one that is not valid, the position at which another byte was expected.
    #[inline(always)]
    pub(super) const fn end(self) -> usize {
        (self.0 >> 2) as usize
    }

    #[inline(always)]
    pub(super) const fn is_valid(self) -> bool {
        self.0 & IS_VALID != 0
    }

    /// Whether it has neither fraction nor exponent.
    #[inline(always)]
    pub(super) const fn is_integer(self) -> bool {
        self.0 & IS_INTEGER != 0
    }
}

/// The end of the number that starts at a position.
#[inline(never)]
pub(super) fn number_end(text: Padded<'_>, start: usize) -> NumberEnd {
    let mut pos = start;
    let mut flags = IS_INTEGER;
    let is_valid = read(text, &mut pos, &mut flags).is_some();
    NumberEnd((pos as u64) << 2 | flags | if is_valid { IS_VALID } else { 0 })
}

#[inline(always)]
fn read(text: Padded<'_>, pos: &mut usize, flags: &mut u64) -> Option<()> {
    if text.byte_at(*pos) == b'-' {
        *pos += 1;
    }
    if text.byte_at(*pos) == b'0' {
        *pos += 1;
    } else {
        digits(text, pos)?;
    }
    if text.byte_at(*pos) == b'.' {
        *flags = 0;
        *pos += 1;
        digits(text, pos)?;
    }
    if text.byte_at(*pos) | 0x20 == b'e' {
        *flags = 0;
        *pos += 1;
        if matches!(text.byte_at(*pos), b'-' | b'+') {
            *pos += 1;
        }
        digits(text, pos)?;
    }
    Some(())
}

/// Moves over at least one digit.
#[inline(always)]
fn digits(text: Padded<'_>, pos: &mut usize) -> Option<()> {
    let start = *pos;
    while text.byte_at(*pos).is_ascii_digit() {
        *pos += 1;
    }
    (*pos > start).then_some(())
}
