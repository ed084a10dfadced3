//! Splits Rust source into tokens, as far as imports need it: no comments, literals and tests.

/// Identifiers, `::` and single punctuation characters.
pub(super) fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut pos = 0;
    while pos < chars.len() {
        let char = at(pos);
        if char == '/' && at(pos + 1) == '/' {
            while pos < chars.len() && at(pos) != '\n' {
                pos += 1;
            }
        } else if char == '/' && at(pos + 1) == '*' {
            pos = block_comment_end(&chars, pos);
        } else if char == '"' {
            pos = string_end(&chars, pos);
        } else if let Some(end) = raw_string_end(&chars, pos) {
            pos = end;
        } else if char == '\'' {
            // A character literal, or the start of a lifetime.
            pos += match (at(pos + 1), at(pos + 2)) {
                ('\\', _) => 3 + chars[pos + 3..].iter().take_while(|c| **c != '\'').count() + 1,
                (_, '\'') => 3,
                _ => 1,
            };
        } else if char.is_alphanumeric() || char == '_' {
            let start = pos;
            while at(pos).is_alphanumeric() || at(pos) == '_' {
                pos += 1;
            }
            found.push(chars[start..pos].iter().collect());
        } else if char == ':' && at(pos + 1) == ':' {
            found.push("::".to_owned());
            pos += 2;
        } else {
            if !char.is_whitespace() {
                found.push(char.to_string());
            }
            pos += 1;
        }
    }
    found
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut pos, mut depth) = (start, 0);
    while pos < chars.len() {
        match (chars[pos], chars.get(pos + 1)) {
            ('/', Some('*')) => (depth, pos) = (depth + 1, pos + 2),
            ('*', Some('/')) => (depth, pos) = (depth - 1, pos + 2),
            _ => pos += 1,
        }
        if depth == 0 {
            break;
        }
    }
    pos
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut pos = start + 1;
    while pos < chars.len() && chars[pos] != '"' {
        pos += if chars[pos] == '\\' { 2 } else { 1 };
    }
    pos + 1
}

/// The end of `r"…"`, `r#"…"#` or `br"…"`, if one starts here.
fn raw_string_end(chars: &[char], start: usize) -> Option<usize> {
    let before = start.checked_sub(1).and_then(|index| chars.get(index));
    if before.is_some_and(|c| c.is_alphanumeric() || *c == '_') {
        return None;
    }
    let r = if chars.get(start) == Some(&'b') { start + 1 } else { start };
    let hashes = chars.get(r + 1..)?.iter().take_while(|c| **c == '#').count();
    if chars.get(r) != Some(&'r') || chars.get(r + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut pos = r + 2 + hashes;
    while pos < chars.len() {
        if chars[pos] == '"'
            && chars.iter().skip(pos + 1).take(hashes).filter(|c| **c == '#').count() == hashes
        {
            return Some(pos + 1 + hashes);
        }
        pos += 1;
    }
    Some(pos)
}

/// Removes each item with `#[cfg(test)]`. Returns the other tokens, and the names of the test modules in
/// files of their own.
pub(super) fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut test_files = Vec::new();
    let mut pos = 0;
    while pos < tokens.len() {
        if !tokens[pos..].iter().take(7).eq(CFG_TEST.iter()) {
            kept.push(tokens[pos].clone());
            pos += 1;
            continue;
        }
        pos += CFG_TEST.len();
        let start = pos;
        let mut depth = 0;
        while pos < tokens.len() {
            match tokens[pos].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            pos += 1;
            if depth == 0 && (tokens[pos - 1] == ";" || tokens[pos - 1] == "}") {
                break;
            }
        }
        let item = &tokens[start..pos];
        if let [.., module, name, end] = item
            && module == "mod"
            && end == ";"
        {
            test_files.push(name.clone());
        }
    }
    (kept, test_files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> String {
        tokens(source).join(" ")
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        assert_eq!(read("a // b\n/* c /* d */ e */ f::g"), "a f :: g");
        assert_eq!(read(r#"x("a \" b", 'c', '\'', '\u{1}', b"d") y"#), "x ( , , , , b ) y");
        assert_eq!(read("x(r\"a\", r#\"b \" c\"#, br\"d\") for_r y"), "x ( , , ) for_r y");
        assert_eq!(read("fn f<'a>(x: &'a str) {}"), "fn f < a > ( x : & a str ) { }");
    }

    #[test]
    fn tests_are_left_out() {
        let source =
            "a; #[cfg(test)] mod tests { use b; fn c() {} } d; #[cfg(test)] mod more; #[cfg(test)] use e; f";
        let (kept, test_files) = without_tests(tokens(source));
        assert_eq!((kept.join(" ").as_str(), test_files), ("a ; d ; f", vec!["more".to_owned()]));
    }
}
