//! Short texts are put together, searched, split and cut. The search of the standard library is made for long ones, and takes
//! 3 KB of each module that has it.

/// Puts texts together. Formatting takes 5 KB of each module that has it.
pub fn join(parts: &[&str]) -> String {
    join_with(parts, "")
}

/// Puts texts together, with a separator between them.
pub fn join_with<T: AsRef<str>>(parts: &[T], separator: &str) -> String {
    let mut joined =
        String::with_capacity(parts.iter().map(|part| part.as_ref().len() + separator.len()).sum());
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(part.as_ref());
    }
    joined
}

const DIGITS: &str = "0123456789";

/// A number in decimal digits.
pub fn decimal(number: u64) -> String {
    let rest = if number > 9 { decimal(number / 10) } else { String::new() };
    rest + DIGITS.get((number % 10) as usize..).and_then(|digits| digits.get(..1)).unwrap_or_default()
}

/// Where `part` is in `text` for the first time.
pub fn find(text: &str, part: &str) -> Option<usize> {
    // Windows cannot be empty.
    if part.is_empty() {
        return Some(0);
    }
    text.as_bytes().windows(part.len()).position(|window| window == part.as_bytes())
}

/// Whether `part` is in `text`.
pub fn contains(text: &str, part: &str) -> bool {
    find(text, part).is_some()
}

/// What is before the first `separator`, and what is after it.
pub fn split_once<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let (before, rest) = text.split_at_checked(find(text, separator)?)?;
    Some((before, rest.get(separator.len()..)?))
}

/// What is before the last `separator`, an ASCII character, and what is after it.
pub fn rsplit_once(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// What is before the first of these ASCII characters, and the rest, which starts with it; or all, and nothing.
pub fn split_before<'a>(text: &'a str, stops: &[u8]) -> (&'a str, &'a str) {
    let end = text.bytes().position(|byte| stops.contains(&byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// The first characters of a text, without those that control a terminal.
pub fn printable(text: &str, max_chars: usize) -> String {
    text.chars().filter(|char| !char.is_control()).take(max_chars).collect()
}

/// The text with `other` in place of each `part`. An empty `part` changes nothing.
pub fn replace(text: &str, part: &str, other: &str) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while !part.is_empty()
        && let Some((before, after)) = split_once(rest, part)
    {
        replaced.push_str(before);
        replaced.push_str(other);
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_as_the_standard_library_finds_them() {
        for text in
            ["", "a", "aa", "aaa", "ab", "aab", "abab", "://", "https://é/://", "é", "xéé", "\u{1F600}é"]
        {
            for part in ["", "a", "aa", "ab", "b", "://", "é", "éé", "z", "abababa"] {
                assert_eq!(find(text, part), text.find(part), "{text} {part}");
                assert_eq!(contains(text, part), text.contains(part), "{text} {part}");
                assert_eq!(split_once(text, part), text.split_once(part), "{text} {part}");
                assert_eq!(join(&[text, part, text]), [text, part, text].concat());
                assert_eq!(join_with(&[text, part, text], part), [text, part, text].join(part));
                let expected = if part.is_empty() { text.to_owned() } else { text.replace(part, "…") };
                assert_eq!(replace(text, part, "…"), expected, "{text} {part}");
            }
        }
    }

    #[test]
    fn texts_are_split_at_ascii_characters() {
        for text in ["", ":", "a", "a:b:c", "é:é/é", ":/", "a/"] {
            assert_eq!(rsplit_once(text, b':'), text.rsplit_once(':'), "{text}");
            let (before, rest) = split_before(text, b":/");
            assert_eq!(text.split([':', '/']).next(), Some(before), "{text}");
            assert_eq!(join(&[before, rest]), text);
        }
    }

    #[test]
    fn a_text_is_cut_after_its_control_characters_are_left_out() {
        assert_eq!(printable("a\u{1b}\né\u{85}c", 2), "aé");
    }

    #[test]
    fn a_number_is_written_in_decimal_digits() {
        for number in [0, 7, 10, 99, 100, 4_294_967_296, u64::MAX] {
            assert_eq!(decimal(number), number.to_string());
        }
    }
}
