//! Operations on sixteen bytes. Two implementations of one trait: SIMD for wasm, 64-bit integers for other
//! targets. Both give the same results for all bytes; `tests/wasm` compares them where both exist.

/// Operations on sixteen bytes of text.
pub trait Block {
    /// One bit for each byte that is not printable ASCII without special meaning in a JSON string: `"`, `\`,
    /// all below U+0020, DEL and all outside ASCII. Bit 0 is the first byte.
    fn string_stops(bytes: &[u8; 16]) -> u32;

    /// The quotes and brackets in 64 bytes.
    fn structure(bytes: &[u8; 64]) -> Structure;

    /// Whether 64 bytes have a backslash or one outside ASCII: if not, none is in [`Special`].
    fn has_special(bytes: &[u8; 64]) -> bool;

    /// The rare bytes that matter to what skips arrays and objects by their brackets.
    fn special(bytes: &[u8; 64]) -> Special;

    /// One bit for each digit.
    fn digits(bytes: &[u8; 16]) -> u32;

    /// Whether all bytes are unreserved characters of URIs (RFC 3986, section 2.3) or slashes.
    fn is_plain_path(bytes: &[u8; 16]) -> bool;

    /// One bit for each index at which both blocks have the same byte.
    fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32;
}

/// One bit for each byte of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// `"`
    pub quotes: u64,
    /// `{` and `[`
    pub opening: u64,
    /// `}` and `]`
    pub closing: u64,
}

/// One bit for each byte of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Special {
    /// `\\`
    pub backslashes: u64,
    /// Bytes of UTF-8 that are not the first one of a character.
    pub continuations: u64,
    /// The first bytes of characters with four bytes, which have two UTF-16 units.
    pub long_starts: u64,
}

/// SIMD within a register: two 64-bit integers of eight bytes each.
pub struct Swar;

impl Block for Swar {
    #[inline(always)]
    fn string_stops(bytes: &[u8; 16]) -> u32 {
        let wide = u128::from_le_bytes(*bytes);
        word_stops(wide as u64) | word_stops((wide >> 64) as u64) << 8
    }

    #[inline(always)]
    fn structure(bytes: &[u8; 64]) -> Structure {
        Structure {
            quotes: each_block(bytes, |word| bytes_equal(word, b'"')),
            // `[` and `{`, and `]` and `}`, differ in one bit.
            opening: each_block(bytes, |word| bytes_equal(word | (0x20 * ONES), b'{')),
            closing: each_block(bytes, |word| bytes_equal(word | (0x20 * ONES), b'}')),
        }
    }

    #[inline(always)]
    fn has_special(bytes: &[u8; 64]) -> bool {
        each_block(bytes, |word| word | bytes_equal(word, b'\\')) != 0
    }

    #[inline(always)]
    fn special(bytes: &[u8; 64]) -> Special {
        Special {
            backslashes: each_block(bytes, |word| bytes_equal(word, b'\\')),
            // The next bit of each byte moves to the high one; what comes from the byte before is masked.
            continuations: each_block(bytes, |word| word & !(word << 1)),
            long_starts: each_block(bytes, |word| word & (word << 1) & (word << 2) & (word << 3)),
        }
    }

    #[inline(always)]
    fn digits(bytes: &[u8; 16]) -> u32 {
        each_word(bytes, |word| {
            let low = word & !HIGH;
            let is_above = low + (0x80 - (b'9' as u64 + 1)) * ONES;
            (low + (0x80 - b'0' as u64) * ONES) & !is_above & !word
        })
    }

    #[inline(always)]
    fn is_plain_path(bytes: &[u8; 16]) -> bool {
        bytes.iter().all(|byte| is_plain_in_path(*byte))
    }

    #[inline(always)]
    fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        let different = u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b);
        word_zeros(different as u64) | word_zeros((different >> 64) as u64) << 8
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

/// Gathers the marks that `mark` sets in the two words of a block.
#[inline(always)]
fn each_word(bytes: &[u8; 16], mark: impl Fn(u64) -> u64) -> u32 {
    let wide = u128::from_le_bytes(*bytes);
    gather(mark(wide as u64) & HIGH) | gather(mark((wide >> 64) as u64) & HIGH) << 8
}

/// The marks of [`each_word`] in four blocks.
#[inline(always)]
fn each_block(bytes: &[u8; 64], mark: impl Fn(u64) -> u64) -> u64 {
    bytes
        .as_chunks::<16>()
        .0
        .iter()
        .rev()
        .fold(0, |marks, block| marks << 16 | u64::from(each_word(block, &mark)))
}

/// Sets the high bit of each byte that equals `byte`.
#[inline(always)]
const fn bytes_equal(word: u64, byte: u8) -> u64 {
    let different = word ^ (byte as u64 * ONES);
    !(not_zero(different & !HIGH) | different)
}

/// One bit for each zero byte.
#[inline(always)]
const fn word_zeros(word: u64) -> u32 {
    gather(!(not_zero(word & !HIGH) | word) & HIGH)
}

