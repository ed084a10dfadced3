//! A fast path for an event that has the same layout as the last one.
//!
//! The events of one producer have the same members in the same order, and most values repeat: the source, the media
//! type, the version. So the head of the last scanned event, which is all before its data, is kept and compared with
//! the next event. All bytes between two values must be equal. A value that is equal needs no second check, any other
//! value is checked. If a comparison fails, the event is scanned without the fast path, and its layout replaces the
//! last one.
//!
//! ```text
//!   {"specversion":"1.0","id":"17","source":"/orders","type":"made","data":{…}}
//!   ~~~~~~~~~~~~~~~~   ~~~~~~~~  ~~~~~~~~~~~~       ~~~~~~~~~~    ~~~~~~~~~   ~   between values: compared
//!                   ===                     =======           ====               values: compared, or checked
//!                               ==                                               value: checked
//!                                                                          ===   data: scanned
//! ```

use super::attribute::Format;
use super::member::{MEMBER_COUNT, Member, format_of};
use super::table::{Extension, Table, UNPACKED, pack};
use crate::base::json::block::Block;
use crate::base::json::padded::{PADDING, Padded, zero};
#[cfg(feature = "filters")]
use crate::base::json::scan::repeated::Separators;
use crate::base::json::scan::{Kind, Scanner, plain_end};

/// The longest head that is kept, in bytes. An event with a longer one does not use the fast path.
const MAX_HEAD: usize = 1024;
/// The most members of a layout.
const MAX_SLOTS: usize = 20;

/// The number of an extension attribute in [`Slot::member`], after those of [`Member`].
const EXTENSION: u8 = MEMBER_COUNT as u8;

/// One member, by its bytes in the head. Ends are exclusive, and the value is without its quotes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// [`Member`] or [`EXTENSION`].
    member: u8,
    /// The start of the name.
    name: u16,
    /// The end of the name.
    name_end: u16,
    /// The start of the value.
    start: u16,
    /// The end of the value.
    end: u16,
    /// The checksum of the name of an extension attribute.
    checksum: u32,
}

const EMPTY_SLOT: Slot = Slot { member: 0, name: 0, name_end: 0, start: 0, end: 0, checksum: 0 };

/// The layout of the last event.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The event up to its data, or all of it, followed by zeros.
    head: [u8; MAX_HEAD + PADDING],
    head_len: usize,
    slots: [Slot; MAX_SLOTS],
    /// The number of slots in use. 0 means that there is no layout.
    slot_count: usize,
    version: u32,
    present: u32,
    extension_count: u32,
    /// Whether `data` follows the head.
    has_data: bool,
    /// Whether `data` may be any JSON value; if not, it must be a string.
    is_json: bool,
    /// The text after the data.
    tail: [u8; 16],
    tail_len: usize,
    /// What stood between the values of the data of earlier events. The other modules have no use for it.
    #[cfg(feature = "filters")]
    separators: Separators,
}

impl Layout {
    /// No layout.
    pub const fn new() -> Self {
        Self {
            head: [0; MAX_HEAD + PADDING],
            head_len: 0,
            slots: [EMPTY_SLOT; MAX_SLOTS],
            slot_count: 0,
            version: 0,
            present: 0,
            extension_count: 0,
            has_data: false,
            is_json: false,
            tail: [0; 16],
            tail_len: 0,
            #[cfg(feature = "filters")]
            separators: Separators::new(),
        }
    }

