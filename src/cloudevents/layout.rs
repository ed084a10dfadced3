//! Guessing that the next event looks like the last one.
//!
//! The events of one producer have the same members in the same order, and most values repeat: the source, the
//! media type, the version. So the head of the last event that was scanned is kept, and the next is compared
//! with it: what stands between two values must be the same, byte for byte, and a value that is the same needs
//! no second check. Where the guess fails, the scan starts over without it, and what it finds is learnt.
//!
//! ```text
//!   {"specversion":"1.0","id":"17","source":"/orders","type":"made","data":{…}}
//!   ~~~~~~~~~~~~~~~~   ~~~~~~~~  ~~~~~~~~~~~~       ~~~~~~~~~~    ~~~~~~~~~   ~   between: compared
//!                   ===                     =======           ====               value: compared, or checked
//!                               ==                                                value: checked
//!                                                                          ===   data: scanned
//! ```

use super::attribute::Form;
use super::event::{Extension, MEMBERS, Member, Table, WIDE, form_of, pack};
use crate::base::json::block::Block;
use crate::base::json::padded::{PADDING, zero};
use crate::base::json::scan::{Kind, Scanner};

/// How much of an event is kept. Longer heads are not guessed.
const HEAD: usize = 1024;
/// How many members a layout has at the most.
const SLOTS: usize = 20;

/// What a slot holds, in numbers from [`Member`]; extensions come behind them.
const EXTENSION: u8 = MEMBERS as u8;

/// One member, by its place in the head.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// [`Member`] or [`EXTENSION`].
    what: u8,
    /// First byte of the name.
    name: u16,
    /// Behind the name.
    name_end: u16,
    /// First byte of the value; behind its quote.
    start: u16,
    /// Behind the last byte of the value; 0 for `data`.
    end: u16,
    /// Of the name of an extension.
    checksum: u32,
}

const NO_SLOT: Slot = Slot { what: 0, name: 0, name_end: 0, start: 0, end: 0, checksum: 0 };

/// What was learnt from the last event.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The event up to its data, or all of it, with zeros behind.
    head: [u8; HEAD + PADDING],
    head_len: usize,
    slots: [Slot; SLOTS],
    count: usize,
    version: u32,
    present: u32,
    extensions: u32,
    /// Whether there is `data` behind the head.
    data: bool,
    /// Whether `data` may be any JSON value.
    json: bool,
    /// What stands behind the data.
    tail: [u8; 16],
    tail_len: usize,
}

impl Layout {
    /// Nothing learnt yet.
    pub const fn new() -> Self {
        Self {
            head: [0; HEAD + PADDING],
            head_len: 0,
            slots: [NO_SLOT; SLOTS],
            count: 0,
            version: 0,
            present: 0,
            extensions: 0,
            data: false,
            json: false,
            tail: [0; 16],
            tail_len: 0,
        }
    }

    /// Scans the event that starts here if it looks like the last one. If not, nothing has happened but that the
    /// table may have changed.
    #[inline(always)]
    pub fn guess<B: Block>(&self, scanner: &mut Scanner<'_, B>, table: &mut Table) -> bool {
        let Some(slots) = self.slots.get(..self.count) else { return false };
        if slots.is_empty() {
            return false;
        }
        let mut ahead = *scanner;
        table.row.packed = [zero() as u32; MEMBERS];
        let (mut at, mut extensions) = (0, 0);
        // How far the head is known to be here, from `at`.
        let mut same = self.equal_bytes(&ahead, at);
        for slot in slots {
            let (start, end) = (slot.start as usize, slot.end as usize);
            if at + same < start {
                return false;
            }
            let first = (ahead.units() + start - at) as u32;
            // The closing quote belongs to the comparison.
            let behind = if at + same > end {
                first + (end - start) as u32
            } else {
                ahead.advance(start - at);
                let value = ahead.pos();
                if !ahead.skip_plain_text() || !slot.takes(ahead.text().get(value, ahead.pos())) {
                    return false;
                }
                at = end;
                same = self.equal_bytes(&ahead, at);
                ahead.units() as u32
            };
            if slot.what == EXTENSION {
                if let Some(extension) = table.extensions.get_mut(extensions) {
                    let name = first - (slot.start - slot.name) as u32;
                    let name_end = name + (slot.name_end - slot.name) as u32;
                    *extension = Extension {
                        name_start: name,
                        name_end,
                        start: first,
                        end: behind,
                        flags: 0,
                        checksum: slot.checksum,
                    };
                }
                extensions += 1;
            } else if slot.what == Member::Specversion as u8 {
                // Its number means something else in a row, and it is the same as before.
            } else if let Some(packed) = table.row.packed.get_mut(slot.what as usize) {
                *packed = pack(first, behind);
                if *packed == WIDE {
                    return false;
                }
            }
        }
        if at + same < self.head_len {
            return false;
        }
        ahead.advance(self.head_len - at);
        if self.data && !self.scan_data(&mut ahead, table) {
            return false;
        }
        table.row.present = self.present;
        table.row.escaped = 0;
        table.row.version = self.version;
        table.row.extension_count = self.extensions;
        *scanner = ahead;
        true
    }

