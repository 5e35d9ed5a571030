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

/// A copy from the ring into a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferCopy {
    /// From there.
    pub from: Reserved,
    /// To there.
    pub to: Destination,
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

impl Plan {
    /// What was reserved goes there. Where it continues the copy before it on both sides, the two are one.
    #[inline]
    pub fn copy(&mut self, from: Reserved, to: Destination) {
        self.stats.written_bytes += from.bytes;
        self.stats.writes += 1;
        if let Some(Copy::Buffer(last)) = self.copies.last_mut() {
            let follows = last.from.buffer == from.buffer
                && last.from.offset + last.from.bytes == from.offset
                && last.to.buffer == to.buffer
                && last.to.offset.checked_add(last.from.bytes) == Some(to.offset);
            if follows && from.bytes.is_multiple_of(COPY_ALIGNMENT) {
                last.from.bytes += from.bytes;
                self.stats.merged += 1;
                return;
            }
        }
        self.copies.push(Copy::Buffer(BufferCopy { from, to }));
    }

    /// What was reserved goes elsewhere, by a copy that the caller knows under that number.
    pub fn copy_other(&mut self, from: Reserved, number: u64) {
        self.stats.written_bytes += from.bytes;
        self.stats.writes += 1;
        self.copies.push(Copy::Other(number));
    }
}
