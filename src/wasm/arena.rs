//! A reusable memory area into which JavaScript writes text.
//!
//! ```text
//!   [ input | padding | scratch | rows ]
//!     cap     64        cap+64    5/4 cap+64
//! ```
//!
//! It comes directly from the memory of the module, because an allocator costs 3 KB of download and the small
//! module needs none otherwise. It doubles when it is too small and never shrinks. Pages that were never
//! touched use no physical memory, so scratch and rows cost nothing without escapes and batches.

#![expect(unsafe_code, reason = "memory is shared with JavaScript by address")]

use core::arch::wasm32::{i64x2_splat, memory_grow, memory_size, v128, v128_store};
use core::cell::Cell;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::base::json::padded::{PADDING, Padded, zero};
use crate::cloudevents::json::{ScanContext, max_rows};
use crate::cloudevents::layout::Layout;
use crate::cloudevents::table::{Row, Table};

const PAGE: usize = 65_536;

/// A static for a module without threads: there is one caller at a time, so the cells are sound.
pub(super) struct Shared<T>(pub(super) T);
// SAFETY: the module is built without atomics, so there is no second thread.
unsafe impl<T> Sync for Shared<T> {}

static START: Shared<Cell<usize>> = Shared(Cell::new(0));
static CAPACITY: Shared<Cell<usize>> = Shared(Cell::new(0));
static LAYOUT: Shared<core::cell::UnsafeCell<Layout>> = Shared(core::cell::UnsafeCell::new(Layout::new()));
static TABLE: Shared<core::cell::UnsafeCell<Table>> = Shared(core::cell::UnsafeCell::new(Table::new()));

/// The parts of the arena during one call.
#[cfg_attr(
    not(any(feature = "codecs", feature = "filters")),
    expect(dead_code, reason = "only the scanners use all parts")
)]
pub(super) struct Parts {
    pub(super) text: Padded<'static>,
    pub(super) rows: &'static mut [Row],
    pub(super) context: ScanContext<'static>,
}

const fn total(capacity: usize) -> usize {
    capacity + PADDING + capacity + PADDING + capacity + capacity / 4 + PADDING
}

/// Makes sure that `len` bytes of input fit. Returns the address of the input, or 0 if there is not enough
/// memory.
#[wasm_bindgen]
pub fn reserve(len: usize) -> usize {
    if len <= CAPACITY.0.get() && START.0.get() != 0 {
        return START.0.get();
    }
    let capacity = len.max(CAPACITY.0.get() * 2).max(PAGE / 4).next_multiple_of(64);
    let end = memory_size(0) * PAGE;
    let is_last =
        START.0.get() != 0 && (START.0.get() + total(CAPACITY.0.get())).next_multiple_of(PAGE) == end;
    let start = if is_last { START.0.get() } else { end };
    let pages = (start + total(capacity)).next_multiple_of(PAGE).saturating_sub(end) / PAGE;
    if memory_grow(0, pages) == usize::MAX {
        return 0;
    }
    START.0.set(start);
    CAPACITY.0.set(capacity);
    start
}

/// The address of the table of the last scan.
#[cfg(any(feature = "codecs", feature = "filters"))]
#[wasm_bindgen]
pub fn table() -> usize {
    TABLE.0.get() as usize
}

/// The address of the rows of the last batch.
#[cfg(any(feature = "codecs", feature = "filters"))]
#[wasm_bindgen]
pub fn rows() -> usize {
    rows_address()
}

/// The address of the scratch space, where decoded text and positions are left.
#[wasm_bindgen]
pub fn scratch() -> usize {
    START.0.get() + CAPACITY.0.get() + PADDING
}

/// The address of the rows.
fn rows_address() -> usize {
    scratch() + CAPACITY.0.get() + PADDING
}

/// The parts of the arena, with `len` bytes of input and their padding.
pub(super) fn parts(len: usize) -> Parts {
    let capacity = CAPACITY.0.get();
    let len = len.min(capacity);
    // SAFETY: `reserve` has allocated these bytes permanently, and no other code uses them. The parts do not
    // overlap. They live until the export that uses them returns, and exports do not nest, because no export
    // calls JavaScript while it holds them. All addresses are multiples of 8. `js/engine/text-module.ts` calls
    // `reserve` before any other export of an instance.
    unsafe {
        let start = START.0.get() as *mut u8;
        let (padding, zeros) = (start.add(len).cast::<v128>(), i64x2_splat(zero() as i64));
        // Not as an array: it would be made on the stack and copied by `memory.copy`, see `zero`.
        for block in 0..PADDING / 16 {
            v128_store(padding.add(block), zeros);
        }
        let text = core::slice::from_raw_parts(start, len + PADDING);
        Parts {
            // The padding was written above.
            text: Padded::new_unchecked(text),
            rows: core::slice::from_raw_parts_mut(rows_address() as *mut Row, max_rows(capacity)),
            context: ScanContext {
                scratch: core::slice::from_raw_parts_mut(scratch() as *mut u8, capacity + PADDING),
                table: &mut *TABLE.0.get(),
                layout: &mut *LAYOUT.0.get(),
            },
        }
    }
}
