//! The process-wide totals and who counts where.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use super::SHARDS;
use super::allocator::PeakMode;
use super::counters::{Counters, Shard, Total};
use crate::contract::HeapTotals;

static HEAP: Counters<SHARDS> = Counters {
    shards: [const {
        Shard {
            small_allocations: AtomicU64::new(0),
            small_bytes: AtomicU64::new(0),
            large_allocations: AtomicU64::new(0),
            large_bytes: AtomicU64::new(0),
            deallocations: AtomicU64::new(0),
            deallocated_bytes: AtomicU64::new(0),
            reallocations: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            unfolded: AtomicI64::new(0),
        }
    }; SHARDS],
    total: Total { live: AtomicI64::new(0), peak: AtomicI64::new(0) },
};

/// Threads that have counted so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// One more than the number of this thread among those that count; 0 before it has counted. Without a destructor, so that it can be
    /// read as long as the thread runs, and initialised at compile time, so that reading it allocates nothing.
    static THREAD: Cell<usize> = const { Cell::new(0) };
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
/// they are not all of one instant, but never is more deallocated than allocated. Allocates nothing and takes no lock: under a
/// microsecond.
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
    (totals != HeapTotals::default()).then_some(totals)
}

/// The most bytes that the heap of this process held at once, since the start or the last [`reset_peak`].
///
/// Within [`PEAK_BOUND_BYTES`](super::PEAK_BOUND_BYTES) of the truth, or the truth where the allocator was made
/// [`with_exact_peak`](super::TrackingAllocator::with_exact_peak). `None` while nothing counts the heap.
#[must_use]
pub fn get_peak_allocated_bytes() -> Option<u64> {
    get_extended_memory_stats().map(|_| HEAP.peak())
}

/// Starts the peak anew from the bytes that are live now, for the whole process. No other figure changes.
pub fn reset_peak() {
    HEAP.reset_peak();
}

#[inline]
pub(super) fn allocated(size: usize, mode: PeakMode) {
    HEAP.allocated(shard(), size, mode);
}

#[inline]
pub(super) fn deallocated(size: usize, mode: PeakMode) {
    HEAP.deallocated(shard(), size, mode);
}

#[inline]
pub(super) fn reallocated(old: usize, new: usize, mode: PeakMode) {
    HEAP.reallocated(shard(), old, new, mode);
}

#[cold]
pub(super) fn failed() {
    HEAP.failed(shard());
}

/// The shard of this thread; any shard counts right, one of its own counts fast.
#[inline]
fn shard() -> usize {
    THREAD
        .try_with(|thread| {
            if thread.get() == 0 {
                thread.set(THREADS.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
            }
            thread.get().wrapping_sub(1)
        })
        .unwrap_or(0)
}
