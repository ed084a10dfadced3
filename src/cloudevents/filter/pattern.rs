//! The patterns of `LIKE`, section 3.4.3.

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `%`: any number of characters.
    Run,
    /// `_`: one character.
    One,
    /// This character.
    Char(char),
}

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

impl Pattern {
    /// Reads a pattern. A backslash makes `%`, `_` or a backslash after it literal, and is literal before all else.
    pub(super) fn new(text: &str) -> Self {
        let mut parts = Vec::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            parts.push(match char {
                '%' if parts.last() == Some(&Part::Run) => continue,
                '%' => Part::Run,
                '_' => Part::One,
                '\\' => Part::Char(chars.next_if(|next| matches!(next, '%' | '_' | '\\')).unwrap_or('\\')),
                char => Part::Char(char),
            });
        }
        Self(parts)
    }

    /// Whether the whole text matches. After a mismatch it goes on at the last `%`, one character later, so the time is
    /// at most the length of the text times that of the pattern.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        let mut retry: Option<(usize, core::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            let next = ahead.next();
            match (self.0.get(at), next) {
                (None, None) => return true,
                (Some(Part::Run), _) => {
                    at += 1;
                    if at == self.0.len() {
                        return true;
                    }
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some(Part::One), Some(_)) => {}
                (Some(Part::Char(expected)), Some(char)) if *expected == char => {}
                _ => {
                    let Some((start, from)) = &mut retry else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    at = *start;
                    rest = from.clone();
                    continue;
                }
            }
            at += 1;
            rest = ahead;
        }
    }
}
