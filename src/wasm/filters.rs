//! The exports of the filters. They take and return numbers only: batches are in the arena, all else passes through a
//! buffer as JSON.
//!
//! No export calls code of the user: where a program needs a function of the user, it returns, and JavaScript starts it
//! again with the result. So nothing is borrowed while code of the user runs. Two methods of the platform are called, which
//! change the case of a text that is not ASCII.

#![expect(unsafe_code, reason = "memory is shared with JavaScript by address")]

use core::cell::UnsafeCell;

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::arena::{self, Shared};
use crate::base::json::block::Native;
use crate::base::json::find::write_string;
use crate::base::json::pointer::find as find_pointer;
use crate::base::json::scan::Kind;
use crate::cloudevents::filter::attributes::{Attributes, ListedAttributes, values_of};
use crate::cloudevents::filter::cesql::ParseError;
use crate::cloudevents::filter::dialects::{FilterError, compile_expression, compile_filter, read_functions};
use crate::cloudevents::filter::program::Program;
use crate::cloudevents::filter::run::{Outcome, Runner};
use crate::cloudevents::filter::scanned::{Notes, ScannedEvent};
use crate::cloudevents::filter::select::Selector;
use crate::cloudevents::filter::value::{Value, int_text};
use crate::cloudevents::json::{SequenceOptions, scan_document, scan_sequence_into};

/// What lives from one call to the next.
struct State {
    /// Text from and to JavaScript.
    buffer: Vec<u8>,
    /// Indices of events in the last batch.
    selection: Vec<u32>,
    /// The programs by their number. A number that was freed is used again.
    programs: Vec<Option<Program>>,
    /// What the rows lack.
    notes: Notes,
    /// The length of the text of the last batch.
    len: usize,
    /// The JSON Pointer of `find`.
    pointer: Vec<u8>,
}

static STATE: Shared<UnsafeCell<State>> = Shared(UnsafeCell::new(State {
    buffer: Vec::new(),
    selection: Vec::new(),
    programs: Vec::new(),
    notes: Notes::new(),
    len: 0,
    pointer: Vec::new(),
}));

/// The state, for one export.
fn state() -> &'static mut State {
    // SAFETY: there is one thread, and exports do not nest, because none calls code of the user. Each calls this once, and
    // passes parts of the state on.
    unsafe { &mut *STATE.0.get() }
}

/// What a run has found, see `evaluate` in `js/engine/ports.ts`.
const IS_FALSE: u32 = 0;
const IS_TRUE: u32 = 1;
const IS_VALUE: u32 = 2;
const IS_CALL: u32 = 3;

/// Makes room for `len` bytes in the buffer. Returns its address.
#[wasm_bindgen]
pub fn buffer(len: usize) -> usize {
    let state = state();
    state.buffer.resize(len, 0);
    state.buffer.as_ptr() as usize
}

/// The number of bytes that the last export has left in the buffer.
#[wasm_bindgen]
pub fn buffer_len() -> usize {
    state().buffer.len()
}

/// Scans a batch or lines, like `scan_all` of the codecs, and takes notes of what the rows lack.
#[wasm_bindgen]
pub fn scan_noted(len: usize, lines: u32, in_bytes: bool, is_trusted: bool) -> u32 {
    let state = state();
    let mut parts = arena::parts(len);
    let options = SequenceOptions { is_trusted, ..SequenceOptions::from_number(lines, in_bytes) };
    state.notes.clear();
    state.len = len;
    scan_sequence_into::<Native, _>(parts.text, options, parts.rows, &mut parts.context, &mut state.notes)
}

/// Scans one event, like `scan` of the codecs, which the crate of the tests has too.
#[wasm_bindgen]
pub fn scan_event(len: usize) -> u32 {
    let mut parts = arena::parts(len);
    scan_document::<Native>(parts.text, &mut parts.context)
}

/// Takes the content of the buffer as the JSON Pointer of [`find`].
#[wasm_bindgen]
pub fn set_pointer() {
    let state = state();
    state.pointer = core::mem::take(&mut state.buffer);
}

