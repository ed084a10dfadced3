//! Moves over an array or object that resembles earlier ones.
//!
//! The events of one producer have the same members in their data, in the same order, and so have the elements of an
//! array. What stands between two scalar values, which is punctuation with the names of members, is called a separator
//! here. It is nearly always one that was seen before, after the same separator. So each separator knows the two that have
//! followed it last: it is compared as a whole with the text, and only the values between are scanned.
//!
//! ```text
//!   {"sku":"amber-17","quantity":3,"price":9.5},{"sku":"birch-4","quantity":1, …
//!   ~~~~~~~        ~~~~~~~~~~~~~  ~~~~~~~~   ~~~~~~~~~        ~~~~~~~~~~~~~      separators: compared
//!          ========             =         ===         =======              =     values: scanned
//! ```
//!
//! A separator belongs to the brackets that are open before it. With the same brackets the same bytes mean the same, so one
//! that was accepted once is accepted again. What is not accepted here may still be valid: the other scanner decides.

use super::super::block::Block;
use super::super::padded::Padded;
use super::nested::{space_end, special_string_end};
use super::number::number_end;
use super::{Scanner, plain_end};

/// The longest separator that is kept, in bytes.
const MAX_LEN: usize = 64;
/// The number of places for separators. A separator has the place that its checksum says.
const PLACES: usize = 64;
/// The place before the first separator of a text.
const START: u8 = 0;
/// The place that is taken for separators that are too long.
const TOO_LONG: u8 = 1;

/// Separators that must be scanned cost time, which those that are found pay back. With more costs than this, so many texts are
/// left to the other scanner.
const MAX_COST: i32 = 1024;
const PAUSE: u32 = 256;
const SCAN_COST: i32 = 4;
const FAILURE_COST: i32 = 128;

/// The open brackets from the outermost one: 1 for `{` and 0 for `[`, behind a 1 that marks the start.
type Open = u64;
const NOT_OPEN: Open = 1;

#[derive(Clone, Copy, Debug)]
struct Separator {
    text: [u8; MAX_LEN],
    len: usize,
    /// The bits of the first sixteen bytes that are behind it.
    behind: u32,
    /// The open brackets before it. 0 if the place is free.
    before: Open,
    /// The open brackets after it. [`NOT_OPEN`]: it ends the text.
    after: Open,
    /// The places of those that followed it last.
    next: [u8; 2],
}

const FREE: Separator =
    Separator { text: [0; MAX_LEN], len: 0, behind: 0, before: 0, after: 0, next: [START; 2] };

/// The separators that were seen.
#[derive(Clone, Debug)]
pub struct Separators {
    places: [Separator; PLACES],
    cost: i32,
    pause: u32,
}

impl Separators {
    /// No separators.
    pub const fn new() -> Self {
        Self { places: [FREE; PLACES], cost: 0, pause: 0 }
    }

    /// Moves over the array or object that starts here. Returns whether it did; if not, the scanner has not moved.
    #[inline(always)]
    pub(crate) fn skip<B: Block>(&mut self, scanner: &mut Scanner<'_, B>) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        let Some((end, extra_bytes)) = self.end::<B>(scanner.text, scanner.pos) else {
            self.spend(FAILURE_COST);
            return false;
        };
        scanner.pos = end;
        scanner.extra_bytes = scanner.extra_bytes.wrapping_add(extra_bytes);
        true
    }

    /// The end of the array or object that starts at a position, and by how much its bytes exceed its UTF-16 units.
    #[inline(never)]
    fn end<B: Block>(&mut self, text: Padded<'_>, start: usize) -> Option<(usize, usize)> {
        let (mut pos, mut extra_bytes) = (start, 0);
        let (mut open, mut place) = (NOT_OPEN, START);
        let mut found_count = 0;
        loop {
            let mut next = self.at(place).next.into_iter();
            if let Some(found) = next.find(|next| self.at(*next).is_at::<B>(text, pos, open)) {
                let separator = self.at(found);
                found_count += 1;
                pos += separator.len;
                (open, place) = (separator.after, found);
            } else {
                (pos, open, place) = self.scan::<B>(text, pos, open, place)?;
            }
            if open == NOT_OPEN {
                break;
            }
            (pos, extra_bytes) = value_end::<B>(text, pos, extra_bytes)?;
        }
        self.cost = (self.cost - found_count).max(0);
        Some((pos, extra_bytes))
    }

    #[inline(always)]
    fn at(&self, place: u8) -> &Separator {
        // The compiler sees that there is such a place.
        self.places.get(place as usize % PLACES).unwrap_or(&FREE)
    }

    /// Scans the separator at a position, and keeps it as the one that follows another. Returns its end, the open brackets
    /// after it, and its place.
    #[inline(never)]
    fn scan<B: Block>(
        &mut self,
        text: Padded<'_>,
        pos: usize,
        open: Open,
        after: u8,
    ) -> Option<(usize, Open, u8)> {
        self.spend(SCAN_COST);
        if self.pause > 0 {
            return None;
        }
        let (end, open_after) = separator_end::<B>(text, pos, open)?;
        let bytes = text.get(pos, end);
        let mut place = TOO_LONG;
        if bytes.len() <= MAX_LEN {
            let checksum =
                bytes.iter().fold(open as u32, |sum, b| (sum ^ *b as u32).wrapping_mul(0x0100_0193));
            place = ((checksum >> 16) as usize % PLACES) as u8;
            if place <= TOO_LONG {
                place += 2;
            }
            let separator = self.places.get_mut(place as usize % PLACES)?;
            if separator.before != open || separator.text.get(..separator.len) != Some(bytes) {
                *separator = Separator {
                    len: bytes.len(),
                    behind: !0 << bytes.len().min(16),
                    before: open,
                    after: open_after,
                    ..FREE
                };
                for (to, from) in separator.text.iter_mut().zip(bytes) {
                    *to = *from;
                }
            }
        }
        // The first one stays the first while there is room, because the end of a list comes after its elements.
        let Separator { next, .. } = self.places.get_mut(after as usize % PLACES)?;
        *next = match *next {
            [START, START] => [place, START],
            [first, START] => [first, place],
            [_, second] => [second, place],
        };
        Some((end, open_after, place))
    }

    fn spend(&mut self, cost: i32) {
        self.cost += cost;
        if self.cost > MAX_COST {
            (self.cost, self.pause) = (MAX_COST / 2, PAUSE);
        }
    }
}

