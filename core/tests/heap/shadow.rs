//! The shadow: what passes through the global allocator, counted once more.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use engine_vitals_core::contract::HeapTotals;
use engine_vitals_core::memory::{
    LARGE_ALLOCATION_BYTES, TrackingAllocator, get_currently_allocated_bytes, get_extended_memory_stats,
    get_peak_allocated_bytes, reset_peak,
};

use super::switches::{self, Errors};

/// The tracking allocator under test with the shadow around it.
pub(crate) struct Shadow<A> {
    under_test: TrackingAllocator<A>,
}

impl<A> Shadow<A> {
    pub(crate) const fn new(under_test: TrackingAllocator<A>) -> Self {
        Self { under_test }
    }
}

/// One counter for the whole process, added to atomically, on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Every figure a counter of its own. Nothing is spread over threads, folded, or derived.
struct Tally {
    large_allocations: Count,
    large_bytes: Count,
    small_allocations: Count,
    small_bytes: Count,
    deallocations: Count,
    deallocated_bytes: Count,
    reallocations: Count,
    failures: Count,
    /// Whether each operation and its tally happen under one lock, so that both see one order of operations.
    in_one_order: AtomicBool,
    locked: AtomicBool,
    /// The highest live bytes, while all is in one order.
    peak: AtomicU64,
}

static TALLY: Tally = Tally {
    large_allocations: ZERO,
    large_bytes: ZERO,
    small_allocations: ZERO,
    small_bytes: ZERO,
    deallocations: ZERO,
    deallocated_bytes: ZERO,
    reallocations: ZERO,
    failures: ZERO,
    in_one_order: AtomicBool::new(false),
    locked: AtomicBool::new(false),
    peak: AtomicU64::new(0),
};

#[expect(clippy::declare_interior_mutable_const, reason = "copied into each counter of a static")]
pub(super) const ZERO: Count = Count(AtomicU64::new(0));

impl Tally {
    fn observe<R>(&self, run: impl FnOnce() -> R, tally: impl FnOnce(&Self, &R)) -> R {
        if !self.in_one_order.load(Ordering::Relaxed) {
            let result = run();
            tally(self, &result);
            return result;
        }
        while self.locked.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        let result = run();
        tally(self, &result);
        self.peak.fetch_max(self.live(), Ordering::Relaxed);
        self.locked.store(false, Ordering::Release);
        result
    }

    fn live(&self) -> u64 {
        self.large_bytes.get() + self.small_bytes.get() - self.deallocated_bytes.get()
    }

    fn gained(&self, size: usize, blocks: u64) {
        let (count, bytes) = if size >= LARGE_ALLOCATION_BYTES {
            (&self.large_allocations, &self.large_bytes)
        } else {
            (&self.small_allocations, &self.small_bytes)
        };
        count.add(blocks);
        bytes.add(size as u64);
        switches::given(size);
    }

    fn lost(&self, size: usize, blocks: u64) {
        self.deallocations.add(blocks);
        self.deallocated_bytes.add(size as u64);
        switches::taken(size);
    }

    fn made(&self, block: *mut u8, size: usize) {
        if block.is_null() {
            self.failures.add(1);
        } else {
            self.gained(size, 1);
        }
    }

    fn totals(&self) -> HeapTotals {
        HeapTotals {
            large_allocations: self.large_allocations.get(),
            large_allocation_bytes: self.large_bytes.get(),
            small_allocations: self.small_allocations.get(),
            small_allocation_bytes: self.small_bytes.get(),
            deallocations: self.deallocations.get(),
            deallocated_bytes: self.deallocated_bytes.get(),
            reallocations: self.reallocations.get(),
            failed_allocations: self.failures.get(),
            fragmentation_ratio: None,
        }
    }
}

// SAFETY: every call goes to the allocator under test unchanged, and its answer comes back unchanged.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Shadow<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.alloc(layout) };
        TALLY.observe(run, |tally, &block| tally.made(block, layout.size()))
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.alloc_zeroed(layout) };
        TALLY.observe(run, |tally, &block| tally.made(block, layout.size()))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.dealloc(block, layout) };
        TALLY.observe(run, |tally, ()| tally.lost(layout.size(), 1));
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let run = || unsafe { self.under_test.realloc(block, layout, new_size) };
        TALLY.observe(run, |tally, moved| {
            if moved.is_null() {
                tally.failures.add(1);
            } else {
                tally.reallocations.add(1);
                tally.gained(new_size, 0);
                tally.lost(layout.size(), 0);
            }
        })
    }
}

