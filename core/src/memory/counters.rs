//! The arithmetic of the heap totals: counters of single writers, and the peak.
//!
//! Pure of statics and thread-locals, so that the loom models compile this very file over loom's atomics, with limits of their own: what
//! comes from `super` is whatever the including module says.
//!
//! A thread claims a shard, is the only one to write to it until it releases it, and so needs no locked instruction: a load, an addition
//! and a store. Readers add up all shards. A thread that has no shard counts in the shared one, with locked additions: slower, as exact.
//!
//! The common case is kept to two additions and one comparison. What is rare (a large block, a fold, no shard, an exact peak) takes
//! the long way, which all pass the one comparison by: a shard's limits lie where its next fold may be due, and at 0 where there is no
//! short way.

use super::allocator::PeakMode;
use super::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use super::{FAR_BYTES, FAR_SHARDS, LARGE_ALLOCATION_BYTES, NEAR_BYTES};

/// A limit lies up to one and a half times that far ahead, and must stop every large block.
const _: () = assert!(2 * FAR_BYTES.unsigned_abs() <= LARGE_ALLOCATION_BYTES as u64 && NEAR_BYTES <= FAR_BYTES);

/// The counters of one thread at a time, on a cache line pair of their own. What the short ways need is on the first line.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Shard {
    pub(super) small_allocations: AtomicU64,
    pub(super) small_bytes: AtomicU64,
    /// Where `small_bytes` must take the long way. Never so far ahead that it would let a large block pass.
    pub(super) small_limit: AtomicU64,
    pub(super) deallocations: AtomicU64,
    pub(super) deallocated_bytes: AtomicU64,
    /// Where `deallocated_bytes` must take the long way.
    pub(super) deallocated_limit: AtomicU64,
    pub(super) reallocations: AtomicU64,
    /// Net bytes that are in the total.
    pub(super) folded: AtomicI64,
    pub(super) large_allocations: AtomicU64,
    pub(super) large_bytes: AtomicU64,
    pub(super) failures: AtomicU64,
    /// The bytes allocated, small and large, at which the next block is sampled; 0 while none is to be.
    pub(super) sample_at: AtomicU64,
    /// The state of the generator that draws the distance to the next sample.
    pub(super) random: AtomicU64,
    pub(super) claimed: AtomicBool,
}

/// The live bytes of the process as one number, and the highest that it has been.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Total {
    /// Signed: one shard may hand in what was freed before another hands in what was allocated.
    pub(super) live: AtomicI64,
    pub(super) peak: AtomicI64,
}

/// All that is counted.
pub(super) struct Counters<const N: usize> {
    pub(super) shards: [Shard; N],
    /// For threads that have no shard of their own. Its limits stay 0.
    pub(super) shared: Shard,
    /// Shards that have ever been claimed: the first so many.
    pub(super) used: AtomicUsize,
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

/// The short ways. Only for who has claimed the shard, or where its limits are 0.
impl Shard {
    /// Counts a block of `size` bytes that was handed out, or tells that it must take the long way.
    #[inline(always)]
    pub(super) fn counts_allocated(&self, size: usize) -> bool {
        let bytes = self.small_bytes.load(Ordering::Relaxed).wrapping_add(size as u64);
        if bytes >= self.small_limit.load(Ordering::Relaxed) {
            return false;
        }
        self.small_bytes.store(bytes, Ordering::Relaxed);
        add_alone(&self.small_allocations, 1, Ordering::Relaxed);
        true
    }

    /// Counts a block of `size` bytes that is about to go back, or tells that it must take the long way.
    #[inline(always)]
    pub(super) fn counts_deallocated(&self, size: usize) -> bool {
        let bytes = self.deallocated_bytes.load(Ordering::Relaxed).wrapping_add(size as u64);
        if bytes >= self.deallocated_limit.load(Ordering::Relaxed) {
            return false;
        }
        // Release, here as everywhere that frees: see `sums`.
        self.deallocated_bytes.store(bytes, Ordering::Release);
        add_alone(&self.deallocations, 1, Ordering::Release);
        true
    }

