//! One reusable stretch of memory that JavaScript writes text into.
//!
//! ```text
//!   [ input | padding | scratch | rows ]
//!     cap     64        cap+64    5/4 cap+64
//! ```
//!
//! It is taken straight from the module's memory, because the small module has no allocator otherwise, and an
//! allocator costs 3 KB of download. It grows by doubling and never shrinks; physical memory is only used for
//! pages that were touched, so scratch and rows are free where no escapes and batches occur.

#![expect(unsafe_code, reason = "memory is shared with JavaScript by address")]

use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;

use crate::base::json::padded::{PADDING, Padded, zero};
use crate::cloudevents::json::{ScanContext, max_rows};
use crate::cloudevents::layout::Layout;
use crate::cloudevents::table::{Row, Table};

const PAGE: usize = 65_536;

/// wasm without threads: one caller at a time, which is what makes the cells sound.
struct Shared<T>(T);
// SAFETY: the module is built without atomics, so there is no second thread.
unsafe impl<T> Sync for Shared<T> {}

static START: Shared<Cell<usize>> = Shared(Cell::new(0));
static CAPACITY: Shared<Cell<usize>> = Shared(Cell::new(0));
static LAYOUT: Shared<core::cell::UnsafeCell<Layout>> = Shared(core::cell::UnsafeCell::new(Layout::new()));
static TABLE: Shared<core::cell::UnsafeCell<Table>> = Shared(core::cell::UnsafeCell::new(Table::new()));

/// The parts of the arena, for one call.
pub(super) struct Parts {
    pub(super) text: Padded<'static>,
    pub(super) rows: &'static mut [Row],
    pub(super) context: ScanContext<'static>,
}

const fn total(capacity: usize) -> usize {
    capacity + PADDING + capacity + PADDING + capacity + capacity / 4 + PADDING
}

/// Makes room for that many bytes of input and gives their address, 0 if there is no memory left.
pub(super) fn reserve(wanted: usize) -> usize {
    if wanted <= CAPACITY.0.get() && START.0.get() != 0 {
        return START.0.get();
    }
    let capacity = wanted.max(CAPACITY.0.get() * 2).max(PAGE / 4).next_multiple_of(64);
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

/// Where the table lies.
pub(super) fn table_address() -> usize {
    TABLE.0.get() as usize
}

/// Where the scratch space lies.
pub(super) fn scratch_address() -> usize {
    START.0.get() + CAPACITY.0.get() + PADDING
}

/// Where the rows lie.
pub(super) fn rows_address() -> usize {
    scratch_address() + CAPACITY.0.get() + PADDING
}

/// The arena with `len` bytes of input in it, padded.
pub(super) fn parts(len: usize) -> Parts {
    let capacity = CAPACITY.0.get();
    let len = len.min(capacity);
    // SAFETY: `reserve` has taken these bytes from the memory for good and nobody else knows of them. The
    // parts do not overlap; they live until the export that asked for them returns, and exports do not nest,
    // because no export calls out to JavaScript while it holds them. All addresses are multiples of 8.
    // `js/engine/instance.ts` makes room before it calls anything else of an instance.
    unsafe {
        let start = START.0.get() as *mut u8;
        let (padding, zero) = (start.add(len).cast::<[u64; PADDING / 8]>(), zero());
        padding.write_unaligned([zero; PADDING / 8]);
        let text = core::slice::from_raw_parts(start, len + PADDING);
        Parts {
            // The zeros were written a few lines above.
            text: Padded::new_unchecked(text),
            rows: core::slice::from_raw_parts_mut(rows_address() as *mut Row, max_rows(capacity)),
            context: ScanContext {
                scratch: core::slice::from_raw_parts_mut(scratch_address() as *mut u8, capacity + PADDING),
                table: &mut *TABLE.0.get(),
                layout: &mut *LAYOUT.0.get(),
            },
        }
    }
}