    /// Scans the event at the position of the scanner if it has the layout of the last one. If it returns false, the
    /// scanner has not moved and the content of the table is undefined.
    #[inline(always)]
    pub(super) fn scan_same<B: Block>(&mut self, scanner: &mut Scanner<'_, B>, table: &mut Table) -> bool {
        let Some(slots) = self.slots.get(..self.slot_count) else { return false };
        if slots.is_empty() {
            return false;
        }
        // The position is a local variable, so that it stays in a register. All before the data is ASCII: the difference
        // between bytes and units stays as it is.
        let (text, mut pos) = (scanner.text(), scanner.pos());
        let unit_of = |pos: usize| scanner.units().wrapping_add(pos - scanner.pos()) as u32;
        table.row.packed = [zero() as u32; MEMBER_COUNT];
        let (mut at, mut extensions) = (0, 0);
        // The number of bytes, from `at`, that are known to equal the head.
        let mut equal = self.equal_bytes::<B>(text, pos, at);
        for slot in slots {
            let (start, end) = (slot.start as usize, slot.end as usize);
            if at + equal < start {
                return false;
            }
            let first = unit_of(pos + start - at);
            // The closing quote is compared as well.
            let value_end = if at + equal > end {
                first + (end - start) as u32
            } else {
                let value = pos + start - at;
                pos = plain_end::<B>(text, value);
                if text.byte_at(pos) != b'"' || !slot.accepts(text.get(value, pos)) {
                    return false;
                }
                at = end;
                equal = self.equal_bytes::<B>(text, pos, at);
                unit_of(pos)
            };
            if slot.member == EXTENSION {
                if let Some(extension) = table.extensions.get_mut(extensions) {
                    let name = first - (slot.start - slot.name) as u32;
                    let name_end = name + (slot.name_end - slot.name) as u32;
                    *extension = Extension {
                        name_start: name,
                        name_end,
                        start: first,
                        end: value_end,
                        flags: 0,
                        checksum: slot.checksum,
                    };
                }
                extensions += 1;
            } else if slot.member == Member::Specversion as u8 {
                // Its number has another use in a row, and its value is the same as before.
            } else if let Some(packed) = table.row.packed.get_mut(slot.member as usize) {
                *packed = pack(first, value_end);
                if *packed == UNPACKED {
                    return false;
                }
            }
        }
        if at + equal < self.head_len {
            return false;
        }
        let mut ahead = *scanner;
        ahead.advance(pos + self.head_len - at - scanner.pos());
        if self.has_data && !self.scan_data(&mut ahead, table) {
            return false;
        }
        table.row.present = self.present;
        table.row.escaped = 0;
        table.row.version = self.version;
        table.row.extension_count = self.extension_count;
        *scanner = ahead;
        true
    }

    /// The number of bytes at a position that equal the head from `at`. No byte of the head is zero, so the comparison
    /// stops at the end of the text.
    #[inline(always)]
    fn equal_bytes<B: Block>(&self, text: Padded<'_>, pos: usize, at: usize) -> usize {
        let max = self.head_len - at;
        let mut equal = 0;
        while let Some(head) = self.head.get(at + equal..).and_then(|rest| rest.first_chunk()) {
            let different = !B::equal_bytes(text.block_at(pos + equal), head) & 0xffff;
            equal += if different == 0 { 16 } else { different.trailing_zeros() as usize };
            if different != 0 || equal >= max {
                break;
            }
        }
        equal.min(max)
    }

    #[inline(always)]
    fn scan_data<B: Block>(&mut self, ahead: &mut Scanner<'_, B>, table: &mut Table) -> bool {
        let start = ahead.units();
        if !self.skip_repeated(ahead) {
            let Ok((kind, _)) = ahead.value() else { return false };
            if !self.is_json && kind != Kind::String {
                return false;
            }
        }
        let end = ahead.units();
        let different = !B::equal_bytes(ahead.peek_block(), &self.tail);
        if different & ((1 << self.tail_len) - 1) != 0 {
            return false;
        }
        ahead.advance(self.tail_len);
        table.row.set_payload(start as u32, end as u32);
        true
    }

    /// Moves over data that resemble those of earlier events. If it returns false, the scanner has not moved.
    #[inline(always)]
    #[cfg(feature = "filters")]
    fn skip_repeated<B: Block>(&mut self, ahead: &mut Scanner<'_, B>) -> bool {
        // The scanner skips trusted data faster.
        self.is_json
            && !ahead.is_trusted()
            && matches!(ahead.peek(), b'{' | b'[')
            && self.separators.skip(ahead)
    }

    #[inline(always)]
    #[cfg(not(feature = "filters"))]
    const fn skip_repeated<B: Block>(&mut self, _: &mut Scanner<'_, B>) -> bool {
        false
    }

    /// Stores the layout of an event that was scanned without the fast path, from `start` to the position of the
    /// scanner. If the event has escapes, characters outside ASCII, attributes other than strings, or attributes after
    /// its data, there is no layout afterwards.
    #[inline(never)]
    pub(super) fn learn<B: Block>(
        &mut self,
        scanner: &Scanner<'_, B>,
        start: usize,
        start_unit: usize,
        is_json: bool,
        table: &Table,
    ) {
        self.slot_count = 0;
        if self.try_learn(scanner, start, start_unit, is_json, table).is_none() {
            self.slot_count = 0;
        }
    }