/// What `find` has found, see `js/engine/ports.ts`.
const NOTHING: u32 = 0;
const JSON: u32 = 1;
const PLAIN_STRING: u32 = 2;
const NUMBER: u32 = 3;
const INTEGER: u32 = 4;

/// Finds a value in the input, JSON that was checked before, by the pointer, in the value that starts at a byte; all before
/// that is ASCII. Its positions in UTF-16 units are left as the extent of the row in the table. Returns 0 if there is none, 1
/// for JSON, 2 for the content of a string without escapes, 3 for a number; 4 for an integer of 32 bits without a sign, which
/// is itself the start of that extent.
#[wasm_bindgen]
pub fn find(len: usize, start: usize) -> u32 {
    let parts = arena::parts(len);
    let Ok(Some((kind, span))) =
        find_pointer::<Native>(parts.text, start, &state().pointer, parts.context.scratch)
    else {
        return NOTHING;
    };
    let row = &mut parts.context.table.row;
    if kind == Kind::Number
        && span.is_plain
        && let Some(value) = small_integer(parts.text.get(span.start, span.end))
    {
        row.set_extent(value, 0);
        return INTEGER;
    }
    let quotes = usize::from(kind == Kind::String && span.has_escapes);
    row.set_extent((span.start_unit - quotes) as u32, (span.end_unit + quotes) as u32);
    match kind {
        Kind::String if !span.has_escapes => PLAIN_STRING,
        Kind::Number => NUMBER,
        _ => JSON,
    }
}

/// The integer that digits are.
fn small_integer(digits: &[u8]) -> Option<u32> {
    if digits.len() > 10 || digits.first() == Some(&b'-') {
        return None;
    }
    u32::try_from(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))).ok()
}

/// Compiles the JSON of a filter, or an expression, of `len` bytes, with the JSON of the functions behind it. Returns the
/// number of the program, or -1 with the error as JSON in the buffer.
#[wasm_bindgen]
pub fn compile(len: usize, is_expression: bool) -> i32 {
    let state = state();
    let whole = core::mem::take(&mut state.buffer);
    let (text, functions) = whole.split_at_checked(len).unwrap_or_default();
    let (Ok(text), Ok(functions)) = (core::str::from_utf8(text), core::str::from_utf8(functions)) else {
        return -1;
    };
    let functions = read_functions(functions);
    let compiled = if is_expression {
        compile_expression(text, &functions)
            .map_err(|error| FilterError::Expression { text: text.to_owned(), error })
    } else {
        compile_filter(text, &functions)
    };
    match compiled {
        Ok(program) => {
            let free = state.programs.iter().position(Option::is_none);
            let number = free.unwrap_or(state.programs.len());
            match state.programs.get_mut(number) {
                Some(slot) => *slot = Some(program),
                None => state.programs.push(Some(program)),
            }
            number as i32
        }
        Err(error) => {
            if let FilterError::Expression { text, error: ParseError { at, expected } } = error {
                let mut json = String::from("[");
                write_string(&mut json, &text);
                json.push(',');
                json.push_str(&int_text(at as i32));
                json.push(',');
                write_string(&mut json, expected);
                json.push(']');
                state.buffer = json.into_bytes();
            }
            -1
        }
    }
}

/// Leaves the names of the attributes that a program reads in the buffer, as JSON. Returns whether it calls functions of
/// the user.
#[wasm_bindgen]
pub fn describe(program: usize) -> bool {
    let state = state();
    let Some(program) = program_of(&state.programs, program) else { return false };
    let mut json = String::from("[");
    for (index, attribute) in program.attributes().iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_string(&mut json, attribute.name());
    }
    json.push(']');
    state.buffer = json.into_bytes();
    program.calls_user()
}

/// Forgets a program.
#[wasm_bindgen]
pub fn forget(program: usize) {
    if let Some(slot) = state().programs.get_mut(program) {
        *slot = None;
    }
}