    /// Counts that a block of `old` bytes has become one of `new` bytes, or tells that it must take the long way.
    #[inline(always)]
    pub(super) fn counts_reallocated(&self, old: usize, new: usize) -> bool {
        let allocated = self.small_bytes.load(Ordering::Relaxed).wrapping_add(new as u64);
        let deallocated = self.deallocated_bytes.load(Ordering::Relaxed).wrapping_add(old as u64);
        if allocated >= self.small_limit.load(Ordering::Relaxed)
            || deallocated >= self.deallocated_limit.load(Ordering::Relaxed)
        {
            return false;
        }
        self.small_bytes.store(allocated, Ordering::Relaxed);
        self.deallocated_bytes.store(deallocated, Ordering::Release);
        add_alone(&self.reallocations, 1, Ordering::Relaxed);
        true
    }

    /// Net bytes that are not in the total yet: nearer to 0 than the shard's [`reach`](Counters::reach), either way.
    fn unfolded(&self) -> i64 {
        let freed = self.deallocated_bytes.load(Ordering::Acquire);
        let allocated = self.small_bytes.load(Ordering::Relaxed).wrapping_add(self.large_bytes.load(Ordering::Relaxed));
        allocated.wrapping_sub(freed).cast_signed().wrapping_sub(self.folded.load(Ordering::Relaxed))
    }

    /// The count and the bytes of the size class.
    fn class_of(&self, size: usize) -> (&AtomicU64, &AtomicU64) {
        if size >= LARGE_ALLOCATION_BYTES {
            (&self.large_allocations, &self.large_bytes)
        } else {
            (&self.small_allocations, &self.small_bytes)
        }
    }
}

/// Adds where nobody else writes.
#[inline(always)]
fn add_alone(counter: &AtomicU64, value: u64, order: Ordering) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), order);
}

impl<const N: usize> Counters<N> {
    /// A shard of the caller's own, until it is given to [`release`](Self::release); `None` while all are claimed.
    pub(super) fn claim(&self) -> Option<&Shard> {
        let (index, shard) = self.shards.iter().enumerate().find(|(_, shard)| {
            // Acquire, from `release`: what the last owner counted is seen and gone on from.
            shard.claimed.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })?;
        self.used.fetch_max(index + 1, Ordering::Relaxed);
        self.set_limits(shard);
        if shard.sample_at.load(Ordering::Relaxed) == 0 {
            // No distance to a sample was drawn yet: who allocates next must ask.
            shard.small_limit.store(0, Ordering::Relaxed);
        }
        Some(shard)
    }

    /// Moves the shard's bytes to the total and lets another thread have it. The caller must not count in it any more.
    pub(super) fn release(&self, shard: &Shard) {
        self.fold(shard);
        shard.claimed.store(false, Ordering::Release);
    }

    /// The long way: a block of `size` bytes was handed out.
    pub(super) fn allocated(&self, shard: &Shard, size: usize, mode: PeakMode) {
        let (count, bytes) = shard.class_of(size);
        self.add(shard, count, 1, Ordering::Relaxed);
        self.add(shard, bytes, size as u64, Ordering::Relaxed);
        self.change_live(shard, size as i64, mode);
    }

    /// The long way: a block of `size` bytes is about to go back.
    pub(super) fn deallocated(&self, shard: &Shard, size: usize, mode: PeakMode) {
        self.add(shard, &shard.deallocations, 1, Ordering::Release);
        self.add(shard, &shard.deallocated_bytes, size as u64, Ordering::Release);
        self.change_live(shard, (size as i64).wrapping_neg(), mode);
    }