impl Separator {
    /// Whether it stands at a position, with these open brackets before it.
    #[inline(always)]
    fn is_at<B: Block>(&self, text: Padded<'_>, pos: usize, open: Open) -> bool {
        let (start, rest) = self.text.split_first_chunk().unwrap_or((&[0; 16], &[]));
        let equal = B::equal_bytes(text.block_at(pos), start) | self.behind;
        self.before == open && equal == !0 && (self.len <= 16 || self.goes_on_at::<B>(text, pos + 16, rest))
    }

    /// Whether what is behind its first sixteen bytes stands at a position.
    #[inline(never)]
    fn goes_on_at<B: Block>(&self, text: Padded<'_>, pos: usize, rest: &[u8]) -> bool {
        // No byte of a separator is zero, so the comparison stops at the end of the text.
        let mut left = self.len - 16;
        for (block, at) in rest.as_chunks::<16>().0.iter().zip((pos..).step_by(16)) {
            let equal = B::equal_bytes(text.block_at(at), block) | !0 << left.min(16);
            left = left.saturating_sub(16);
            if equal != !0 || left == 0 {
                return equal == !0;
            }
        }
        false
    }
}

/// The end of the separator at a position, and the open brackets after it. `None` also for names that are not plain.
fn separator_end<B: Block>(text: Padded<'_>, mut pos: usize, mut open: Open) -> Option<(usize, Open)> {
    let mut is_after_value = open != NOT_OPEN;
    loop {
        pos = space_end(text, pos);
        let byte = text.byte_at(pos);
        let is_object = open & 1 == 1;
        let has_name;
        if is_after_value {
            if byte == if is_object { b'}' } else { b']' } {
                pos += 1;
                open >>= 1;
                if open == NOT_OPEN {
                    return Some((pos, open));
                }
                continue;
            }
            if byte != b',' {
                return None;
            }
            pos += 1;
            (is_after_value, has_name) = (false, is_object);
        } else if matches!(byte, b'{' | b'[') {
            pos = space_end(text, pos + 1);
            open = open << 1 | u64::from(byte == b'{');
            // The bit of the start must stay.
            if open >> 63 != 0 {
                return None;
            }
            // `]` and `}` come two behind `[` and `{`.
            is_after_value = text.byte_at(pos) == byte + 2;
            has_name = !is_after_value && byte == b'{';
        } else {
            return Some((pos, open));
        }
        if has_name {
            pos = space_end(text, pos);
            if text.byte_at(pos) != b'"' {
                return None;
            }
            pos = plain_end::<B>(text, pos + 1);
            if text.byte_at(pos) != b'"' {
                return None;
            }
            pos = space_end(text, pos + 1);
            if text.byte_at(pos) != b':' {
                return None;
            }
            pos += 1;
        }
    }
}

/// The end of the scalar value at a position, and the sum of the bytes that exceed the UTF-16 units.
#[inline(always)]
fn value_end<B: Block>(text: Padded<'_>, pos: usize, extra_bytes: usize) -> Option<(usize, usize)> {
    let first = text.byte_at(pos);
    if first == b'"' {
        let end = plain_end::<B>(text, pos + 1);
        if text.byte_at(end) == b'"' {
            return Some((end + 1, extra_bytes));
        }
        let (end, more, result) = special_string_end::<B>(text, end);
        return result.ok().map(|()| (end + 1, extra_bytes.wrapping_add(more)));
    }
    if first <= b'9' {
        if let Some(end) = short_number_end::<B>(text, pos, first) {
            return Some((end, extra_bytes));
        }
        let number = number_end(text, pos);
        return number.is_valid().then(|| (number.end(), extra_bytes));
    }
    // Not by `starts_with`, which calls a function that compares byte by byte.
    let word = text.block_at(pos).first_chunk().copied().map_or(0, u32::from_le_bytes);
    let len = match word {
        TRUE | NULL => 4,
        FALS if text.byte_at(pos + 4) == b'e' => 5,
        _ => return None,
    };
    Some((pos + len, extra_bytes))
}

const TRUE: u32 = u32::from_le_bytes(*b"true");
const NULL: u32 = u32::from_le_bytes(*b"null");
const FALS: u32 = u32::from_le_bytes(*b"fals");

/// The end of a number that has less than sixteen characters and neither sign nor exponent.
#[inline(always)]
fn short_number_end<B: Block>(text: Padded<'_>, pos: usize, first: u8) -> Option<usize> {
    let digits = B::digits(text.block_at(pos));
    let mut len = (!digits).trailing_zeros();
    if len == 0 || len >= 15 || (first == b'0' && len > 1) {
        return None;
    }
    if text.byte_at(pos + len as usize) == b'.' {
        let fraction = (!(digits >> (len + 1))).trailing_zeros();
        len += 1 + fraction;
        // Behind the sixteenth byte it may go on.
        if fraction == 0 || len == 16 {
            return None;
        }
    }
    let end = pos + len as usize;
    (text.byte_at(end) | 0x20 != b'e').then_some(end)
}

impl Default for Separators {
    fn default() -> Self {
        Self::new()
    }
}
