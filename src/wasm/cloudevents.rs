//! The exports of the CloudEvents codecs. They take and return numbers only: text is in the arena, results are in the
//! table.

use wasm_bindgen::prelude::wasm_bindgen;

use super::arena;
use crate::base::error::Code;
use crate::base::json::block::Native;
use crate::cloudevents::attribute::Format;
use crate::cloudevents::http::decode_value;
use crate::cloudevents::json::{self, SequenceOptions};
use crate::cloudevents::rejection::{Rejection, Target};

/// Scans one event. Returns 0 or the number of a code.
#[wasm_bindgen]
pub fn scan(len: usize) -> u32 {
    let mut parts = arena::parts(len);
    json::scan_document::<Native>(parts.text, &mut parts.context)
}

/// Scans a batch (`lines` is 0), NDJSON (1), or the valid lines of NDJSON (2). The extents in the rows are in bytes if `in_bytes`, else in UTF-16 units.
/// Returns 0 or the number of a code.
#[wasm_bindgen]
pub fn scan_all(len: usize, lines: u32, in_bytes: bool) -> u32 {
    let mut parts = arena::parts(len);
    let options = SequenceOptions::from_number(lines, in_bytes);
    json::scan_sequence_into::<Native, ()>(parts.text, options, parts.rows, &mut parts.context, &mut ())
}

/// Whether the input is exactly one JSON value.
#[wasm_bindgen]
pub fn is_json(len: usize) -> bool {
    json::is_json_text::<Native>(arena::parts(len).text)
}

/// Whether the input has a format, by the number of the [`Format`].
#[wasm_bindgen]
pub fn matches_format(len: usize, format: u32) -> bool {
    let parts = arena::parts(len);
    Format::from_number(format).matches(parts.text.get(0, len))
}

/// Decodes a header value into the scratch space and returns its length, or -1 with the reason in the table.
#[wasm_bindgen]
pub fn decode_header(len: usize) -> i32 {
    let parts = arena::parts(len);
    match decode_value(parts.text.get(0, len), parts.context.scratch) {
        Ok(text) => text.len() as i32,
        Err(reason) => {
            let rejection = Rejection { code: Code::InvalidHeaderValue, reason, target: Target::Document };
            parts.context.table.reject(rejection, 0);
            -1
        }
    }
}
