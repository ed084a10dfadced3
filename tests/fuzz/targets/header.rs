//! Header values, against a second, simple implementation of the rules of the HTTP protocol binding.
#![no_main]

use eventferry::cloudevents::http::decode_value;
use eventferry::cloudevents::rejection::Reason;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| {
    let mut out = vec![0xee; value.len()];
    let found = decode_value(value, &mut out).map(<[u8]>::to_vec);
    let text = unquoted(value).unwrap_or_else(|| value.to_vec());
    let expected = String::from_utf8(unescaped(&text)).map(String::into_bytes).map_err(|_| Reason::NotUtf8);
    assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(value));
});

/// The content of a value that is exactly one quoted string.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let (mut text, mut at) = (Vec::new(), 1);
    if value.first() != Some(&b'"') {
        return None;
    }
    loop {
        match *value.get(at)? {
            b'"' => return (at + 1 == value.len()).then_some(text),
            b'\\' => {
                at += 1;
                text.push(*value.get(at)?);
            }
            byte => text.push(byte),
        }
        at += 1;
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (text[at], digits) {
            (b'%', Some(digits)) => {
                let digits = std::str::from_utf8(digits).expect("digits");
                out.push(u8::from_str_radix(digits, 16).expect("digits"));
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