/// Gathers the high bit of each byte into the low byte.
#[inline(always)]
const fn gather(marks: u64) -> u32 {
    ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

/// One bit for each byte at which [`Block::string_stops`] stops. No carry runs between bytes, because the
/// high bits are masked before every addition.
#[inline(always)]
const fn word_stops(word: u64) -> u32 {
    let low = word & !HIGH;
    let control = !(low + (0x80 - 0x20) * ONES);
    let delete = !not_zero(low ^ (0x7f * ONES));
    let quote = !not_zero(low ^ (b'"' as u64 * ONES));
    let backslash = !not_zero(low ^ (b'\\' as u64 * ONES));
    gather((control | delete | quote | backslash | word) & HIGH)
}

/// Sets the high bit of each byte that is not zero. `low` must have no high bits.
#[inline(always)]
const fn not_zero(low: u64) -> u64 {
    low + 0x7f7f_7f7f_7f7f_7f7f
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod simd {
    use core::arch::wasm32::{
        i8x16_lt, i8x16_splat, u8x16_add, u8x16_all_true, u8x16_bitmask, u8x16_eq, u8x16_gt, u8x16_lt,
        u8x16_splat, u8x16_sub, v128, v128_or,
    };

    use super::{Special, Structure};

    /// One 128-bit register.
    pub struct Simd;

    impl super::Block for Simd {
        #[inline(always)]
        fn string_stops(bytes: &[u8; 16]) -> u32 {
            let block = load(bytes);
            // Bytes outside ASCII are negative as signed numbers, so one comparison covers both ends.
            let low_or_high = i8x16_lt(block, i8x16_splat(0x20));
            let quote = u8x16_eq(block, u8x16_splat(b'"'));
            let backslash = u8x16_eq(block, u8x16_splat(b'\\'));
            let delete = u8x16_eq(block, u8x16_splat(0x7f));
            u8x16_bitmask(v128_or(v128_or(low_or_high, delete), v128_or(quote, backslash))) as u32
        }

        #[inline(always)]
        fn structure(bytes: &[u8; 64]) -> Structure {
            // `[` and `{`, and `]` and `}`, differ in one bit.
            let folded = |block| v128_or(block, u8x16_splat(0x20));
            Structure {
                quotes: each_block(bytes, |block| u8x16_eq(block, u8x16_splat(b'"'))),
                opening: each_block(bytes, |block| u8x16_eq(folded(block), u8x16_splat(b'{'))),
                closing: each_block(bytes, |block| u8x16_eq(folded(block), u8x16_splat(b'}'))),
            }
        }

        #[inline(always)]
        fn has_special(bytes: &[u8; 64]) -> bool {
            // Bytes outside ASCII have the high bit, and so has each byte that was found equal.
            let marks = |block| v128_or(block, u8x16_eq(block, u8x16_splat(b'\\')));
            let (a, b, c, d) = blocks(bytes);
            u8x16_bitmask(v128_or(v128_or(marks(a), marks(b)), v128_or(marks(c), marks(d)))) != 0
        }

        // Few texts need it: a loop takes less room.
        #[inline(never)]
        fn special(bytes: &[u8; 64]) -> Special {
            let mut special = Special::default();
            for block in bytes.as_chunks::<16>().0.iter().rev().map(load) {
                let add = |bits: &mut u64, marks| *bits = *bits << 16 | u64::from(u8x16_bitmask(marks));
                add(&mut special.backslashes, u8x16_eq(block, u8x16_splat(b'\\')));
                // As signed numbers, 0x80 to 0xbf are the lowest ones.
                add(&mut special.continuations, i8x16_lt(block, i8x16_splat(-0x40)));
                add(&mut special.long_starts, u8x16_gt(block, u8x16_splat(0xef)));
            }
            special
        }

        #[inline(always)]
        fn digits(bytes: &[u8; 16]) -> u32 {
            // The digits become the ten lowest signed numbers.
            let shifted = u8x16_add(load(bytes), u8x16_splat(0x80 - b'0'));
            u8x16_bitmask(i8x16_lt(shifted, i8x16_splat(-0x80 + 10))) as u32
        }

        #[inline(always)]
        fn is_plain_path(bytes: &[u8; 16]) -> bool {
            let block = load(bytes);
            let in_range = |block, first, last| {
                u8x16_lt(u8x16_sub(block, u8x16_splat(first)), u8x16_splat(last - first + 1))
            };
            // The two cases of a letter differ in one bit. `-`, `.`, `/` and the digits follow each other.
            let letters = in_range(v128_or(block, u8x16_splat(0x20)), b'a', b'z');
            let marks = v128_or(u8x16_eq(block, u8x16_splat(b'_')), u8x16_eq(block, u8x16_splat(b'~')));
            u8x16_all_true(v128_or(v128_or(letters, marks), in_range(block, b'-', b'9')))
        }

        #[inline(always)]
        fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32 {
            u8x16_bitmask(u8x16_eq(load(a), load(b))) as u32
        }
    }

    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "the load intrinsic takes a pointer; a reference to sixteen bytes can be read"
    )]
    const fn load(bytes: &[u8; 16]) -> v128 {
        // SAFETY: `bytes` points to sixteen readable bytes; a v128 has no invalid patterns and the read is
        // unaligned.
        unsafe { bytes.as_ptr().cast::<v128>().read_unaligned() }
    }

    /// The four blocks of 64 bytes. A tuple, because an array would be made in memory.
    #[inline(always)]
    #[expect(unsafe_code, reason = "as for `load`")]
    const fn blocks(bytes: &[u8; 64]) -> (v128, v128, v128, v128) {
        let start = bytes.as_ptr().cast::<v128>();
        // SAFETY: `bytes` has four times sixteen readable bytes; see `load`.
        unsafe {
            (
                start.read_unaligned(),
                start.add(1).read_unaligned(),
                start.add(2).read_unaligned(),
                start.add(3).read_unaligned(),
            )
        }
    }

    /// The high bits of what `mark` makes of each block.
    #[inline(always)]
    fn each_block(bytes: &[u8; 64], mark: impl Fn(v128) -> v128) -> u64 {
        let (a, b, c, d) = blocks(bytes);
        let bits = |block| u64::from(u8x16_bitmask(mark(block)));
        bits(a) | bits(b) << 16 | bits(c) << 32 | bits(d) << 48
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use simd::Simd;

/// The implementation that the build uses.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub type Native = Simd;
/// The implementation that the build uses.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub type Native = Swar;

/// Whether a byte is an unreserved character of URIs or a slash.
#[inline(always)]
pub const fn is_plain_in_path(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'-'..=b'9' | b'_' | b'~')
}

/// The rule for one byte. Tests compare the implementations with it.
pub const fn is_string_stop(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0x00..=0x1f | 0x7f..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_found_at_every_index() {
        for (a, b) in (0..=255u8).flat_map(|a| [a, a ^ 1, a ^ 0x80, !a].map(|b| (a, b))) {
            for at in 0..16 {
                let mut left = [7; 16];
                let mut right = [7; 16];
                (left[at], right[at]) = (a, b);
                let expected = if a == b { 0xffff } else { 0xffff ^ 1 << at };
                assert_eq!(Swar::equal_bytes(&left, &right), expected, "{a} {b} {at}");
            }
        }
    }

    #[test]
    fn digits_are_found_at_every_index() {
        for byte in 0..=255u8 {
            for at in 0..16 {
                for filler in [b'a', 0xff, b' ', b'z', 0x1b, b'0', b'/'] {
                    let mut bytes = [filler; 16];
                    bytes[at] = byte;
                    let expected = bytes
                        .iter()
                        .enumerate()
                        .fold(0, |mask, (i, b)| mask | u32::from(b.is_ascii_digit()) << i);
                    assert_eq!(Swar::digits(&bytes), expected, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn quotes_brackets_backslashes_and_bytes_outside_ascii_are_found_at_every_index() {
        for byte in 0..=255u8 {
            for at in 0..64 {
                for filler in [b'a', 0xff, b' ', b'z', 0x5c ^ 0x20, 0x1b, 0xbf, 0xef, b'\\'] {
                    let mut bytes = [filler; 64];
                    bytes[at] = byte;
                    let mask = |is_marked: fn(u8) -> bool| {
                        bytes.iter().enumerate().fold(0, |mask, (i, b)| mask | u64::from(is_marked(*b)) << i)
                    };
                    let expected = Structure {
                        quotes: mask(|b| b == b'"'),
                        opening: mask(|b| matches!(b, b'{' | b'[')),
                        closing: mask(|b| matches!(b, b'}' | b']')),
                    };
                    assert_eq!(Swar::structure(&bytes), expected, "{bytes:?}");
                    let special = Special {
                        backslashes: mask(|b| b == b'\\'),
                        continuations: mask(|b| matches!(b, 0x80..=0xbf)),
                        long_starts: mask(|b| b >= 0xf0),
                    };
                    assert_eq!(Swar::special(&bytes), special, "{bytes:?}");
                    let has_special = bytes.iter().any(|b| *b == b'\\' || !b.is_ascii());
                    assert_eq!(Swar::has_special(&bytes), has_special, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn string_stops_are_found_at_every_index() {
        for byte in 0..=255u8 {
            for at in 0..16 {
                for filler in [b'a', 0xff, 0x00, b' ', b'!', 0x7e] {
                    let mut bytes = [filler; 16];
                    bytes[at] = byte;
                    let expected = bytes
                        .iter()
                        .enumerate()
                        .fold(0, |mask, (i, b)| mask | u32::from(is_string_stop(*b)) << i);
                    assert_eq!(Swar::string_stops(&bytes), expected, "{bytes:?}");
                }
            }
        }
    }
}
