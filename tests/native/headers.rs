//! Header values, against `tests/vectors/headers.json`.

use eventferry::cloudevents::http::decode_value;
use serde_json::Value;

#[test]
fn every_header_of_the_vectors_is_decoded() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/headers.json")).expect("vectors");
    for vector in vectors["decode"].as_array().expect("a list") {
        let value = vector["value"].as_str().expect("a value").as_bytes();
        let mut out = vec![0; value.len()];
        let text =
            decode_value(value, &mut out).ok().map(|text| String::from_utf8(text.to_vec()).expect("UTF-8"));
        assert_eq!(text.as_deref(), vector["text"].as_str(), "{vector}");
    }
}
