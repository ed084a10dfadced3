//! Text with zeros behind it, which is what lets the scanner read without asking for the end.

#![expect(
    unsafe_code,
    reason = "two unchecked reads are worth a third of the scanner's speed; the type carries their proof"
)]

/// How many zero bytes stand behind the text.
pub const PADDING: usize = 64;

/// A text and its padding.
///
/// The proof for the unchecked reads, which the scanner relies on: it only moves forward over bytes that it
/// has seen to be other than zero (one at a time, or sixteen with no zero among them), and [`PADDING`] zeros
/// stand behind the text. So its position never passes the first zero, and a read of up to sixteen bytes there
/// ends within the padding.
#[derive(Clone, Copy, Debug)]
pub struct Padded<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Padded<'a> {
    /// `bytes` are the text and [`PADDING`] zeros behind it; `None` if they are not.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let len = bytes.len().checked_sub(PADDING)?;
        let is_padded = bytes.get(len..)?.iter().all(|byte| *byte == 0);
        is_padded.then_some(Self { bytes, len })
    }

    /// The text of a document, which has its padding by construction.
    pub fn of(document: &'a super::find::Document) -> Self {
        let bytes = document.bytes();
        Self { bytes, len: bytes.len() - PADDING }
    }

    /// The same without looking at the padding.
    ///
    /// # Safety
    ///
    /// The last [`PADDING`] of the bytes are zeros; there are at least as many.
    pub const unsafe fn new_unchecked(bytes: &'a [u8]) -> Self {
        Self { bytes, len: bytes.len() - PADDING }
    }

    /// Where the padding starts.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no text.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Some bytes, which may be those of the padding.
    pub fn get(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The byte at a place that the scanner has reached.
    #[inline(always)]
    pub(super) fn at(&self, pos: usize) -> u8 {
        debug_assert!(pos < self.bytes.len());
        // SAFETY: see the type.
        unsafe { *self.bytes.get_unchecked(pos) }
    }

    /// The sixteen bytes from a place that the scanner has reached.
    #[inline(always)]
    pub(super) fn sixteen(&self, pos: usize) -> &'a [u8; 16] {
        debug_assert!(pos + 16 <= self.bytes.len());
        // SAFETY: see the type.
        unsafe { &*self.bytes.as_ptr().add(pos).cast::<[u8; 16]>() }
    }
}

/// A zero that the compiler does not know as one. Clearing a few words with a known zero becomes the instruction
/// `memory.fill`, and that is a call out of wasm in every engine: 20 to 40 ns for what a few stores do in two.
#[inline(always)]
pub fn zero() -> u64 {
    core::hint::black_box(0)
}

/// Copies text and puts zeros behind it, for callers that have no padded memory of their own.
pub fn pad(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + PADDING);
    bytes.extend_from_slice(text);
    bytes.resize(text.len() + PADDING, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_text_with_zeros_behind_it() {
        assert_eq!(Padded::new(&pad(b"text")).map(|text| text.len()), Some(4));
        assert!(Padded::new(b"text").is_none());
        let mut bytes = pad(b"text");
        if let Some(last) = bytes.last_mut() {
            *last = 1;
        }
        assert!(Padded::new(&bytes).is_none());
    }
}
