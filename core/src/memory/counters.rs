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
            // Acquire, from `release`: what the last owner counted is seen and gone on from. Another's line is only read.
            !shard.claimed.load(Ordering::Relaxed)
                && shard.claimed.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
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
            return size > 0 && self.draw(shard, mean_interval) <= size;
        }
        let before = shard.small_bytes.load(Ordering::Relaxed).wrapping_add(shard.large_bytes.load(Ordering::Relaxed));
        let after = before.wrapping_add(size);
        let due = match shard.sample_at.load(Ordering::Relaxed) {
            0 => before.saturating_add(self.draw(shard, mean_interval)),
            at => at,
        };
        let sampled = after >= due;
        let next = if sampled { after.saturating_add(self.draw(shard, mean_interval)) } else { due };
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
        let state = if self.is_shared(shard) {
            shard.random.fetch_add(STEP, Ordering::Relaxed)
        } else {
            let state = shard.random.load(Ordering::Relaxed);
            shard.random.store(state.wrapping_add(STEP), Ordering::Relaxed);
            state
        };
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
#[path = "counters/tests.rs"]
mod tests;
