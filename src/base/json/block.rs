//! Operations on sixteen and on 64 bytes. Two implementations of one trait: SIMD for wasm, 64-bit integers for other
//! targets. Both give the same results for all bytes; `tests/wasm` compares them where both exist.

/// The bytes by which JSON is skipped, one bit for each of 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    /// `"`
    pub quotes: u64,
    /// `\`
    pub backslashes: u64,
    /// `{` and `[`
    pub opens: u64,
    /// `}` and `]`
    pub closes: u64,
    /// Zero, which follows the text.
    pub zeros: u64,
    /// Whether a byte is outside ASCII.
    pub has_non_ascii: bool,
}

/// Operations on a block of text.
pub trait Block {
    /// One bit for each byte that is not printable ASCII without special meaning in a JSON string: `"`, `\`,
    /// all below U+0020, DEL and all outside ASCII. Bit 0 is the first byte.
    fn string_stops(bytes: &[u8; 16]) -> u32;

    /// Where the bytes are by which JSON is skipped.
    fn structure(bytes: &[u8; 64]) -> Structure;

    /// One bit for each index at which both blocks have the same byte.
    fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32;
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
        let mut found = Structure::default();
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            let word = word.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            let mark = |marks: u64| u64::from(gather(marks & HIGH)) << (8 * at);
            // `[` and `{`, and `]` and `}`, differ in one bit.
            let folded = word | (0x20 * ONES);
            found.quotes |= mark(bytes_equal(word, b'"'));
            found.backslashes |= mark(bytes_equal(word, b'\\'));
            found.opens |= mark(bytes_equal(folded, b'{'));
            found.closes |= mark(bytes_equal(folded, b'}'));
            found.zeros |= mark(bytes_equal(word, 0));
            found.has_non_ascii |= word & HIGH != 0;
        }
        found
    }

    #[inline(always)]
    fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32 {
        let different = u128::from_le_bytes(*a) ^ u128::from_le_bytes(*b);
        word_zeros(different as u64) | word_zeros((different >> 64) as u64) << 8
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x80 * ONES;

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
        i8x16_lt, i8x16_splat, u8x16_all_true, u8x16_bitmask, u8x16_eq, u8x16_min, u8x16_splat, v128, v128_or,
    };

    use super::Structure;

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
            let (a, b, c, d) =
                (load_at(bytes, 0), load_at(bytes, 16), load_at(bytes, 32), load_at(bytes, 48));
            // The least of the bytes in each place is zero if one of them is.
            let least = u8x16_min(u8x16_min(a, b), u8x16_min(c, d));
            // `[` and `{`, and `]` and `}`, differ in one bit.
            let fold = |block| v128_or(block, u8x16_splat(0x20));
            let (e, f, g, h) = (fold(a), fold(b), fold(c), fold(d));
            Structure {
                quotes: places(a, b, c, d, b'"'),
                backslashes: places(a, b, c, d, b'\\'),
                opens: places(e, f, g, h, b'{'),
                closes: places(e, f, g, h, b'}'),
                zeros: if u8x16_all_true(least) { 0 } else { places(a, b, c, d, 0) },
                has_non_ascii: u8x16_bitmask(v128_or(v128_or(a, b), v128_or(c, d))) != 0,
            }
        }

        #[inline(always)]
        fn equal_bytes(a: &[u8; 16], b: &[u8; 16]) -> u32 {
            u8x16_bitmask(u8x16_eq(load(a), load(b))) as u32
        }
    }

    /// One bit for each of 64 bytes that is `byte`.
    #[inline(always)]
    fn places(a: v128, b: v128, c: v128, d: v128, byte: u8) -> u64 {
        let byte = u8x16_splat(byte);
        let mask = |block| u8x16_bitmask(u8x16_eq(block, byte)) as u32;
        let (low, high) = (mask(a) | mask(b) << 16, mask(c) | mask(d) << 16);
        u64::from(low) | u64::from(high) << 32
    }

    /// The sixteen bytes from an index of 64.
    #[inline(always)]
    fn load_at(bytes: &[u8; 64], at: usize) -> v128 {
        bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or_else(|| u8x16_splat(0), load)
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
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use simd::Simd;

/// The implementation that the build uses.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub type Native = Simd;
/// The implementation that the build uses.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub type Native = Swar;

/// The rule for one byte. Tests compare the implementations with it.
pub const fn is_string_stop(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0x00..=0x1f | 0x7f..=0xff)
}

/// The rule for [`Block::structure`] byte by byte. Tests compare the implementations with it.
pub fn structure_by_byte(bytes: &[u8; 64]) -> Structure {
    let mask = |is: fn(u8) -> bool| {
        bytes.iter().enumerate().fold(0, |mask, (at, byte)| mask | u64::from(is(*byte)) << at)
    };
    Structure {
        quotes: mask(|byte| byte == b'"'),
        backslashes: mask(|byte| byte == b'\\'),
        opens: mask(|byte| matches!(byte, b'{' | b'[')),
        closes: mask(|byte| matches!(byte, b'}' | b']')),
        zeros: mask(|byte| byte == 0),
        has_non_ascii: bytes.iter().any(|byte| !byte.is_ascii()),
    }
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
    fn structure_is_found_at_every_index() {
        for byte in 0..=255u8 {
            for at in 0..64 {
                for filler in [b'a', 0xff, b' ', b'z', b'|', 0x1b] {
                    let mut bytes = [filler; 64];
                    bytes[at] = byte;
                    assert_eq!(Swar::structure(&bytes), structure_by_byte(&bytes), "{bytes:?}");
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
