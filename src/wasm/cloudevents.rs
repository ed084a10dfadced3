//! Exports of the CloudEvents codecs. Numbers only: text lies in the arena, results in the table.

use wasm_bindgen::prelude::wasm_bindgen;

use super::arena;
use crate::base::error::Code;
use crate::base::json::block::Native;
use crate::cloudevents::attribute::Form;
use crate::cloudevents::event::{Culprit, Refusal};
use crate::cloudevents::http::decode_value;
use crate::cloudevents::json::{self, Sequence};

/// Makes room for `len` bytes and gives the address to write them to, 0 if memory is used up.
#[wasm_bindgen]
pub fn reserve(len: usize) -> usize {
    arena::reserve(len)
}

/// Where the table of the last scan lies.
#[wasm_bindgen]
pub fn table() -> usize {
    arena::table_address()
}

/// Where the rows of the last batch lie.
#[wasm_bindgen]
pub fn rows() -> usize {
    arena::rows_address()
}

/// Where decoded text lies.
#[wasm_bindgen]
pub fn scratch() -> usize {
    arena::scratch_address()
}

/// Scans one event. 0, or the number of a code.
#[wasm_bindgen]
pub fn scan(len: usize) -> u32 {
    let mut parts = arena::parts(len);
    json::scan_document::<Native>(parts.text, &mut parts.desk)
}

/// Scans a batch, or lines. 0, or the number of a code.
#[wasm_bindgen]
pub fn scan_all(len: usize, lines: bool, in_bytes: bool) -> u32 {
    let mut parts = arena::parts(len);
    let sequence = if lines { Sequence::Lines } else { Sequence::Batch };
    json::scan_sequence::<Native>(parts.text, sequence, in_bytes, parts.rows, &mut parts.desk)
}

/// Whether the input is exactly one JSON value.
#[wasm_bindgen]
pub fn is_json(len: usize) -> bool {
    json::is_json_text::<Native>(arena::parts(len).text)
}

/// Whether the input has a form, see [`Form`].
#[wasm_bindgen]
pub fn fits(len: usize, form: u32) -> bool {
    let parts = arena::parts(len);
    Form::from_number(form).fits(parts.text.get(0, len))
}

/// Decodes a header value into the scratch space and gives its length, or -1 with the reason in the table.
#[wasm_bindgen]
pub fn decode_header(len: usize) -> i32 {
    let parts = arena::parts(len);
    match decode_value(parts.text.get(0, len), parts.desk.scratch) {
        Ok(text) => text.len() as i32,
        Err(reason) => {
            parts
                .desk
                .table
                .refuse(Refusal { code: Code::InvalidHeaderValue, reason, culprit: Culprit::Whole }, 0);
            -1
        }
    }
}
