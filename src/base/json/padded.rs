//! Text followed by zeros, so that the scanner can read without checking for the end.

#![expect(
    unsafe_code,
    reason = "two unchecked reads are worth a third of the scanner's speed; the type carries their proof"
)]

/// The number of zero bytes after the text.
pub const PADDING: usize = 64;

/// A borrowed text with its padding.
///
/// Why the unchecked reads of the scanner are sound: it moves forward only over bytes that it has read as
/// non-zero (one at a time, or sixteen of them), and [`PADDING`] zeros follow the text. So its position never
/// passes the first zero, and a read of up to sixteen bytes there ends within the padding. What reads [`PADDING`] bytes
/// at once compares its position with the length of the text.
#[derive(Clone, Copy, Debug)]
pub struct Padded<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Padded<'a> {
    /// Wraps a text that [`PADDING`] zeros follow. `None` if they do not.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let len = bytes.len().checked_sub(PADDING)?;
        let is_padded = bytes.get(len..)?.iter().all(|byte| *byte == 0);
        is_padded.then_some(Self { bytes, len })
    }

    /// The same without a check.
    ///
    /// # Safety
    ///
    /// `bytes` has at least [`PADDING`] bytes, and the last [`PADDING`] of them are zeros.
    pub const unsafe fn new_unchecked(bytes: &'a [u8]) -> Self {
        Self { bytes, len: bytes.len() - PADDING }
    }

    /// The length of the text in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the text is empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes of a range, which may reach into the padding. Empty if the range is out of bounds.
    pub fn get(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// The byte at a position that the scanner has reached.
    #[inline(always)]
    pub(crate) fn byte_at(&self, pos: usize) -> u8 {
        debug_assert!(pos < self.bytes.len());
        // SAFETY: see the documentation of the type.
        unsafe { *self.bytes.get_unchecked(pos) }
    }

    /// The sixteen bytes from a position that the scanner has reached.
    #[inline(always)]
    pub(crate) fn block_at(&self, pos: usize) -> &'a [u8; 16] {
        debug_assert!(pos + 16 <= self.bytes.len());
        // SAFETY: see the documentation of the type.
        unsafe { &*self.bytes.as_ptr().add(pos).cast::<[u8; 16]>() }
    }

    /// The [`PADDING`] bytes from a position in the text, or from its end.
    #[inline(always)]
    pub(crate) fn wide_block_at(&self, pos: usize) -> Option<&'a [u8; PADDING]> {
        if pos > self.len {
            return None;
        }
        // SAFETY: the text has this position, and `PADDING` bytes follow it.
        Some(unsafe { &*self.bytes.as_ptr().add(pos).cast::<[u8; PADDING]>() })
    }
}

/// An owned text with its padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaddedBuf(Vec<u8>);

impl PaddedBuf {
    /// Appends the padding to `text`.
    pub fn new(mut text: Vec<u8>) -> Self {
        text.resize(text.len() + PADDING, 0);
        Self(text)
    }

    /// The text with its padding, for a scanner.
    pub fn as_padded(&self) -> Padded<'_> {
        Padded { bytes: &self.0, len: self.text_len() }
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        self.0.get(..self.text_len()).unwrap_or_default()
    }

    /// The text without the padding.
    pub fn into_text(mut self) -> Vec<u8> {
        self.0.truncate(self.text_len());
        self.0
    }

    const fn text_len(&self) -> usize {
        self.0.len() - PADDING
    }
}

/// Zeros in place of a text of `len` bytes. There is capacity for the padding, so that [`PaddedBuf::new`] does not
/// move them.
pub fn zeroed(len: usize) -> Vec<u8> {
    let mut text = vec![0; len + PADDING];
    text.truncate(len);
    text
}

/// A zero that the compiler does not recognize. Clearing a few integers with a constant zero compiles to the
/// instruction `memory.fill`, which is a call out of wasm in every engine: 20 to 40 ns instead of 2 ns.
#[inline(always)]
pub fn zero() -> u64 {
    core::hint::black_box(0)
}

/// A copy of `text` with its padding.
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
    fn accepts_only_text_followed_by_zeros() {
        assert_eq!(Padded::new(&pad(b"text")).map(|text| text.len()), Some(4));
        assert!(Padded::new(b"text").is_none());
        let mut bytes = pad(b"text");
        if let Some(last) = bytes.last_mut() {
            *last = 1;
        }
        assert!(Padded::new(&bytes).is_none());
    }

    #[test]
    fn an_owned_text_gets_its_padding() {
        let owned = PaddedBuf::new(b"text".to_vec());
        assert_eq!((owned.as_padded().len(), owned.text()), (4, &b"text"[..]));
        assert_eq!(owned.as_padded().get(0, 4 + PADDING), pad(b"text"));
        assert_eq!(owned.into_text(), b"text");
    }

    #[test]
    fn a_zeroed_text_is_not_moved_by_its_padding() {
        let text = zeroed(100_000);
        let address = text.as_ptr();
        let owned = PaddedBuf::new(text);
        assert_eq!((owned.text().as_ptr(), owned.text().len()), (address, 100_000));
    }
}