    /// The long way: a block of `old` bytes has become one of `new` bytes.
    pub(super) fn reallocated(&self, shard: &Shard, old: usize, new: usize, mode: PeakMode) {
        let (_, bytes) = shard.class_of(new);
        self.add(shard, &shard.reallocations, 1, Ordering::Relaxed);
        self.add(shard, bytes, new as u64, Ordering::Relaxed);
        self.add(shard, &shard.deallocated_bytes, old as u64, Ordering::Release);
        self.change_live(shard, (new as i64).wrapping_sub(old as i64), mode);
    }

    /// Whether a block of `size` bytes, which is about to be counted the long way, is in the sample. Asked once for each block, and with a
    /// size of 0 before a freeing is counted the long way, which may open the short way to blocks before anyone has asked.
    ///
    /// The sample is a Poisson process over the bytes allocated: the distance from one sampled byte to the next is drawn from an
    /// exponential distribution of this mean, and a block is sampled that holds such a byte. Since that distribution has no memory, it
    /// may be drawn anew after each sample and for each block of the shared shard.
    pub(super) fn is_sampled(&self, shard: &Shard, size: usize, mean_interval: u64) -> bool {
        let size = size as u64;
        if self.is_shared(shard) {
            return self.draw(shard, mean_interval) <= size;
        }
        let before = shard.small_bytes.load(Ordering::Relaxed).wrapping_add(shard.large_bytes.load(Ordering::Relaxed));
        let after = before.wrapping_add(size);
        let due = match shard.sample_at.load(Ordering::Relaxed) {
            0 => before.wrapping_add(self.draw(shard, mean_interval)),
            at => at,
        };
        let sampled = after >= due;
        let next = if sampled { after.wrapping_add(self.draw(shard, mean_interval)) } else { due };
        shard.sample_at.store(next, Ordering::Relaxed);
        sampled
    }

