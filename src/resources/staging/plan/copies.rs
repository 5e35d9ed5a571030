//! What is to be copied, and which copies are one.

use super::{COPY_ALIGNMENT, Plan, Reserved};

/// Where bytes go: a buffer by the caller's number for it, and the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// The caller's number.
    pub buffer: u64,
    /// From which byte of it.
    pub offset: u64,
}

/// A copy from the ring into a buffer. Its two offsets are as far beyond a multiple of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferCopy {
    /// From there.
    pub from: Reserved,
    /// To there.
    pub to: Destination,
}

/// A copy in the words of a GPU, which copies words of four bytes: what lies before the first whole word, the whole words, and what lies
/// behind the last. Each is a number of bytes; all may be 0, and the first and the last are below 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edges {
    /// Bytes before the first whole word.
    pub head: u64,
    /// Bytes of whole words.
    pub body: u64,
    /// Bytes behind the last.
    pub tail: u64,
}

impl BufferCopy {
    /// Its parts.
    #[must_use]
    pub fn edges(&self) -> Edges {
        let (offset, bytes) = (self.to.offset, self.from.bytes);
        let head = (offset.wrapping_neg() & (COPY_ALIGNMENT - 1)).min(bytes);
        let tail = (bytes - head) & (COPY_ALIGNMENT - 1);
        Edges { head, body: bytes - head - tail, tail }
    }
}

/// A copy to record, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Copy {
    /// Into a buffer.
    Buffer(BufferCopy),
    /// Into something else: the caller's number for what it is to record.
    Other(u64),
}

impl Copy {
    /// The words of which it writes only some bytes.
    pub(super) fn edges(&self) -> u64 {
        match self {
            Self::Buffer(copy) => {
                let Edges { head, tail, .. } = copy.edges();
                u64::from(head > 0) + u64::from(tail > 0)
            }
            Self::Other(_) => 0,
        }
    }
}

impl Plan {
    /// What was reserved goes there. Where it continues the copy before it on both sides, the two are one.
    #[inline]
    pub fn copy(&mut self, from: Reserved, to: Destination) {
        self.wrote(from.bytes);
        self.add(from, to);
    }

    /// Behind the last copy, in the buffer and at the destination, so many writes of so many bytes in all were made without asking. There was room:
    /// nothing was reserved since. False where the last copy is not from that buffer, or does not end with what is filled.
    pub fn went_on(&mut self, buffer: u32, bytes: u64, writes: u64) -> bool {
        let Some(Copy::Buffer(last)) = self.copies.last_mut() else { return false };
        let end = last.from.offset + last.from.bytes;
        if last.from.buffer != buffer
            || !self.buffers.get_mut(buffer as usize).is_some_and(|one| one.grow_from(end, bytes))
        {
            return false;
        }
        last.from.bytes += bytes;
        self.stats.written_bytes += bytes;
        self.stats.writes += writes;
        self.stats.merged += writes;
        true
    }

    /// The same up to the end of the word that the last byte is in. What lies behind it must be nobody's, here and there.
    pub fn copy_words(&mut self, from: Reserved, to: Destination) {
        self.wrote(from.bytes);
        self.add(Reserved { bytes: from.bytes.next_multiple_of(COPY_ALIGNMENT), ..from }, to);
    }

    /// So many bytes go elsewhere, by a copy that the caller knows under that number.
    pub fn copy_other(&mut self, written_bytes: u64, number: u64) {
        self.wrote(written_bytes);
        self.copies.push(Copy::Other(number));
    }

    /// So many bytes are used where they lie: there is nothing to copy.
    pub fn in_place(&mut self, written_bytes: u64) {
        self.wrote(written_bytes);
        self.stats.in_place_bytes += written_bytes;
    }

    #[inline]
    fn wrote(&mut self, bytes: u64) {
        self.stats.written_bytes += bytes;
        self.stats.writes += 1;
    }

    #[inline]
    fn add(&mut self, from: Reserved, to: Destination) {
        if let Some(Copy::Buffer(last)) = self.copies.last_mut() {
            let follows = last.from.buffer == from.buffer
                && last.from.offset + last.from.bytes == from.offset
                && last.to.buffer == to.buffer
                && last.to.offset.checked_add(last.from.bytes) == Some(to.offset);
            if follows {
                last.from.bytes += from.bytes;
                self.stats.merged += 1;
                return;
            }
        }
        self.copies.push(Copy::Buffer(BufferCopy { from, to }));
    }
}
