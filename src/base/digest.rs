//! Digests: short names for texts that must not be shown.

use hmac_sha256::Hash;

/// 128 bits suffice against collisions and against guessing the text of a token.
const BYTES: usize = 16;

/// The first half of the SHA-256 of a text, as 32 lower-case hexadecimal digits.
pub fn digest(text: &str) -> String {
    let mut digits = String::with_capacity(2 * BYTES);
    for byte in Hash::hash(text.as_bytes()).iter().take(BYTES) {
        digits.extend(
            [byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)),
        );
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn is_half_of_sha_256() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb924");
    }
}
