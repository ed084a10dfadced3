//! Whether a text is JSON, against `serde_json`.
#![no_main]

use eventferry::base::json::block::Swar;
use eventferry::base::json::padded::{Padded, pad};
use eventferry::base::json::scan::{ScanError, Scanner};
use eventferry::cloudevents::json::is_json_text;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Deserializer;
use serde_json::de::IoRead;

fuzz_target!(|text: &[u8]| {
    let bytes = pad(text);
    let padded = Padded::new(&bytes).expect("padded");
    let mut scanner = Scanner::<Swar>::new(padded);
    scanner.skip_space();
    let value = scanner.value();
    if matches!(value, Err(ScanError::TooDeep)) {
        assert!(!is_json_text::<Swar>(padded));
        return;
    }
    let found = is_json_text::<Swar>(padded);
    assert_eq!(found, accepts(text), "{:?}", String::from_utf8_lossy(text));
    if found {
        let units = std::str::from_utf8(text).expect("UTF-8").encode_utf16().count();
        assert!(scanner.is_finished());
        assert_eq!((scanner.pos(), scanner.units()), (text.len(), units));
    }
});

/// Whether `serde_json` accepts the text. It does not check UTF-8 in ignored strings, so that is checked here.
fn accepts(text: &[u8]) -> bool {
    let mut stream = Deserializer::new(IoRead::new(text));
    std::str::from_utf8(text).is_ok() && IgnoredAny::deserialize(&mut stream).is_ok() && stream.end().is_ok()
}