/// Makes the shadow and the allocator under test see one order of operations from here on, so that the peaks can be compared, which start
/// anew. Call it while no other thread allocates.
pub(super) fn in_one_order() {
    TALLY.in_one_order.store(true, Ordering::Relaxed);
    reset_peaks();
}

/// Starts both peaks anew. Call it while no other thread allocates.
pub(super) fn reset_peaks() {
    reset_peak();
    TALLY.peak.store(TALLY.live(), Ordering::Relaxed);
}

/// The peak of the allocator under test and the shadow's.
pub(super) fn peaks() -> (u64, u64) {
    (get_peak_allocated_bytes().expect("the heap is counted"), TALLY.peak.load(Ordering::Relaxed))
}

/// Asserts that the totals equal the shadow's to the byte. Call it while no other thread allocates.
pub(super) fn assert_equal_to_the_byte(when: &str) {
    let compared = Compared::now();
    assert_eq!(compared.counted, compared.shadow, "{when}");
    assert_eq!(compared.live, compared.shadow.live_bytes(), "{when}");
    if let Some(errors) = compared.switched {
        assert!(errors.none(), "{when}: {errors:?}");
    }
}

/// The totals and the shadow's, at one time.
#[derive(Clone, Copy)]
pub(super) struct Compared {
    counted: HeapTotals,
    shadow: HeapTotals,
    live: Option<u64>,
    /// What is counted beside the totals.
    pub(super) switched: Option<Errors>,
}

impl Compared {
    /// Call it while no other thread allocates.
    pub(super) fn now() -> Self {
        switches::make_room();
        let counted = get_extended_memory_stats().unwrap_or_default();
        let shadow = TALLY.totals();
        Self { counted, shadow, live: get_currently_allocated_bytes(), switched: Errors::now(&shadow) }
    }

    /// Calls of the allocator, refused ones among them, as the shadow counted them.
    pub(super) fn operations(&self) -> u64 {
        let HeapTotals { deallocations, reallocations, failed_allocations, .. } = self.shadow;
        self.shadow.allocations() + deallocations + reallocations + failed_allocations
    }

    /// By how many bytes the figures are wrong, all figures of bytes together.
    pub(super) fn byte_error(&self) -> u64 {
        let bytes = |totals: &HeapTotals| {
            [totals.large_allocation_bytes, totals.small_allocation_bytes, totals.deallocated_bytes]
        };
        let live = self.live.unwrap_or(u64::MAX).abs_diff(self.shadow.live_bytes().unwrap_or(0));
        difference(bytes(&self.counted), bytes(&self.shadow)).saturating_add(live)
    }

    /// By how much the counts are wrong, all counts together.
    pub(super) fn count_error(&self) -> u64 {
        let counts = |totals: &HeapTotals| {
            let HeapTotals { large_allocations, small_allocations, deallocations, .. } = *totals;
            [large_allocations, small_allocations, deallocations, totals.reallocations, totals.failed_allocations]
        };
        difference(counts(&self.counted), counts(&self.shadow))
    }

    /// Asserts that every figure has something to prove.
    pub(super) fn assert_every_kind_occurred(&self) {
        let HeapTotals { large_allocations, small_allocations, deallocations, .. } = self.shadow;
        let HeapTotals { reallocations, failed_allocations, .. } = self.shadow;
        let counts = [large_allocations, small_allocations, deallocations, reallocations, failed_allocations];
        assert!(counts.into_iter().all(|count| count > 0), "{:?}", self.shadow);
        switches::assert_all_tags_occurred();
    }
}

fn difference<const N: usize>(counted: [u64; N], shadow: [u64; N]) -> u64 {
    counted.into_iter().zip(shadow).map(|(counted, shadow)| counted.abs_diff(shadow)).sum()
}
