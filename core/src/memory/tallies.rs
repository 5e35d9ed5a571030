//! The arithmetic of what is counted beside the totals, where an allocator is told to: blocks by tag and by size.
//!
//! Pure of statics and thread-locals, as `counters.rs` is, and for the same reason: the loom models compile this very file. One set of
//! tallies belongs to each shard and is written by the thread that has claimed the shard; the shared shard's by many, with locked
//! additions.

use super::atomic::{AtomicU64, Ordering};

/// What one thread at a time has counted by tag and by size, on cache line pairs of its own.
#[repr(align(128))]
pub(super) struct Tallies<const TAGS: usize, const SIZES: usize> {
    pub(super) tags: [TagTally; TAGS],
    pub(super) sizes: [SizeTally; SIZES],
}

/// Blocks of one tag.
#[derive(Default)]
pub(super) struct TagTally {
    pub(super) allocations: AtomicU64,
    pub(super) allocated_bytes: AtomicU64,
    pub(super) deallocations: AtomicU64,
    pub(super) deallocated_bytes: AtomicU64,
}

/// Blocks of one size.
#[derive(Default)]
pub(super) struct SizeTally {
    pub(super) given: AtomicU64,
    pub(super) taken: AtomicU64,
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// The one thread that has claimed the shard.
    Alone,
    /// Any thread.
    AmongOthers,
}

impl Writer {
    #[inline(always)]
    fn add(self, counter: &AtomicU64, value: u64, order: Ordering) {
        match self {
            Self::Alone => counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), order),
            Self::AmongOthers => {
                counter.fetch_add(value, order);
            }
        }
    }
}

/// What frees is counted with Release and read first, with Acquire: who sees a freeing then sees the allocation before it, so that no
/// reader finds more freed than allocated.
impl TagTally {
    #[inline(always)]
    pub(super) fn allocated(&self, writer: Writer, size: usize) {
        writer.add(&self.allocations, 1, Ordering::Relaxed);
        writer.add(&self.allocated_bytes, size as u64, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn deallocated(&self, writer: Writer, size: usize) {
        writer.add(&self.deallocations, 1, Ordering::Release);
        writer.add(&self.deallocated_bytes, size as u64, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn reallocated(&self, writer: Writer, old: usize, new: usize) {
        writer.add(&self.allocated_bytes, new as u64, Ordering::Relaxed);
        writer.add(&self.deallocated_bytes, old as u64, Ordering::Release);
    }

    /// Deallocations and their bytes; to be read from all shards before [`gained`](Self::gained) from any.
    pub(super) fn lost(&self) -> (u64, u64) {
        (self.deallocations.load(Ordering::Acquire), self.deallocated_bytes.load(Ordering::Acquire))
    }

    /// Allocations and their bytes.
    pub(super) fn gained(&self) -> (u64, u64) {
        (self.allocations.load(Ordering::Relaxed), self.allocated_bytes.load(Ordering::Relaxed))
    }
}

impl SizeTally {
    #[inline(always)]
    pub(super) fn give(&self, writer: Writer) {
        writer.add(&self.given, 1, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn take(&self, writer: Writer) {
        writer.add(&self.taken, 1, Ordering::Release);
    }
}
