//! The allocator that counts.

use std::alloc::{GlobalAlloc, Layout, System};
#[cfg(feature = "telemetry")]
use std::ptr::null_mut;

use super::inner::InnerAllocator;
#[cfg(feature = "telemetry")]
use super::note::Note;
#[cfg(feature = "telemetry")]
use super::{heap, switches};

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
/// By default a thread's bytes reach the one total that the peak is taken from at the latest when they have changed by 128 KiB, or 16 KiB
/// where more than 16 threads count at once, so that threads do not contend for it; the peak is then within
/// [`PEAK_BOUND_BYTES`](super::PEAK_BOUND_BYTES) (3.75 MiB) of the truth.
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
    switches: Switches,
}

impl TrackingAllocator {
    /// Counts what passes through the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        Self::new(System).with_inner_kind(InnerAllocator::System)
    }
}

impl<A> TrackingAllocator<A> {
    /// Counts what passes through `inner`.
    #[must_use]
    pub const fn new(inner: A) -> Self {
        Self { inner, switches: Switches::NONE }
    }

    /// Says which allocator the inner one is, so that its own figures can be read ([`inner_allocator`](super::inner_allocator)). Only for
    /// one that [`new`](Self::new) was given: a wrapper of your own around mimalloc, say. The other constructors say it themselves.
    #[must_use]
    pub const fn with_inner_kind(mut self, kind: InnerAllocator) -> Self {
        self.switches.inner = kind;
        self
    }

    /// Keeps the peak exact to the byte, at the price of two shared atomic operations per call, for which threads contend.
    ///
    /// Exact means: the highest value of the live bytes in the one order in which all operations were counted. It holds if every tracking
    /// allocator of the process was made so.
    #[must_use]
    pub const fn with_exact_peak(mut self) -> Self {
        self.switches.peak = PeakMode::Exact;
        self.switches.any = true;
        self
    }

    /// Counts blocks by size too, for [`get_size_histogram`](super::get_size_histogram).
    #[must_use]
    pub const fn with_size_histogram(mut self) -> Self {
        self.switches.sizes = true;
        self.switches.any = true;
        self
    }

    /// Charges each block to the [`HeapTag`](super::HeapTag) that is current where it is allocated, for
    /// [`read_heap_tags`](super::read_heap_tags).
    ///
    /// So that its freeing is charged to the same tag, on whatever thread, each block carries 4 bytes behind those asked for, which
    /// the inner allocator rounds up as it does all sizes: a block of 64 bytes takes 80 of glibc's instead of 80 and 80 of mimalloc's
    /// instead of 64; one of 4,096 bytes at an alignment of 4,096 takes twice as much. They are not counted.
    #[must_use]
    pub const fn with_tags(mut self) -> Self {
        self.switches.tags = true;
        self.switches.any = true;
        self
    }

    /// Samples the call sites of blocks, on average one for each `mean_interval` bytes that are allocated, for
    /// [`get_heap_profile`](super::get_heap_profile). 512 KiB is a good beginning; 0 samples nothing.
    ///
    /// A sample walks the stack, which costs microseconds; other blocks cost as much as
    /// [`with_tags`](Self::with_tags), whose 4 bytes behind each block this needs too, and has for nothing where there are tags. The
    /// estimates hold if every tracking allocator of the process was made so, with the same interval.
    ///
    /// The walk is the platform's unwinder's, through the crate `backtrace`. On Linux with glibc 2.35 and a libgcc of GCC 12, or newer, it
    /// neither locks nor allocates; where it does allocate, that is counted and not sampled. There are no call sites in WebAssembly and on
    /// 32-bit Windows.
    #[cfg(any(feature = "call-sites", not(feature = "telemetry")))]
    #[must_use]
    pub const fn with_call_sites(mut self, mean_interval: u64) -> Self {
        self.switches.mean_interval = mean_interval;
        self.switches.any = true;
        self
    }

    /// The inner allocator.
    #[must_use]
    pub const fn inner(&self) -> &A {
        &self.inner
    }
}

