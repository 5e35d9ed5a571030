//! What reading the heap's figures for a frame allocates: nothing, however many threads have counted.
#![cfg(feature = "telemetry")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;

use engine_vitals_core::contract::SizeHistogram;
use engine_vitals_core::memory::{
    MOST_TAGS, TrackingAllocator, get_currently_allocated_bytes, get_extended_memory_stats, get_peak_allocated_bytes,
    get_size_histogram, read_heap_tags, reset_peak,
};

const THREADS: u64 = 64;
/// What each thread allocates and keeps.
const EACH: u64 = 1_000;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The tracking allocator, and the calls of each thread apart.
struct Counting(TrackingAllocator);

// SAFETY: all calls are passed on as they came; the counter is a plain cell of the calling thread, without a destructor, and counting
// neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and every block came from the tracking allocator.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps `realloc`'s contract, and every block came from the tracking allocator.
        unsafe { self.0.realloc(block, layout, size) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting(TrackingAllocator::system().with_tags().with_size_histogram());

/// What `work` gives, and the allocations that it makes on this thread.
fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = CALLS.get();
    let given = work();
    (given, CALLS.get() - before)
}

#[test]
fn reading_all_figures_for_a_frame_allocates_nothing() {
    assert_eq!(counted(|| black_box(Box::new(1))).1, 1);
    let (here, done) = (Barrier::new(THREADS as usize + 1), Barrier::new(THREADS as usize + 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let kept = black_box(vec![1_u8; EACH as usize]);
                here.wait();
                done.wait();
                drop(kept);
            });
        }
        here.wait();
        let mut tags = Vec::with_capacity(MOST_TAGS);
        let (figures, allocations) = counted(|| {
            let figures = (get_extended_memory_stats(), get_peak_allocated_bytes(), get_currently_allocated_bytes());
            assert!(read_heap_tags(&mut tags));
            reset_peak();
            (figures, get_size_histogram())
        });
        assert_eq!(allocations, 0);

        let ((totals, peak, live), histogram) = figures;
        let (totals, peak, live) = (totals.unwrap(), peak.unwrap(), live.unwrap());
        assert!(totals.small_allocations >= THREADS && live >= THREADS * EACH, "{totals:?}, live {live}");
        assert!(peak <= totals.small_allocation_bytes + totals.large_allocation_bytes, "{peak} of {totals:?}");
        let bucket = &histogram.unwrap().buckets[SizeHistogram::bucket_of(EACH)];
        assert!(bucket.given >= THREADS, "{bucket:?}");
        assert!(tags.iter().map(|tag| tag.allocated_bytes).sum::<u64>() >= THREADS * EACH);
        done.wait();
    });
}
