//! The process-wide totals and who counts where.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};

use super::SHARDS;
use super::allocator::PeakMode;
use super::counters::{Counters, Shard, Total};
use super::inner::{self, InnerAllocator};
use crate::contract::HeapTotals;

pub(super) static HEAP: Counters<SHARDS> = Counters {
    shards: [const { shard() }; SHARDS],
    shared: shard(),
    used: AtomicUsize::new(0),
    total: Total { live: AtomicI64::new(0), peak: AtomicI64::new(0) },
};

/// Where a thread begins. Its limits stay 0, so that the first that the thread counts takes the long way and finds it a shard.
static NOT_YET: Shard = shard();

thread_local! {
    /// Where this thread counts. Without a destructor, so that it can be read as long as the thread runs, and initialised at compile
    /// time, so that reading it allocates nothing.
    static MINE: Cell<&'static Shard> = const { Cell::new(&NOT_YET) };

    /// Notices that this thread ends.
    static END: End = const { End };
}

struct End;

impl Drop for End {
    /// Whatever this thread counts from here on, in the destructors of other thread-locals, it counts in the shared shard.
    fn drop(&mut self) {
        let mine = MINE.try_with(|mine| mine.replace(&HEAP.shared)).unwrap_or(&HEAP.shared);
        if !std::ptr::eq(mine, &HEAP.shared) {
            HEAP.release(mine);
        }
    }
}

const fn shard() -> Shard {
    Shard {
        small_allocations: AtomicU64::new(0),
        small_bytes: AtomicU64::new(0),
        small_limit: AtomicU64::new(0),
        deallocations: AtomicU64::new(0),
        deallocated_bytes: AtomicU64::new(0),
        deallocated_limit: AtomicU64::new(0),
        reallocations: AtomicU64::new(0),
        folded: AtomicI64::new(0),
        large_allocations: AtomicU64::new(0),
        large_bytes: AtomicU64::new(0),
        failures: AtomicU64::new(0),
        sample_at: AtomicU64::new(0),
        random: AtomicU64::new(0),
        claimed: AtomicBool::new(false),
    }
}

/// Bytes that the heap of this process holds now, as the [`TrackingAllocator`](super::TrackingAllocator) counts them.
///
/// `None` while nothing counts the heap: no `TrackingAllocator` is the global allocator, or the feature `telemetry` is off. While other
/// threads allocate, the figure may include what they freed during the call; it is never negative.
#[must_use]
pub fn get_currently_allocated_bytes() -> Option<u64> {
    get_extended_memory_stats().and_then(|totals| totals.live_bytes())
}

/// What the [`TrackingAllocator`](super::TrackingAllocator) has counted since the process began.
///
/// `None` while nothing counts the heap, as for [`get_currently_allocated_bytes`]. Each figure is exact; while other threads allocate,
/// they are not all of one instant, but never is more deallocated than allocated. Allocates nothing and takes no lock: some
/// 1.2 microseconds where 64 threads have counted since the last reading.
#[must_use]
pub fn get_extended_memory_stats() -> Option<HeapTotals> {
    let sums = HEAP.sums();
    let totals = HeapTotals {
        large_allocations: sums.large_allocations,
        large_allocation_bytes: sums.large_bytes,
        small_allocations: sums.small_allocations,
        small_allocation_bytes: sums.small_bytes,
        deallocations: sums.deallocations,
        deallocated_bytes: sums.deallocated_bytes,
        reallocations: sums.reallocations,
        failed_allocations: sums.failures,
        fragmentation_ratio: None,
    };
    (totals != HeapTotals::default())
        .then(|| HeapTotals { fragmentation_ratio: inner::last_fragmentation_ratio(), ..totals })
}

/// The most bytes that the heap of this process held at once, since the start or the last [`reset_peak`].
///
/// Within [`PEAK_BOUND_BYTES`](super::PEAK_BOUND_BYTES) of the truth, or the truth where the allocator was made
/// [`with_exact_peak`](super::TrackingAllocator::with_exact_peak). `None` while nothing counts the heap.
#[must_use]
pub fn get_peak_allocated_bytes() -> Option<u64> {
    HEAP.has_counted().then(|| HEAP.peak())
}

/// Starts the peak anew from the bytes that are live now, for the whole process. No other figure changes.
pub fn reset_peak() {
    let mine = mine();
    let own = !std::ptr::eq(mine, &NOT_YET) && !std::ptr::eq(mine, &HEAP.shared);
    HEAP.reset_peak(own.then_some(mine));
}

#[inline(always)]
pub(super) fn allocated(size: usize, inner: InnerAllocator) {
    if !mine().counts_allocated(size) {
        allocated_the_long_way(size, inner);
    }
}

#[inline(always)]
pub(super) fn reallocated(old: usize, new: usize, inner: InnerAllocator) {
    if !mine().counts_reallocated(old, new) {
        reallocated_the_long_way(old, new, inner);
    }
}

#[cold]
#[inline(never)]
pub(super) fn failed(inner: InnerAllocator) {
    HEAP.failed(found(inner));
}

#[cold]
#[inline(never)]
fn allocated_the_long_way(size: usize, inner: InnerAllocator) {
    HEAP.allocated(found(inner), size, PeakMode::Bounded);
}

#[cold]
#[inline(never)]
pub(super) fn deallocated_the_long_way(size: usize, inner: InnerAllocator) {
    HEAP.deallocated(found(inner), size, PeakMode::Bounded);
}

#[cold]
#[inline(never)]
fn reallocated_the_long_way(old: usize, new: usize, inner: InnerAllocator) {
    HEAP.reallocated(found(inner), old, new, PeakMode::Bounded);
}

/// Where this thread counts.
#[inline(always)]
pub(super) fn mine() -> &'static Shard {
    MINE.try_with(Cell::get).unwrap_or(&HEAP.shared)
}

/// Where this thread counts, when it has begun to.
pub(super) fn found(inner: InnerAllocator) -> &'static Shard {
    let mine = mine();
    if std::ptr::eq(mine, &NOT_YET) { begin(inner) } else { mine }
}

/// Finds this thread a shard, which is its own until it ends, or the shared one.
#[inline(never)]
fn begin(inner: InnerAllocator) -> &'static Shard {
    inner::is_inside(inner);
    // Until a shard is found, so that the standard library could allocate through this allocator to remember `END`.
    set_mine(&HEAP.shared);
    if END.try_with(|_| ()).is_ok()
        && let Some(shard) = HEAP.claim()
    {
        set_mine(shard);
    }
    mine()
}

/// Where the thread-local is gone, the thread counts in the shared shard: see [`mine`].
fn set_mine(shard: &'static Shard) {
    let _ = MINE.try_with(|mine| mine.set(shard));
}
