//! The exports of the CloudEvents codecs. They take and return numbers only: text is in the arena, results are in the
//! table.

#![expect(unsafe_code, reason = "memory is shared with JavaScript by address")]

use core::cell::UnsafeCell;

use wasm_bindgen::prelude::wasm_bindgen;

use super::arena::{self, Shared};
use crate::base::error::Code;
use crate::base::json::block::Native;
use crate::base::json::pointer;
use crate::base::json::scan::Kind;
use crate::cloudevents::attribute::Format;
use crate::cloudevents::http::decode_value;
use crate::cloudevents::json::{self, Sequence};
use crate::cloudevents::rejection::{Rejection, Target};

/// Scans one event. Returns 0 or the number of a code.
#[wasm_bindgen]
pub fn scan(len: usize) -> u32 {
    let mut parts = arena::parts(len);
    json::scan_document::<Native>(parts.text, &mut parts.context)
}

/// Scans a batch, or NDJSON, by the number of the [`Sequence`]. The extents in the rows are in bytes if `in_bytes`, else in UTF-16 units.
/// Returns 0 or the number of a code.
#[wasm_bindgen]
pub fn scan_all(len: usize, sequence: u32, in_bytes: bool) -> u32 {
    let mut parts = arena::parts(len);
    let sequence = Sequence::from_number(sequence);
    json::scan_sequence::<Native>(parts.text, sequence, in_bytes, parts.rows, &mut parts.context)
}

/// Whether the input is exactly one JSON value.
#[wasm_bindgen]
pub fn is_json(len: usize) -> bool {
    json::is_json_text::<Native>(arena::parts(len).text)
}

/// The longest JSON Pointer, in bytes.
const MAX_POINTER: usize = 256;

static POINTER: Shared<UnsafeCell<[u8; MAX_POINTER]>> = Shared(UnsafeCell::new([0; MAX_POINTER]));

/// The address at which JavaScript writes a JSON Pointer. It stays there until another one is written.
#[wasm_bindgen]
pub fn pointer() -> usize {
    POINTER.0.get() as usize
}

/// Finds a value by the JSON Pointer in the JSON that starts at a UTF-16 unit of the input, which was checked before. Leaves
/// its positions in units as the extent of the row in the table. Returns 0 if there is none, 1 if there is, and 2 if the
/// text before the start is not ASCII.
#[wasm_bindgen]
pub fn find(len: usize, start: usize, pointer_len: usize) -> u32 {
    let parts = arena::parts(len);
    if !parts.text.get(0, start.min(len)).is_ascii() {
        return 2;
    }
    // SAFETY: there is one thread, JavaScript is not running, and nobody else has a reference.
    let pointer = unsafe { &*POINTER.0.get() }.get(..pointer_len).unwrap_or_default();
    let scratch = parts.context.scratch;
    let Ok(Some((kind, span))) = pointer::find::<Native>(parts.text, start, pointer, scratch) else {
        return 0;
    };
    let quotes = usize::from(kind == Kind::String);
    parts.context.table.row.set_extent((span.start_unit - quotes) as u32, (span.end_unit + quotes) as u32);
    1
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