/// Runs a program. The buffer has `len` bytes of JSON with the values of its attributes, and behind them the JSON of what
/// functions of the user have returned. Returns 0 for false and 1 for true without errors; 2 for all other values, which
/// are in the buffer with the errors; 3 if a function is to be called, which is in the buffer with its arguments.
#[wasm_bindgen]
pub fn evaluate(program: usize, len: usize) -> u32 {
    let state = state();
    let (values, returned) = state.buffer.split_at_checked(len).unwrap_or_default();
    let attributes = ListedAttributes::from_json(values);
    let returned = values_of(returned);
    let Some(program) = program_of(&state.programs, program) else { return IS_FALSE };
    let (code, json) = outcome(program, &&attributes, &returned);
    state.buffer = json;
    code
}

/// The same for an event of the last batch. The buffer has only what functions have returned.
#[wasm_bindgen]
pub fn evaluate_at(program: usize, index: usize) -> u32 {
    let state = state();
    let parts = arena::parts(state.len);
    let returned = values_of(&state.buffer);
    let event = ScannedEvent::new(parts.text, parts.rows, &state.notes, index);
    let (Some(program), Some(event)) = (program_of(&state.programs, program), event) else { return IS_FALSE };
    let (code, json) = outcome(program, &event, &returned);
    state.buffer = json;
    code
}

/// Selects the first `count` events. Returns the address of their indices, which JavaScript may replace by others.
#[wasm_bindgen]
pub fn selection(count: usize) -> usize {
    let state = state();
    state.selection.clear();
    state.selection.extend(0..count as u32);
    state.selection.as_ptr() as usize
}

/// Keeps the indices of the events of the last batch for which a program, which calls no functions of the user, is true.
/// Returns their number.
#[wasm_bindgen]
pub fn select(program: usize) -> usize {
    let state = state();
    let parts = arena::parts(state.len);
    let Some(program) = program_of(&state.programs, program) else { return 0 };
    let (rows, notes) = (&*parts.rows, &state.notes);
    let mut selector = Selector::new(program, change_case);
    state.selection.retain(|index| {
        ScannedEvent::new(parts.text, rows, notes, *index as usize)
            .is_some_and(|event| selector.selects(&event))
    });
    state.selection.len()
}

#[wasm_bindgen]
extern "C" {
    /// A string of JavaScript.
    type Text;
    #[wasm_bindgen(method, structural, catch, js_name = toUpperCase)]
    fn to_upper_case(this: &Text) -> Result<String, JsValue>;
    #[wasm_bindgen(method, structural, catch, js_name = toLowerCase)]
    fn to_lower_case(this: &Text) -> Result<String, JsValue>;
}

/// JavaScript has the tables of Unicode for this.
fn change_case(text: &str, is_upper: bool) -> String {
    if text.is_ascii() {
        return if is_upper { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() };
    }
    let text: Text = JsValue::from_str(text).unchecked_into();
    if is_upper { text.to_upper_case() } else { text.to_lower_case() }.unwrap_or_default()
}

fn program_of(programs: &[Option<Program>], number: usize) -> Option<&Program> {
    programs.get(number)?.as_ref()
}

fn outcome<'a>(
    program: &'a Program,
    event: &impl Attributes<'a>,
    returned: &[Option<Value<'static>>],
) -> (u32, Vec<u8>) {
    let mut json = String::from("[");
    let code = match Runner::new(change_case).run(program, event, returned) {
        Outcome::Done(Value::Bool(value), errors) if errors.is_empty() => {
            return (if value { IS_TRUE } else { IS_FALSE }, Vec::new());
        }
        Outcome::Done(value, errors) => {
            write_value(&mut json, &value);
            json.push(',');
            json.push_str(&int_text(errors.bits() as i32));
            IS_VALUE
        }
        Outcome::Call { function, arguments } => {
            json.push_str(&int_text(i32::from(function)));
            for argument in arguments {
                json.push(',');
                write_value(&mut json, &argument);
            }
            IS_CALL
        }
    };
    json.push(']');
    (code, json.into_bytes())
}

fn write_value(json: &mut String, value: &Value<'_>) {
    match value {
        Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => json.push_str(&int_text(*value)),
        Value::Str(text) => write_string(json, text),
    }
}