    /// A distance, at least 1: from SplitMix64, by inversion.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a random number"
    )]
    fn draw(&self, shard: &Shard, mean_interval: u64) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        // Each shard has a sequence of its own: that of its address.
        let state = shard.random.load(Ordering::Relaxed).wrapping_add(STEP);
        self.add(shard, &shard.random, STEP, Ordering::Relaxed);
        let mut mixed = state ^ std::ptr::from_ref(shard).addr() as u64;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let uniform = ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        (-uniform.ln() * mean_interval as f64).ceil().max(1.0) as u64
    }

    /// The inner allocator refused.
    pub(super) fn failed(&self, shard: &Shard) {
        self.add(shard, &shard.failures, 1, Ordering::Relaxed);
    }

    /// What was counted up to now: exact when nothing is being counted; while threads count, no sum ever lies below an earlier one and
    /// no more is freed than was allocated.
    ///
    /// The freed are read before the allocated. A block is counted as allocated before its address is handed out, and its freeing, by
    /// whatever thread, is counted with Release after that; who reads the freeing with Acquire must then see the allocation, and the
    /// number of shards that it lies within.
    pub(super) fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for shard in self.used() {
            sums.deallocations += shard.deallocations.load(Ordering::Acquire);
            sums.deallocated_bytes += shard.deallocated_bytes.load(Ordering::Acquire);
        }
        for shard in self.used() {
            sums.small_allocations += shard.small_allocations.load(Ordering::Relaxed);
            sums.small_bytes += shard.small_bytes.load(Ordering::Relaxed);
            sums.large_allocations += shard.large_allocations.load(Ordering::Relaxed);
            sums.large_bytes += shard.large_bytes.load(Ordering::Relaxed);
            sums.reallocations += shard.reallocations.load(Ordering::Relaxed);
            sums.failures += shard.failures.load(Ordering::Relaxed);
        }
        sums
    }

    /// Whether anything was ever counted, or is about to be.
    pub(super) fn has_counted(&self) -> bool {
        let Shard { small_allocations, large_allocations, deallocations, reallocations, failures, .. } = &self.shared;
        let mut of_shared = [small_allocations, large_allocations, deallocations, reallocations, failures].into_iter();
        self.used.load(Ordering::Relaxed) > 0 || of_shared.any(|count| count.load(Ordering::Relaxed) > 0)
    }

    /// The highest that the total has been since the start or the last reset.
    pub(super) fn peak(&self) -> u64 {
        u64::try_from(self.total.peak.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Starts the peak anew from what is live now. `own` is the caller's shard, if it has one.
    pub(super) fn reset_peak(&self, own: Option<&Shard>) {
        if let Some(shard) = own {
            self.fold(shard);
            self.set_limits(shard);
        }
        // What other threads have not folded is theirs to fold; it is only read.
        self.total.restart(|| self.used().fold(0_i64, |sum, shard| sum.wrapping_add(shard.unfolded())));
    }

    /// The shared shard and those that have ever been claimed.
    fn used(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().take(self.used.load(Ordering::Relaxed)).chain([&self.shared])
    }

    fn is_shared(&self, shard: &Shard) -> bool {
        std::ptr::eq(shard, &self.shared)
    }

    fn add(&self, shard: &Shard, counter: &AtomicU64, value: u64, order: Ordering) {
        if self.is_shared(shard) {
            counter.fetch_add(value, order);
        } else {
            add_alone(counter, value, order);
        }
    }

    fn change_live(&self, shard: &Shard, change: i64, mode: PeakMode) {
        if self.is_shared(shard) {
            shard.folded.fetch_add(change, Ordering::Relaxed);
            self.total.apply(change);
        } else if mode == PeakMode::Exact {
            shard.folded.store(shard.folded.load(Ordering::Relaxed).wrapping_add(change), Ordering::Relaxed);
            self.total.apply(change);
        } else {
            if shard.unfolded().unsigned_abs() >= self.reach(shard).unsigned_abs() / 2 {
                self.fold(shard);
            }
            self.set_limits(shard);
        }
    }

    /// Moves the net bytes of the caller's own shard to the total.
    fn fold(&self, shard: &Shard) {
        let unfolded = shard.unfolded();
        shard.folded.store(shard.folded.load(Ordering::Relaxed).wrapping_add(unfolded), Ordering::Relaxed);
        self.total.apply(unfolded);
    }

    /// The short ways are open until the unfolded bytes could have reached the [`reach`](Self::reach), up or down.
    ///
    /// They are now nearer to 0 than half of it: each way is open for at least the other half. The short way ends sooner where a sample is
    /// due.
    fn set_limits(&self, shard: &Shard) {
        let (reach, unfolded) = (self.reach(shard), shard.unfolded());
        let ahead = |bytes: &AtomicU64, room: i64| bytes.load(Ordering::Relaxed).wrapping_add_signed(room);
        let up = ahead(&shard.small_bytes, reach.wrapping_sub(unfolded));
        let due = shard.sample_at.load(Ordering::Relaxed).saturating_sub(shard.large_bytes.load(Ordering::Relaxed));
        // A sample that should have been taken is an allocator's that no longer counts here; and there may be none to take.
        let limit = if due > shard.small_bytes.load(Ordering::Relaxed) { up.min(due) } else { up };
        shard.small_limit.store(limit, Ordering::Relaxed);
        shard.deallocated_limit.store(ahead(&shard.deallocated_bytes, reach.wrapping_add(unfolded)), Ordering::Relaxed);
    }

    /// How far from 0 the unfolded bytes of a shard may come.
    fn reach(&self, shard: &Shard) -> i64 {
        let far = self.shards.get(..FAR_SHARDS).unwrap_or(&self.shards);
        if far.as_ptr_range().contains(&std::ptr::from_ref(shard)) { FAR_BYTES } else { NEAR_BYTES }
    }
}

impl Total {
    fn apply(&self, change: i64) {
        let live = self.live.fetch_add(change, Ordering::AcqRel).wrapping_add(change);
        // A peak that only grows may be read stale: `fetch_max` decides. After a reset it has shrunk: see `restart`.
        if change > 0 && live > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(live, Ordering::Release);
        }
    }

    /// Makes the live bytes the peak, with those that are not in the total.
    ///
    /// No peak of a thread that counts meanwhile is lost. Either its `live` RMW comes after ours, acquires from it, and its peak check sees
    /// at least our 0; or it comes before ours, which then includes it.
    fn restart(&self, unfolded: impl Fn() -> i64) {
        self.peak.swap(0, Ordering::Acquire);
        let live = self.live.fetch_add(0, Ordering::AcqRel);
        self.peak.fetch_max(live.wrapping_add(unfolded()), Ordering::Release);
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
        counters_of()
    }

    fn counters_of<const N: usize>() -> Counters<N> {
        Counters {
            shards: std::array::from_fn(|_| Shard::default()),
            shared: Shard::default(),
            used: AtomicUsize::new(0),
            total: Total::default(),
        }
    }

    /// What a thread does: the short way where it is open.
    impl<const N: usize> Counters<N> {
        fn allocate(&self, shard: &Shard, size: usize, mode: PeakMode) {
            if mode == PeakMode::Exact || !shard.counts_allocated(size) {
                self.allocated(shard, size, mode);
            }
        }

        fn deallocate(&self, shard: &Shard, size: usize, mode: PeakMode) {
            if mode == PeakMode::Exact || !shard.counts_deallocated(size) {
                self.deallocated(shard, size, mode);
            }
        }

        fn reallocate(&self, shard: &Shard, old: usize, new: usize, mode: PeakMode) {
            if mode == PeakMode::Exact || !shard.counts_reallocated(old, new) {
                self.reallocated(shard, old, new, mode);
            }
        }
    }

    #[test]
    fn a_block_is_large_from_one_mebibyte_on() {
        let counters = counters();
        for shard in [counters.claim().unwrap(), &counters.shared] {
            for size in [LARGE - 1, LARGE, LARGE + 1] {
                counters.allocate(shard, size, PeakMode::Bounded);
            }
        }
        let sums = counters.sums();
        assert_eq!((sums.small_allocations, sums.small_bytes), (2, 2 * (LARGE as u64 - 1)));
        assert_eq!((sums.large_allocations, sums.large_bytes), (4, 2 * (2 * LARGE as u64 + 1)));
    }

    #[test]
    fn a_reallocation_moves_bytes_and_counts_as_neither() {
        let counters = counters();
        let shards = [(); 4].map(|()| counters.claim().unwrap());
        counters.allocate(shards[0], SMALL, PeakMode::Bounded);
        counters.reallocate(shards[1], SMALL, LARGE, PeakMode::Bounded);
        counters.reallocate(shards[2], LARGE, SMALL + 1, PeakMode::Bounded);
        counters.reallocate(shards[2], SMALL + 1, SMALL + 2, PeakMode::Bounded);
        let expected = Sums {
            small_allocations: 1,
            small_bytes: 3 * SMALL as u64 + 3,
            large_bytes: LARGE as u64,
            deallocated_bytes: (2 * SMALL + 1 + LARGE) as u64,
            reallocations: 3,
            ..Sums::default()
        };
        assert_eq!(counters.sums(), expected);
        counters.deallocate(shards[3], SMALL + 2, PeakMode::Bounded);
        let sums = counters.sums();
        assert_eq!(sums.deallocations, 1);
        assert_eq!(sums.small_bytes + sums.large_bytes, sums.deallocated_bytes);
    }

    #[test]
    fn each_claims_another_shard_and_a_released_one_goes_on_from_its_figures() {
        let counters = counters();
        let shards = [(); 4].map(|()| counters.claim().unwrap());
        assert!(counters.claim().is_none());
        for shard in shards {
            counters.allocate(shard, SMALL, PeakMode::Bounded);
            counters.failed(shard);
        }
        counters.allocate(&counters.shared, SMALL, PeakMode::Bounded);
        counters.release(shards[2]);
        let again = counters.claim().unwrap();
        assert!(std::ptr::eq(again, shards[2]));
        counters.deallocate(again, SMALL, PeakMode::Bounded);
        let sums = counters.sums();
        assert_eq!((sums.small_allocations, sums.deallocations, sums.failures), (5, 1, 4));
    }

    #[test]
    fn the_first_block_can_be_sampled_whatever_the_thread_did_before() {
        let (failed, freed) = (counters(), counters());
        let shards = [failed.claim().unwrap(), freed.claim().unwrap()];
        failed.failed(shards[0]);
        assert!(!freed.is_sampled(shards[1], 0, 1));
        freed.deallocate(shards[1], SMALL, PeakMode::Bounded);
        for (counters, shard) in [&failed, &freed].into_iter().zip(shards) {
            // A distance of mean 1 is never drawn as large as this.
            assert!(!shard.counts_allocated(SMALL));
            assert!(counters.is_sampled(shard, SMALL, 1));
        }
    }

    #[test]
    fn bytes_reach_the_total_at_the_fold_and_not_before() {
        let counters = counters();
        let shard = counters.claim().unwrap();
        // The first takes the long way and opens the short one.
        counters.allocate(shard, 1, PeakMode::Bounded);
        counters.allocate(shard, FAR_BYTES as usize - 2, PeakMode::Bounded);
        assert_eq!(counters.peak(), 0);
        counters.allocate(shard, 1, PeakMode::Bounded);
        assert_eq!(counters.peak(), FAR_BYTES as u64);
        counters.deallocate(shard, FAR_BYTES as usize, PeakMode::Bounded);
        assert_eq!(counters.total.live.load(Ordering::Relaxed), 0);
        assert_eq!(counters.peak(), FAR_BYTES as u64);
    }

    #[test]
    fn the_short_way_ends_where_a_sample_is_due_and_opens_again_where_nobody_takes_it() {
        let counters = counters();
        let shard = counters.claim().unwrap();
        let due = 1_000;
        shard.sample_at.store(due, Ordering::Relaxed);
        counters.allocated(shard, 1, PeakMode::Bounded);
        assert_eq!(shard.small_limit.load(Ordering::Relaxed), due);
        assert!(shard.counts_allocated(due as usize - 2) && !shard.counts_allocated(1));
        counters.allocated(shard, 1, PeakMode::Bounded);
        assert!(shard.small_limit.load(Ordering::Relaxed) > due && shard.counts_allocated(1));
    }

    #[test]
    fn bytes_reach_the_total_at_once_in_the_shared_shard_and_at_the_end_of_a_thread() {
        let counters = counters();
        counters.allocate(&counters.shared, SMALL, PeakMode::Bounded);
        assert_eq!(counters.peak(), SMALL as u64);
        let shard = counters.claim().unwrap();
        counters.allocate(shard, 1, PeakMode::Bounded);
        counters.release(shard);
        assert_eq!(counters.peak(), SMALL as u64 + 1);
    }

    #[test]
    fn a_reset_starts_the_peak_from_what_is_live_unfolded_bytes_included() {
        let counters = counters();
        let shards = [(); 3].map(|()| counters.claim().unwrap());
        counters.allocate(shards[0], LARGE, PeakMode::Bounded);
        counters.allocate(shards[1], SMALL, PeakMode::Bounded);
        counters.deallocate(shards[0], LARGE, PeakMode::Bounded);
        assert_eq!(counters.peak(), LARGE as u64);
        counters.reset_peak(Some(shards[0]));
        assert_eq!(counters.peak(), SMALL as u64);
        counters.deallocate(shards[2], SMALL, PeakMode::Bounded);
        counters.reset_peak(None);
        assert_eq!(counters.peak(), 0);
    }

    #[test]
    fn a_reset_moves_the_limits_with_the_bytes() {
        let counters = counters();
        let shard = counters.claim().unwrap();
        counters.allocate(shard, LARGE, PeakMode::Bounded);
        // Much is freed, but not so much that it is folded when the limits are next set.
        counters.deallocate(shard, FAR_BYTES as usize / 2 - 1, PeakMode::Bounded);
        counters.reallocated(shard, 1, 1, PeakMode::Bounded);
        counters.reset_peak(Some(shard));
        for _ in 0..FAR_BYTES / 500 {
            counters.allocate(shard, 1_000, PeakMode::Bounded);
            assert!(shard.unfolded().abs() < FAR_BYTES, "{}", shard.unfolded());
        }
    }

    /// One operation of a random history: who counts, where the last is the shared shard; and whether it frees (a block of a random index)
    /// or makes one of this size.
    fn history() -> impl Strategy<Value = Vec<(usize, Option<usize>, usize)>> {
        let size = prop_oneof![1..200_usize, 10_000..70_000_usize, LARGE - 2..LARGE + 2];
        prop::collection::vec((0..5_usize, prop::option::of(size), any::<usize>()), 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 1 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn the_peak_is_exact_or_within_its_bound(history in history(), reset_at in prop::collection::vec(0..200_usize, 0..6)) {
            // Two threads whose bytes go far before they reach the total, two that stay near, and the shared shard.
            let (bounded, exact) = (counters_of::<{ FAR_SHARDS + 2 }>(), counters_of::<{ FAR_SHARDS + 2 }>());
            let mut shards = [&bounded, &exact].map(|counters| {
                let mut shards: Vec<_> = (0..FAR_SHARDS + 2).filter_map(|_| counters.claim()).collect();
                shards.drain(2..FAR_SHARDS);
                shards.push(&counters.shared);
                shards
            });
            let bound = 2 * FAR_BYTES.unsigned_abs() + 2 * NEAR_BYTES.unsigned_abs();
            let (mut blocks, mut live, mut peak) = (Vec::new(), 0_u64, 0_u64);
            for (step, (who, make, pick)) in history.into_iter().enumerate() {
                if reset_at.contains(&step) {
                    bounded.reset_peak((who < 4).then_some(shards[0][who]));
                    exact.reset_peak(None);
                    peak = live;
                }
                if pick % 16 == 0 && who < 4 {
                    // One thread ends and another begins.
                    bounded.release(shards[0][who]);
                    shards[0][who] = bounded.claim().unwrap();
                }
                if let Some(size) = make {
                    blocks.push(size);
                    live += size as u64;
                    bounded.allocate(shards[0][who], size, PeakMode::Bounded);
                    exact.allocate(shards[1][who], size, PeakMode::Exact);
                } else if !blocks.is_empty() {
                    let index = pick % blocks.len();
                    let size = blocks.swap_remove(index);
                    if pick % 3 == 0 {
                        let new = size / 2 + 1;
                        blocks.push(new);
                        live = live - size as u64 + new as u64;
                        bounded.reallocate(shards[0][who], size, new, PeakMode::Bounded);
                        exact.reallocate(shards[1][who], size, new, PeakMode::Exact);
                    } else {
                        live -= size as u64;
                        bounded.deallocate(shards[0][who], size, PeakMode::Bounded);
                        exact.deallocate(shards[1][who], size, PeakMode::Exact);
                    }
                }
                peak = peak.max(live);
                prop_assert_eq!(exact.peak(), peak);
                prop_assert!(bounded.peak().abs_diff(peak) <= bound, "{} for {}", bounded.peak(), peak);
                for (shard, reach) in shards[0].iter().zip([FAR_BYTES, FAR_BYTES, NEAR_BYTES, NEAR_BYTES, 1]) {
                    prop_assert!(shard.unfolded().abs() < reach, "{} of {reach}", shard.unfolded());
                }
                let sums = bounded.sums();
                prop_assert_eq!(sums.small_bytes + sums.large_bytes - sums.deallocated_bytes, live);
                prop_assert_eq!(sums.small_allocations + sums.large_allocations - sums.deallocations, blocks.len() as u64);
                prop_assert_eq!(sums, exact.sums());
            }
        }
    }
}
