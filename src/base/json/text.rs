//! The characters of one string: UTF-8 sequences and JSON escapes.

/// The length of the well-formed UTF-8 sequence at the start (Unicode standard, table 3-7), if there is one.
pub fn sequence_len(text: &[u8]) -> Option<usize> {
    let follows = |at: usize, low: u8, high: u8| text.get(at).is_some_and(|b| (low..=high).contains(b));
    let tail = |at: usize| follows(at, 0x80, 0xbf);
    let (len, second) = match *text.first()? {
        0x00..=0x7f => return Some(1),
        0xc2..=0xdf => (2, tail(1)),
        0xe0 => (3, follows(1, 0xa0, 0xbf)),
        0xed => (3, follows(1, 0x80, 0x9f)),
        0xe1..=0xef => (3, tail(1)),
        0xf0 => (4, follows(1, 0x90, 0xbf)),
        0xf1..=0xf3 => (4, tail(1)),
        0xf4 => (4, follows(1, 0x80, 0x8f)),
        _ => return None,
    };
    (second && (len < 3 || tail(2)) && (len < 4 || tail(3))).then_some(len)
}

/// The first character of well-formed text and its length in bytes. Character 0 if the text is empty.
pub fn first_char(text: &[u8]) -> (u32, usize) {
    let part = |at: usize| text.get(at).map_or(0, |b| (*b & 0x3f) as u32);
    match text.first().copied().unwrap_or(0) as u32 {
        b @ 0..0x80 => (b, 1),
        b @ 0x80..0xe0 => ((b & 0x1f) << 6 | part(1), 2),
        b @ 0xe0..0xf0 => ((b & 0x0f) << 12 | part(1) << 6 | part(2), 3),
        b => ((b & 0x07) << 18 | part(1) << 12 | part(2) << 6 | part(3), 4),
    }
}

/// Decodes the escapes of a string that the scanner has accepted, into `out`, which must be as long as
/// `text`. `None` for an unpaired surrogate, which is not a character.
pub fn unescape<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let (mut read, mut written) = (0, 0);
    while let Some(&byte) = text.get(read) {
        read += 1;
        if byte != b'\\' {
            *out.get_mut(written)? = byte;
            written += 1;
            continue;
        }
        let kind = *text.get(read)?;
        read += 1;
        let char = match kind {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'u' => {
                let high = hex4(text, read)?;
                read += 4;
                match high {
                    0xd800..=0xdbff => {
                        let low = (text.get(read..read + 2)? == b"\\u").then(|| hex4(text, read + 2))??;
                        read += 6;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return None;
                        }
                        0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                    }
                    0xdc00..=0xdfff => return None,
                    other => other,
                }
            }
            other => other as u32,
        };
        written += put_char(char, out.get_mut(written..)?)?;
    }
    out.get(..written)
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?.iter().try_fold(0, |value, byte| Some(value << 4 | hex(*byte)?))
}

/// The value of a hexadecimal digit.
pub const fn hex(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as u32),
        b'a'..=b'f' => Some((byte - b'a') as u32 + 10),
        b'A'..=b'F' => Some((byte - b'A') as u32 + 10),
        _ => None,
    }
}

fn put_char(char: u32, out: &mut [u8]) -> Option<usize> {
    let tail = |shift: u32| 0x80 | (char >> shift & 0x3f) as u8;
    let (bytes, len) = match char {
        0..0x80 => ([char as u8, 0, 0, 0], 1),
        0x80..0x800 => ([0xc0 | (char >> 6) as u8, tail(0), 0, 0], 2),
        0x800..0x10000 => ([0xe0 | (char >> 12) as u8, tail(6), tail(0), 0], 3),
        _ => ([0xf0 | (char >> 18) as u8, tail(12), tail(6), tail(0)], 4),
    };
    for (to, from) in out.get_mut(..len)?.iter_mut().zip(bytes) {
        *to = from;
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library_on_every_two_byte_start_and_more() {
        let mut cases: Vec<Vec<u8>> = Vec::new();
        for first in 0..=255u8 {
            for second in (0..=255u8).step_by(3).chain([0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0]) {
                for tail in [&[][..], &[0x80], &[0x80, 0x80], &[0xbf, 0xbf], &[0x80, 0x41]] {
                    cases.push([&[first, second], tail].concat());
                }
            }
        }
        for bytes in cases {
            let expected = (1..=bytes.len().min(4)).find(|len| std::str::from_utf8(&bytes[..*len]).is_ok());
            assert_eq!(sequence_len(&bytes), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn decodes_every_character() {
        for char in ('\0'..=char::MAX).step_by(7) {
            let mut buffer = [0; 4];
            let text = char.encode_utf8(&mut buffer).as_bytes();
            assert_eq!(first_char(text), (char as u32, text.len()));
        }
    }

    #[test]
    fn decodes_escapes() {
        let mut out = [0; 64];
        for (text, expected) in [
            ("", ""),
            ("a\\/b\\\\c\\\"", "a/b\\c\""),
            ("\\b\\f\\n\\r\\t", "\u{8}\u{c}\n\r\t"),
            ("\\u0041\\u00e9\\u20AC", "Aé€"),
            ("\\ud83d\\ude00é", "😀é"),
        ] {
            assert_eq!(unescape(text.as_bytes(), &mut out), Some(expected.as_bytes()), "{text}");
        }
        for lone in
            ["\\ud800", "\\udc00", "\\ud800x", "\\ud800\\n", "\\ud800\\u0041", "\\ud800\\ud800\\udc00"]
        {
            assert_eq!(unescape(lone.as_bytes(), &mut out), None, "{lone}");
        }
    }
}
