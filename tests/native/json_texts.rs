//! The scanner accepts exactly the texts that RFC 8259 allows: the cases of `tests/vectors/json_texts.json`, and mutations
//! of them, against `serde_json`.

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::base::json::scan::MAX_DEPTH;
use eventferry::cloudevents::json::is_json_text;
use eventferry::engine::jitter::Rng;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::de::{Deserializer, IoRead};

const CASES: &str = include_str!("../vectors/json_texts.json");

fn is_json(text: &[u8]) -> bool {
    is_json_text::<Swar>(Padded::new(&pad(text)).expect("padded"))
}

/// What `serde_json` says. It does not check UTF-8 in strings that it ignores.
fn expected(text: &[u8]) -> bool {
    let mut stream = Deserializer::new(IoRead::new(text));
    std::str::from_utf8(text).is_ok() && IgnoredAny::deserialize(&mut stream).is_ok() && stream.end().is_ok()
}

/// The texts of one part of the cases, from all its groups.
fn texts(part: &str) -> Vec<Vec<u8>> {
    let cases: Value = serde_json::from_str(CASES).expect("JSON");
    let groups = cases[part].as_object().expect("groups");
    let all = groups.values().flat_map(|group| group.as_array().expect("texts"));
    let texts: Vec<Vec<u8>> = all
        .map(|text| {
            let text = text.as_str().expect("a text");
            if part == "rejectedBytes" { from_hex(text) } else { text.as_bytes().to_vec() }
        })
        .collect();
    assert!(texts.len() > 40, "{part}: {}", texts.len());
    texts
}

fn from_hex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn texts_that_rfc_8259_allows_are_accepted_and_others_are_not() {
    for (part, verdict) in [("accepted", true), ("rejected", false), ("rejectedBytes", false)] {
        for text in texts(part) {
            let label = String::from_utf8_lossy(&text).into_owned();
            assert_eq!(expected(&text), verdict, "serde_json, {label:?}");
            assert_eq!(is_json(&text), verdict, "{label:?}");
        }
    }
}

#[test]
fn a_text_inside_another_one_keeps_its_verdict() {
    for (part, verdict) in [("accepted", true), ("rejectedBytes", false)] {
        for text in texts(part) {
            for (before, after) in
                [("[", "]"), ("{\"a\":", "}"), ("[\"a\",", ",1]"), ("[[{\"a\":[", "]}]]"), (" \n", "\t ")]
            {
                let whole = [before.as_bytes(), &text, after.as_bytes()].concat();
                assert_eq!(expected(&whole), verdict);
                assert_eq!(is_json(&whole), verdict, "{:?}", String::from_utf8_lossy(&whole));
            }
        }
    }
}

#[test]
fn mutations_and_starts_have_the_verdict_of_serde_json() {
    let mut rng = Rng::new(8259);
    let all = [texts("accepted"), texts("rejected"), texts("rejectedBytes")].concat();
    let mut accepted = 0;
    for round in 0..60_000usize {
        let mut text = all[round % all.len()].clone();
        for _ in 0..=rng.up_to(1) {
            let at = rng.up_to(text.len() as u64) as usize;
            match rng.up_to(3) {
                0 => text.truncate(at),
                1 => text.insert(at, SPECIAL[rng.up_to(SPECIAL.len() as u64 - 1) as usize]),
                2 if at < text.len() => drop(text.remove(at)),
                _ => {
                    let other = &all[rng.up_to(all.len() as u64 - 1) as usize];
                    text.splice(at..at, other.iter().copied());
                }
            }
        }
        let verdict = expected(&text);
        accepted += u32::from(verdict);
        assert_eq!(is_json(&text), verdict, "{:?}", String::from_utf8_lossy(&text));
    }
    assert!(accepted > 3_000 && accepted < 30_000, "{accepted}");
}

const SPECIAL: &[u8] = b"\"\\{}[],:0123456789.-+eEu tfn\n\0\x1f\x7f\x80\xbf\xc3\xe2\xed\xf0\xff";

#[test]
fn texts_are_accepted_up_to_the_depth_that_the_scanner_has_bits_for() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        let nested = |depth: usize| [open.repeat(depth), "1".to_owned(), close.repeat(depth)].concat();
        let most = MAX_DEPTH / levels;
        for depth in [1, 2, 63 / levels, 64 / levels, 65, 128, most] {
            let text = nested(depth);
            assert!(expected(text.as_bytes()) && is_json(text.as_bytes()), "{depth} of {open}");
            assert!(!is_json(&text.as_bytes()[..text.len() - 1]));
        }
        assert!(!is_json(nested(most + 1).as_bytes()), "{open}");
        assert!(!is_json(open.repeat(100_000).as_bytes()));
    }
}