    /// How many bytes from here are those of the head from `at`. No byte of the head is zero, so the comparison
    /// never passes the end of the text.
    #[inline(always)]
    fn equal_bytes<B: Block>(&self, ahead: &Scanner<'_, B>, at: usize) -> usize {
        let (mut ahead, most) = (*ahead, self.head_len - at);
        let mut same = 0;
        while let Some(head) = self.head.get(at + same..).and_then(|rest| rest.first_chunk()) {
            let different = !B::equal_bytes(ahead.peek_block(), head) & 0xffff;
            same += if different == 0 { 16 } else { different.trailing_zeros() as usize };
            if different != 0 || same >= most {
                break;
            }
            ahead.advance(16);
        }
        same.min(most)
    }

    #[inline(always)]
    fn scan_data<B: Block>(&self, ahead: &mut Scanner<'_, B>, table: &mut Table) -> bool {
        let start = ahead.units();
        let Ok((kind, _)) = ahead.value() else { return false };
        let behind = ahead.units();
        if !self.json && kind != Kind::String {
            return false;
        }
        let different = !B::equal_bytes(ahead.peek_block(), &self.tail);
        if different & ((1 << self.tail_len) - 1) != 0 {
            return false;
        }
        ahead.advance(self.tail_len);
        table.row.set_payload(start as u32, behind as u32);
        true
    }

    /// Remembers an event that was scanned without a guess and stands from `start` to the scanner's position.
    /// Forgets what was known if this one is too odd: escapes, characters outside ASCII, values other than
    /// strings, or something behind the data.
    #[inline(never)]
    pub fn learn<B: Block>(
        &mut self,
        scanner: &Scanner<'_, B>,
        start: usize,
        start_unit: usize,
        json: bool,
        table: &Table,
    ) {
        self.count = 0;
        if self.try_learn(scanner, start, start_unit, json, table).is_none() {
            self.count = 0;
        }
    }

    fn try_learn<B: Block>(
        &mut self,
        scanner: &Scanner<'_, B>,
        start: usize,
        start_unit: usize,
        json: bool,
        table: &Table,
    ) -> Option<()> {
        let relative = |unit: u32| u16::try_from((unit as usize).checked_sub(start_unit)?).ok();
        for (member, place) in table.places.iter().enumerate() {
            if table.row.present & 1 << member == 0 || member == Member::Data as usize {
                continue;
            }
            if place.kind != Kind::String || !place.plain || place.name_escaped {
                return None;
            }
            let (name, name_end) = (relative(place.name_start)?, relative(place.name_end)?);
            let slot = Slot {
                what: member as u8,
                name,
                name_end,
                start: relative(place.start)?,
                end: relative(place.end)?,
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
            self.insert(Slot { what: EXTENSION, name, name_end, start, end, checksum: extension.checksum })?;
        }
        let data = table.place(Member::Data);
        let last = self.slots.get(self.count.checked_sub(1)?)?.end as usize;
        let len = scanner.pos() - start;
        // The payload with its quotes, if it is a string: what stands between them is never part of the guess.
        let (payload, payload_end) = table.row.payload();
        self.head_len = if data.is_some() { relative(payload)? as usize } else { len };
        if self.head_len > HEAD
            || last > self.head_len
            || table.has(Member::DataBase64)
            || table.has(Member::DataContentEncoding)
        {
            return None;
        }
        let head = scanner.text().get(start, start + self.head_len);
        // Everything in the head is ASCII, so its bytes are its units.
        if !head.is_ascii() {
            return None;
        }
        self.head = [0; HEAD + PADDING];
        copy(head, &mut self.head);
        self.tail = [0; 16];
        self.tail_len = 0;
        if let Some(place) = data {
            // In bytes it is as much longer than its place as in units.
            let quotes = (payload_end - payload) - (place.end - place.start);
            let payload_len = (place.end_byte - place.start_byte + quotes) as usize;
            let tail = scanner.text().get(start + self.head_len + payload_len, scanner.pos());
            copy(tail, &mut self.tail);
            self.tail_len = tail.len();
            if tail.len() >= self.tail.len() {
                return None;
            }
        }
        self.version = table.row.version;
        self.present = table.row.present;
        self.extensions = table.row.extension_count;
        self.data = data.is_some();
        self.json = json;
        Some(())
    }

    /// Adds a slot in the order of the text.
    fn insert(&mut self, slot: Slot) -> Option<()> {
        let mut free = self.count;
        self.count += 1;
        self.slots.get(free)?;
        // Members come in the order of the table, which is nearly that of most texts.
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

/// Copies what fits. `copy_from_slice` would bring the whole machinery of panics into the module.
fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

impl Slot {
    /// Whether a value other than the last one fits; it is printable ASCII.
    #[inline(always)]
    fn takes(&self, value: &[u8]) -> bool {
        // What depends on the version and on the media type was settled for the last event.
        const FIXED: [u8; 2] = [Member::Specversion as u8, Member::DataContentType as u8];
        if value.is_empty() || FIXED.contains(&self.what) {
            return false;
        }
        match form_of(self.what) {
            Form::Text => true,
            form => form.fits(value),
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self::new()
    }
}
