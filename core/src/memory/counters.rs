//! The arithmetic of the heap totals: sharded counters and the peak.
//!
//! Pure of statics and thread-locals, and built from struct literals alone, so that the loom models compile this very file over loom's
//! atomics, with limits of their own: what comes from `super` is whatever the including module says.

use super::allocator::PeakMode;
use super::atomic::{AtomicI64, AtomicU64, Ordering};
use super::{FOLD_BYTES, LARGE_ALLOCATION_BYTES};

/// The counters of the threads that share an index. On a cache line pair of its own.
#[repr(align(128))]
pub(super) struct Shard {
    pub(super) small_allocations: AtomicU64,
    pub(super) small_bytes: AtomicU64,
    pub(super) large_allocations: AtomicU64,
    pub(super) large_bytes: AtomicU64,
    pub(super) deallocations: AtomicU64,
    pub(super) deallocated_bytes: AtomicU64,
    pub(super) reallocations: AtomicU64,
    pub(super) failures: AtomicU64,
    /// Net bytes that are not in the total yet.
    pub(super) unfolded: AtomicI64,
}

/// The live bytes of the process as one number, and the highest that it has been.
#[repr(align(128))]
pub(super) struct Total {
    /// Signed: one shard may hand in what was freed before another hands in what was allocated.
    pub(super) live: AtomicI64,
    pub(super) peak: AtomicI64,
}

/// All that is counted. `N` is a power of two.
pub(super) struct Counters<const N: usize> {
    pub(super) shards: [Shard; N],
    pub(super) total: Total,
}

/// Sums over all shards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) small_allocations: u64,
    pub(super) small_bytes: u64,
    pub(super) large_allocations: u64,
    pub(super) large_bytes: u64,
    pub(super) deallocations: u64,
    pub(super) deallocated_bytes: u64,
    pub(super) reallocations: u64,
    pub(super) failures: u64,
}

impl<const N: usize> Counters<N> {
    /// A block of `size` bytes was handed out.
    #[inline]
    pub(super) fn allocated(&self, shard: usize, size: usize, mode: PeakMode) {
        let shard = &self.shards[shard & (N - 1)];
        let (count, _) = shard.class_of(size);
        count.fetch_add(1, Ordering::Relaxed);
        self.add_bytes(shard, size, 0, mode);
    }

    /// A block of `size` bytes is about to go back.
    #[inline]
    pub(super) fn deallocated(&self, shard: usize, size: usize, mode: PeakMode) {
        let shard = &self.shards[shard & (N - 1)];
        // Release, here and for the bytes below: see `sums`.
        shard.deallocations.fetch_add(1, Ordering::Release);
        shard.deallocated_bytes.fetch_add(size as u64, Ordering::Release);
        self.change_live(shard, (size as i64).wrapping_neg(), mode);
    }

    /// A block of `old` bytes has become one of `new` bytes.
    #[inline]
    pub(super) fn reallocated(&self, shard: usize, old: usize, new: usize, mode: PeakMode) {
        let shard = &self.shards[shard & (N - 1)];
        shard.reallocations.fetch_add(1, Ordering::Relaxed);
        self.add_bytes(shard, new, old, mode);
    }

    /// The inner allocator refused.
    #[cold]
    pub(super) fn failed(&self, shard: usize) {
        self.shards[shard & (N - 1)].failures.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted up to now: exact when nothing is being counted; while threads count, no sum ever lies below an earlier one and
    /// no more is freed than was allocated.
    ///
    /// The freed are read before the allocated. A block is counted as allocated before its address is handed out, and its freeing, by
    /// whatever thread, is counted with Release after that; who reads the freeing with Acquire must then see the allocation.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for shard in &self.shards {
            sums.deallocations += shard.deallocations.load(Ordering::Acquire);
            sums.deallocated_bytes += shard.deallocated_bytes.load(Ordering::Acquire);
        }
        for shard in &self.shards {
            sums.small_allocations += shard.small_allocations.load(Ordering::Relaxed);
            sums.small_bytes += shard.small_bytes.load(Ordering::Relaxed);
            sums.large_allocations += shard.large_allocations.load(Ordering::Relaxed);
            sums.large_bytes += shard.large_bytes.load(Ordering::Relaxed);
            sums.reallocations += shard.reallocations.load(Ordering::Relaxed);
            sums.failures += shard.failures.load(Ordering::Relaxed);
        }
        sums
    }

    /// The highest that the total has been since the start or the last reset.
    pub(super) fn peak(&self) -> u64 {
        u64::try_from(self.total.peak.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Starts the peak anew from what is live now.
    pub(super) fn reset_peak(&self) {
        let unfolded =
            self.shards.iter().fold(0_i64, |sum, shard| sum.wrapping_add(shard.unfolded.swap(0, Ordering::Relaxed)));
        self.total.restart(unfolded);
    }

    /// Counts the bytes of an allocation, or of a reallocation from `freed` bytes.
    #[inline]
    fn add_bytes(&self, shard: &Shard, allocated: usize, freed: usize, mode: PeakMode) {
        let (_, bytes) = shard.class_of(allocated);
        bytes.fetch_add(allocated as u64, Ordering::Relaxed);
        if freed != 0 {
            shard.deallocated_bytes.fetch_add(freed as u64, Ordering::Release);
        }
        self.change_live(shard, (allocated as i64).wrapping_sub(freed as i64), mode);
    }

    #[inline]
    fn change_live(&self, shard: &Shard, change: i64, mode: PeakMode) {
        if mode == PeakMode::Exact {
            self.total.apply(change);
            return;
        }
        let unfolded = shard.unfolded.fetch_add(change, Ordering::Relaxed).wrapping_add(change);
        if unfolded >= FOLD_BYTES || unfolded <= -FOLD_BYTES {
            self.total.apply(shard.unfolded.swap(0, Ordering::Relaxed));
        }
    }
}

impl Shard {
    /// The count and the bytes of the size class.
    #[inline]
    fn class_of(&self, size: usize) -> (&AtomicU64, &AtomicU64) {
        if size >= LARGE_ALLOCATION_BYTES {
            (&self.large_allocations, &self.large_bytes)
        } else {
            (&self.small_allocations, &self.small_bytes)
        }
    }
}

impl Total {
    #[inline]
    fn apply(&self, change: i64) {
        let live = self.live.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        // A peak that only grows may be read stale: `fetch_max` decides. After a reset it has shrunk: see `restart`.
        if change > 0 && live > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(live, Ordering::Release);
        }
    }

    /// Applies the change and makes the live bytes the peak.
    ///
    /// No peak of a thread that counts meanwhile is lost. Either its `live` RMW comes after ours, acquires from it, and its peak check sees
    /// at least our 0; or it comes before ours, which then includes it.
    fn restart(&self, change: i64) {
        self.peak.swap(0, Ordering::Acquire);
        let live = self.live.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        self.peak.fetch_max(live, Ordering::Release);
    }
}
