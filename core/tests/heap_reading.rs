//! What reading the heap's figures for a frame allocates: nothing, however many threads have counted.
#![cfg(feature = "telemetry")]

mod counting;

use std::hint::black_box;
use std::sync::Barrier;

use counting::Counting;
use engine_vitals_core::contract::SizeHistogram;
use engine_vitals_core::memory::{
    MOST_TAGS, TrackingAllocator, get_currently_allocated_bytes, get_extended_memory_stats, get_peak_allocated_bytes,
    get_size_histogram, read_heap_tags, reset_peak,
};

const THREADS: u64 = 64;
/// What each thread allocates and keeps.
const EACH: u64 = 1_000;

#[global_allocator]
static HEAP: Counting<TrackingAllocator> = Counting(TrackingAllocator::system().with_tags().with_size_histogram());

/// What `work` gives, and the allocations that it makes on this thread.
fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = counting::allocations();
    let given = work();
    (given, counting::allocations() - before)
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