/// What an allocator does beside counting the totals, and which is inside. Constant in a `static`, so that the compiler leaves out what is off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Switches {
    /// Whether anything is on: what the common case asks.
    any: bool,
    pub(super) inner: InnerAllocator,
    pub(super) peak: PeakMode,
    pub(super) tags: bool,
    pub(super) sizes: bool,
    /// 0: no block is sampled.
    pub(super) mean_interval: u64,
}

impl Switches {
    const NONE: Self = Self {
        any: false,
        inner: InnerAllocator::Unknown,
        peak: PeakMode::Bounded,
        tags: false,
        sizes: false,
        mean_interval: 0,
    };

    /// Whether there is a note behind each block.
    #[cfg(feature = "telemetry")]
    #[inline(always)]
    const fn notes(&self) -> bool {
        self.tags || self.mean_interval > 0
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self::NONE
    }
}

#[cfg(feature = "telemetry")]
// SAFETY: every call is handed to the inner allocator and its answer is handed back, so that the contract is kept if the inner allocator
// keeps it: unchanged, or, where blocks carry a note, with a layout that is as much larger in each call for the same block. What is done
// besides, counting, neither unwinds nor allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TrackingAllocator<A> {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.switches.any {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the closure's.
            return self.alloc_switched(layout, |layout| unsafe { self.inner.alloc(layout) });
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the inner allocator's.
        let block = unsafe { self.inner.alloc(layout) };
        self.count(block, layout)
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.switches.any {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`, which is the closure's.
            return self.alloc_switched(layout, |layout| unsafe { self.inner.alloc_zeroed(layout) });
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`, which is the inner allocator's.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        self.count(block, layout)
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if self.switches.any {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
            return unsafe { self.dealloc_switched(block, layout) };
        }
        // Counted first: once the block is free, another thread may be given it, and must not be counted before.
        if heap::mine().counts_deallocated(layout.size()) {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, which is the inner allocator's.
            unsafe { self.inner.dealloc(block, layout) };
        } else {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
            unsafe { self.dealloc_the_long_way(block, layout) };
        }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.switches.any {
            // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`.
            return unsafe { self.realloc_switched(block, layout, new_size) };
        }
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`, which is the inner allocator's.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if moved.is_null() {
            heap::failed(self.switches.inner);
        } else {
            heap::reallocated(layout.size(), new_size, self.switches.inner);
        }
        moved
    }
}

#[cfg(feature = "telemetry")]
impl<A> TrackingAllocator<A> {
    #[inline(always)]
    fn count(&self, block: *mut u8, layout: Layout) -> *mut u8 {
        if block.is_null() {
            heap::failed(self.switches.inner);
        } else {
            heap::allocated(layout.size(), self.switches.inner);
        }
        block
    }
}

#[cfg(feature = "telemetry")]
impl<A: GlobalAlloc> TrackingAllocator<A> {
    /// A function of its own, so that the common case has nothing to keep for afterwards and ends in a jump to the inner allocator.
    ///
    /// # Safety
    /// That of `GlobalAlloc::dealloc`.
    #[cold]
    #[inline(never)]
    unsafe fn dealloc_the_long_way(&self, block: *mut u8, layout: Layout) {
        heap::deallocated_the_long_way(layout.size(), self.switches.inner);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, which is the inner allocator's.
        unsafe { self.inner.dealloc(block, layout) };
    }
}

/// The same with what is switched on.
#[cfg(feature = "telemetry")]
impl<A: GlobalAlloc> TrackingAllocator<A> {
    /// The layout that the inner allocator is asked for; `None` where there is none so large.
    #[inline(always)]
    fn outer(&self, layout: Layout) -> Option<Layout> {
        if self.switches.notes() { Note::behind(layout) } else { Some(layout) }
    }

    #[inline(always)]
    fn alloc_switched(&self, layout: Layout, alloc: impl FnOnce(Layout) -> *mut u8) -> *mut u8 {
        let block = self.outer(layout).map_or(null_mut(), alloc);
        if block.is_null() {
            heap::failed(self.switches.inner);
            return block;
        }
        let note = switches::allocated(layout.size(), &self.switches);
        if self.switches.notes() {
            // SAFETY: the block has just been allocated with the outer layout.
            unsafe { note.write(block, layout.size()) };
        }
        block
    }

    /// # Safety
    /// That of `GlobalAlloc::dealloc`.
    #[inline(always)]
    unsafe fn dealloc_switched(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller says that the block is from this allocator with this layout.
        let (note, outer) = unsafe { self.note_of(block, layout) };
        switches::deallocated(layout.size(), note, &self.switches);
        // SAFETY: the block was allocated with the outer layout.
        unsafe { self.inner.dealloc(block, outer) };
    }

    /// # Safety
    /// That of `GlobalAlloc::realloc`.
    #[inline(always)]
    unsafe fn realloc_switched(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller says that the block is from this allocator with this layout.
        let (note, outer) = unsafe { self.note_of(block, layout) };
        let wanted = Layout::from_size_align(new_size, layout.align()).ok().and_then(|layout| self.outer(layout));
        // SAFETY: the block was allocated with the outer layout, and the wanted size is neither 0 nor too large for its alignment.
        let moved = wanted.map_or(null_mut(), |wanted| unsafe { self.inner.realloc(block, outer, wanted.size()) });
        if moved.is_null() {
            heap::failed(self.switches.inner);
            return moved;
        }
        let note = switches::reallocated(layout.size(), new_size, note, &self.switches);
        if self.switches.notes() {
            // SAFETY: the block has just been given the wanted layout.
            unsafe { note.write(moved, new_size) };
        }
        moved
    }

    /// What is noted behind a block, and the layout that it was allocated with.
    ///
    /// # Safety
    /// The block is from this allocator with this layout.
    #[inline(always)]
    unsafe fn note_of(&self, block: *const u8, layout: Layout) -> (Note, Layout) {
        // There was such a layout when the block was allocated.
        match Note::behind(layout) {
            // SAFETY: the block was allocated with this outer layout and its note was written.
            Some(outer) if self.switches.notes() => (unsafe { Note::read(block, layout.size()) }, outer),
            _ => (Note::NONE, layout),
        }
    }
}

#[cfg(not(feature = "telemetry"))]
// SAFETY: every call is handed to the inner allocator unchanged and its answer is handed back unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for TrackingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the inner allocator's.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`, which is the inner allocator's.
        unsafe { self.inner.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`, which is the inner allocator's.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc::realloc`, which is the inner allocator's.
        unsafe { self.inner.realloc(block, layout, new_size) }
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
        get_currently_allocated_bytes, get_extended_memory_stats, get_peak_allocated_bytes, inner_allocator,
        read_heap_tags, reset_peak,
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
        let switched = TrackingAllocator::system().with_tags().with_size_histogram();
        let before = get_extended_memory_stats();
        for make in [GlobalAlloc::alloc, GlobalAlloc::alloc_zeroed] {
            // SAFETY: the size is not 0.
            let block = unsafe { make(&switched, layout(33, 8)) };
            // SAFETY: the block is `switched`'s with this layout, and the size is not 0.
            let block = unsafe { switched.realloc(block, layout(33, 8), 3_000) };
            // SAFETY: the block has 3,000 bytes.
            unsafe { block.write_bytes(1, 3_000) };
            // SAFETY: the block is `switched`'s with this layout.
            unsafe { switched.dealloc(block, layout(3_000, 8)) };
        }
        let mut tags = Vec::new();
        assert_eq!(read_heap_tags(&mut tags), telemetry);
        let untagged: Vec<_> =
            tags.iter().filter(|tag| tag.allocations > 0).map(|tag| (tag.name, tag.allocations)).collect();
        assert_eq!(untagged, if telemetry { vec![("untagged", 2)] } else { vec![] });
        assert!(tags.iter().all(|tag| tag.live_bytes() == Some(0)));
        let counted =
            |totals: Option<HeapTotals>| totals.map(|totals| (totals.allocations(), totals.deallocated_bytes));
        let more = |(blocks, bytes)| (blocks + 2, bytes + 2 * 3_033);
        assert_eq!(counted(get_extended_memory_stats()), counted(before).map(more), "notes are not counted");

        let first = if telemetry { InnerAllocator::System } else { InnerAllocator::Unknown };
        assert_eq!(inner_allocator(), first, "the first that was allocated from");
    }
}
