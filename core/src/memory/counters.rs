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

// Where the loom models include this file, they are its tests.
#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: usize = 100;
    const LARGE: usize = LARGE_ALLOCATION_BYTES;

    fn counters() -> Counters<4> {
        Counters {
            shards: std::array::from_fn(|_| Shard {
                small_allocations: AtomicU64::new(0),
                small_bytes: AtomicU64::new(0),
                large_allocations: AtomicU64::new(0),
                large_bytes: AtomicU64::new(0),
                deallocations: AtomicU64::new(0),
                deallocated_bytes: AtomicU64::new(0),
                reallocations: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                unfolded: AtomicI64::new(0),
            }),
            total: Total { live: AtomicI64::new(0), peak: AtomicI64::new(0) },
        }
    }

    #[test]
    fn a_block_is_large_from_one_mebibyte_on() {
        let counters = counters();
        for size in [LARGE - 1, LARGE, LARGE + 1] {
            counters.allocated(0, size, PeakMode::Bounded);
        }
        let sums = counters.sums();
        assert_eq!((sums.small_allocations, sums.small_bytes), (1, LARGE as u64 - 1));
        assert_eq!((sums.large_allocations, sums.large_bytes), (2, 2 * LARGE as u64 + 1));
    }

    #[test]
    fn a_reallocation_moves_bytes_and_counts_as_neither() {
        let counters = counters();
        counters.allocated(0, SMALL, PeakMode::Bounded);
        counters.reallocated(1, SMALL, LARGE, PeakMode::Bounded);
        counters.reallocated(2, LARGE, SMALL + 1, PeakMode::Bounded);
        let expected = Sums {
            small_allocations: 1,
            small_bytes: 2 * SMALL as u64 + 1,
            large_bytes: LARGE as u64,
            deallocated_bytes: (SMALL + LARGE) as u64,
            reallocations: 2,
            ..Sums::default()
        };
        assert_eq!(counters.sums(), expected);
        counters.deallocated(3, SMALL + 1, PeakMode::Bounded);
        let sums = counters.sums();
        assert_eq!(sums.deallocations, 1);
        assert_eq!(sums.small_bytes + sums.large_bytes, sums.deallocated_bytes);
    }

    #[test]
    fn any_number_finds_a_shard() {
        let counters = counters();
        for shard in [0, 3, 4, 63, usize::MAX] {
            counters.allocated(shard, SMALL, PeakMode::Bounded);
            counters.failed(shard);
        }
        assert_eq!((counters.sums().small_allocations, counters.sums().failures), (5, 5));
    }

    #[test]
    fn bytes_reach_the_total_at_the_fold_and_not_before() {
        let counters = counters();
        counters.allocated(0, FOLD_BYTES as usize - 1, PeakMode::Bounded);
        assert_eq!(counters.peak(), 0);
        counters.allocated(0, 1, PeakMode::Bounded);
        assert_eq!(counters.peak(), FOLD_BYTES as u64);
        counters.deallocated(0, FOLD_BYTES as usize, PeakMode::Bounded);
        assert_eq!(counters.total.live.load(Ordering::Relaxed), 0);
        assert_eq!(counters.peak(), FOLD_BYTES as u64);
    }

    #[test]
    fn a_reset_starts_the_peak_from_what_is_live_unfolded_bytes_included() {
        let counters = counters();
        counters.allocated(0, LARGE, PeakMode::Bounded);
        counters.allocated(1, SMALL, PeakMode::Bounded);
        counters.deallocated(0, LARGE, PeakMode::Bounded);
        assert_eq!(counters.peak(), LARGE as u64);
        counters.reset_peak();
        assert_eq!(counters.peak(), SMALL as u64);
        counters.deallocated(2, SMALL, PeakMode::Bounded);
        counters.reset_peak();
        assert_eq!(counters.peak(), 0);
    }

    /// One operation of a random history: which shard, and whether it frees (a block of a random index) or makes one of this size.
    fn history() -> impl Strategy<Value = Vec<(usize, Option<usize>, usize)>> {
        let size = prop_oneof![1..200_usize, 60_000..70_000_usize, LARGE - 2..LARGE + 2];
        prop::collection::vec((0..4_usize, prop::option::of(size), any::<usize>()), 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_peak_is_exact_or_within_its_bound(history in history(), reset_at in 0..200_usize) {
            let (bounded, exact) = (counters(), counters());
            let bound = 4 * FOLD_BYTES.unsigned_abs();
            let (mut blocks, mut live, mut peak) = (Vec::new(), 0_u64, 0_u64);
            for (step, (shard, make, pick)) in history.into_iter().enumerate() {
                if step == reset_at {
                    bounded.reset_peak();
                    exact.reset_peak();
                    peak = live;
                }
                if let Some(size) = make {
                    blocks.push(size);
                    live += size as u64;
                    bounded.allocated(shard, size, PeakMode::Bounded);
                    exact.allocated(shard, size, PeakMode::Exact);
                } else if !blocks.is_empty() {
                    let size = blocks.swap_remove(pick % blocks.len());
                    live -= size as u64;
                    bounded.deallocated(shard, size, PeakMode::Bounded);
                    exact.deallocated(shard, size, PeakMode::Exact);
                }
                peak = peak.max(live);
                prop_assert_eq!(exact.peak(), peak);
                prop_assert!(bounded.peak().abs_diff(peak) <= bound, "{} for {}", bounded.peak(), peak);
                let sums = bounded.sums();
                prop_assert_eq!(sums.small_bytes + sums.large_bytes - sums.deallocated_bytes, live);
                prop_assert_eq!(sums.small_allocations + sums.large_allocations - sums.deallocations, blocks.len() as u64);
                prop_assert_eq!(sums, exact.sums());
            }
        }
    }
}
