//! What both sides of the wasm boundary must know: the numbers and the order of what crosses it. `tests/native/tables.rs`
//! generates `js/engine/generated/tables.ts` from these tables.

pub mod numbers;
pub mod options;
pub mod reasons;