    fn try_learn<B: Block>(
        &mut self,
        scanner: &Scanner<'_, B>,
        start: usize,
        start_unit: usize,
        is_json: bool,
        table: &Table,
    ) -> Option<()> {
        let relative = |unit: u32| u16::try_from((unit as usize).checked_sub(start_unit)?).ok();
        for (member, span) in table.spans.iter().enumerate() {
            if table.row.present & 1 << member == 0 || member == Member::Data as usize {
                continue;
            }
            if span.kind != Kind::String || !span.is_plain || span.name_has_escapes {
                return None;
            }
            let (name, name_end) = (relative(span.name_start)?, relative(span.name_end)?);
            let slot = Slot {
                member: member as u8,
                name,
                name_end,
                start: relative(span.start)?,
                end: relative(span.end)?,
                checksum: 0,
            };
            self.insert(slot)?;
        }
        for extension in table.extensions.get(..table.row.extension_count as usize)? {
            if extension.flags != 0 {
                return None;
            }
            let (name, name_end) = (relative(extension.name_start)?, relative(extension.name_end)?);
            let (start, end) = (relative(extension.start)?, relative(extension.end)?);
            self.insert(Slot {
                member: EXTENSION,
                name,
                name_end,
                start,
                end,
                checksum: extension.checksum,
            })?;
        }
        let data = table.span(Member::Data);
        let last = self.slots.get(self.slot_count.checked_sub(1)?)?.end as usize;
        let len = scanner.pos() - start;
        // The payload includes the quotes of a string, so the head ends before them.
        let (payload, payload_end) = table.row.payload();
        self.head_len = if data.is_some() { relative(payload)? as usize } else { len };
        if self.head_len > MAX_HEAD
            || last > self.head_len
            || table.has(Member::DataBase64)
            || table.has(Member::DataContentEncoding)
        {
            return None;
        }
        let head = scanner.text().get(start, start + self.head_len);
        // Positions in units are used as positions in bytes.
        if !head.is_ascii() {
            return None;
        }
        self.head = [0; MAX_HEAD + PADDING];
        copy(head, &mut self.head);
        self.tail = [0; 16];
        self.tail_len = 0;
        if let Some(span) = data {
            // The quotes are as long in bytes as in units.
            let quotes = (payload_end - payload) - (span.end - span.start);
            let payload_len = (span.end_byte - span.start_byte + quotes) as usize;
            let tail = scanner.text().get(start + self.head_len + payload_len, scanner.pos());
            copy(tail, &mut self.tail);
            self.tail_len = tail.len();
            if tail.len() >= self.tail.len() {
                return None;
            }
        }
        self.version = table.row.version;
        self.present = table.row.present;
        self.extension_count = table.row.extension_count;
        self.has_data = data.is_some();
        self.is_json = is_json;
        Some(())
    }

    /// Adds a slot in the order of the text.
    fn insert(&mut self, slot: Slot) -> Option<()> {
        let mut free = self.slot_count;
        self.slot_count += 1;
        self.slots.get(free)?;
        // Slots are inserted in the order of the table, which is nearly the order of most texts.
        while let Some(before) =
            free.checked_sub(1).and_then(|at| self.slots.get(at)).filter(|before| before.start > slot.start)
        {
            let before = *before;
            *self.slots.get_mut(free)? = before;
            free -= 1;
        }
        *self.slots.get_mut(free)? = slot;
        Some(())
    }
}

/// Copies as many bytes as fit. `copy_from_slice` would add code for panics to the module.
fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

impl Slot {
    /// Whether the member can have this value, which is printable ASCII and not that of the last event.
    #[inline(always)]
    fn accepts(&self, value: &[u8]) -> bool {
        // The layout depends on the version and on the media type, so these must not change.
        const FIXED: [u8; 2] = [Member::Specversion as u8, Member::DataContentType as u8];
        if value.is_empty() || FIXED.contains(&self.member) {
            return false;
        }
        match format_of(self.member) {
            Format::Text => true,
            format => format.matches(value),
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}
