//! The allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};

use super::heap;

/// Counts every block and byte that passes through an inner allocator: `System`, mimalloc, jemalloc or any other [`GlobalAlloc`].
///
/// ```
/// use engine_vitals_core::memory::TrackingAllocator;
///
/// #[global_allocator]
/// static HEAP: TrackingAllocator = TrackingAllocator::system();
///
/// # fn main() {
/// let live = engine_vitals_core::memory::get_currently_allocated_bytes();
/// # if cfg!(feature = "telemetry") {
/// assert!(live.is_some_and(|bytes| bytes > 0));
/// # }
/// # }
/// ```
///
/// # What is counted
/// The sizes that were asked for, exact to the byte on any number of threads, before `main` and while threads end: bytes and blocks
/// allocated, split at [`LARGE_ALLOCATION_BYTES`](super::LARGE_ALLOCATION_BYTES), bytes and blocks deallocated, reallocations, and what the
/// inner allocator refused. A reallocation adds the old size to the bytes deallocated and the new size to those allocated, and counts as
/// neither an allocation nor a deallocation. What an inner allocator adds for itself (headers, rounding, caches) is not counted.
///
/// The totals are the process's: all tracking allocators count into the same. Read them with
/// [`get_extended_memory_stats`](super::get_extended_memory_stats).
///
/// # The peak
/// By default a thread's bytes reach the one total that the peak is taken from when they have changed by 16 to 32 KiB, so that threads do
/// not contend for it; the peak is then within [`PEAK_BOUND_BYTES`](super::PEAK_BOUND_BYTES) (4 MiB) of the truth.
/// [`with_exact_peak`](Self::with_exact_peak) takes every single operation to the total instead.
///
/// # Cost
/// No lock, no allocation, no log and no panic: a call adds to two counters that only its thread writes, without a locked instruction.
/// Where over 128 threads live at once, those beyond count with locked additions into a shard that they share, as do destructors of
/// thread-locals that run after the counting has ended for their thread. The first call of each thread looks for a shard, and has the
/// standard library note that it is to be given back, which takes a little of the system's memory and is not counted. Without the feature
/// `telemetry` calls go straight through to the inner allocator.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrackingAllocator<A = System> {
    inner: A,
    peak: PeakMode,
}

impl TrackingAllocator {
    /// Counts what passes through the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(System)
    }
}

impl<A> TrackingAllocator<A> {
    /// Counts what passes through `inner`.
    #[must_use]
    pub const fn new(inner: A) -> Self {
        Self { inner, peak: PeakMode::Bounded }
    }

    /// Keeps the peak exact to the byte, at the price of two shared atomic operations per call, for which threads contend.
    ///
    /// Exact means: the highest value of the live bytes in the one order in which all operations were counted. It holds if every tracking
    /// allocator of the process was made so.
    #[must_use]
    pub const fn with_exact_peak(mut self) -> Self {
        self.peak = PeakMode::Exact;
        self
    }

    /// The inner allocator.
    #[must_use]
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

// SAFETY: every call is handed to the inner allocator unchanged and its answer is handed back unchanged, so that the contract is kept if
// the inner allocator keeps it. What is done besides, counting, neither unwinds nor allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TrackingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the inner allocator's.
        let block = unsafe { self.inner.alloc(layout) };
        self.count(block, layout)
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`, which is the inner allocator's.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        self.count(block, layout)
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // Counted first: once the block is free, another thread may be given it, and must not be counted before.
        heap::deallocated(layout.size(), self.peak);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, which is the inner allocator's.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`, which is the inner allocator's.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            heap::failed();
        } else {
            heap::reallocated(layout.size(), new_size, self.peak);
        }
        moved
    }
}

impl<A> TrackingAllocator<A> {
    #[inline]
    fn count(&self, block: *mut u8, layout: Layout) -> *mut u8 {
        if block.is_null() {
            heap::failed();
        } else {
            heap::allocated(layout.size(), self.peak);
        }
        block
    }
}

/// How the peak is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PeakMode {
    /// Through the shards, within [`PEAK_BOUND_BYTES`](super::PEAK_BOUND_BYTES).
    #[default]
    Bounded,
    /// One shared total, touched by every operation.
    Exact,
}

#[cfg(test)]
mod tests {
    use std::ptr::null_mut;

    use super::*;
    use crate::contract::HeapTotals;
    use crate::memory::{
        get_currently_allocated_bytes, get_extended_memory_stats, get_peak_allocated_bytes, reset_peak,
    };

    /// Refuses everything.
    struct Full;

    // SAFETY: null is an allowed answer, and nothing is ever handed out.
    unsafe impl GlobalAlloc for Full {
        unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
            null_mut()
        }
        unsafe fn dealloc(&self, _block: *mut u8, _layout: Layout) {}
        unsafe fn realloc(&self, _block: *mut u8, _layout: Layout, _new_size: usize) -> *mut u8 {
            null_mut()
        }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// The one test that counts into the totals of this process, so that none disturbs another.
    #[test]
    fn the_totals_of_the_process() {
        assert_eq!(
            (get_extended_memory_stats(), get_currently_allocated_bytes(), get_peak_allocated_bytes()),
            Default::default()
        );

        let (heap, exact, full) =
            (TrackingAllocator::system(), TrackingAllocator::system().with_exact_peak(), TrackingAllocator::new(Full));
        // SAFETY: the size is not 0.
        let first = unsafe { heap.alloc(layout(100, 1)) };
        // SAFETY: the size is not 0.
        let zeroed = unsafe { heap.alloc_zeroed(layout(4_096, 4_096)) };
        assert!(zeroed.addr().is_multiple_of(4_096));
        // SAFETY: the block has 4096 bytes, zeroed.
        assert!(unsafe { std::slice::from_raw_parts(zeroed, 4_096) }.iter().all(|&byte| byte == 0));
        // SAFETY: the block is `heap`'s with this layout, and the size is not 0.
        let grown = unsafe { heap.realloc(first, layout(100, 1), 2 << 20) };
        // SAFETY: the block is `heap`'s with this layout.
        unsafe { heap.dealloc(zeroed, layout(4_096, 4_096)) };
        // SAFETY: the size is not 0.
        assert!(unsafe { full.alloc(layout(1, 1)) }.is_null());
        // SAFETY: the size is not 0.
        assert!(unsafe { full.alloc_zeroed(layout(1, 1)) }.is_null());
        // SAFETY: `Full` does not look at the block.
        assert!(unsafe { full.realloc(grown, layout(2 << 20, 1), 1) }.is_null());

        let expected = HeapTotals {
            small_allocations: 2,
            small_allocation_bytes: 4_196,
            large_allocation_bytes: 2 << 20,
            deallocations: 1,
            deallocated_bytes: 4_196,
            reallocations: 1,
            failed_allocations: 3,
            ..HeapTotals::default()
        };
        let telemetry = cfg!(feature = "telemetry");
        assert_eq!(get_extended_memory_stats(), telemetry.then_some(expected));
        assert_eq!(get_currently_allocated_bytes(), telemetry.then_some(2 << 20));

        reset_peak();
        // SAFETY: the size is not 0.
        let block = unsafe { exact.alloc(layout(7, 1)) };
        // SAFETY: the block is the system allocator's with this layout.
        unsafe { exact.dealloc(block, layout(7, 1)) };
        // SAFETY: the block is the system allocator's with this layout.
        unsafe { exact.dealloc(grown, layout(2 << 20, 1)) };
        assert_eq!(get_peak_allocated_bytes(), telemetry.then_some((2 << 20) + 7));
        assert_eq!(get_currently_allocated_bytes(), telemetry.then_some(0));
    }
}
