//! Every interleaving of the heap counters' small cases: `RUSTFLAGS="--cfg loom" cargo test --release --test loom_heap`.
//!
//! The counters' own source file is compiled here over loom's atomics, with a fold limit small enough to be reached.
#![cfg(loom)]

#[path = "../src/memory/counters.rs"]
mod counters;

/// What the counters' own file finds in its room.
mod allocator {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum PeakMode {
        Bounded,
        Exact,
    }
}

use allocator::PeakMode;
use counters::{Counters, Shard, Total};
use loom::sync::Arc;
use loom::sync::atomic::{self, AtomicBool, AtomicI64, AtomicU64, Ordering};
use loom::thread;

const LARGE_ALLOCATION_BYTES: usize = 100;
const FOLD_BYTES: i64 = 4;

/// Counters with two shards.
fn heap() -> Arc<Counters<2>> {
    let shard = || Shard {
        small_allocations: AtomicU64::new(0),
        small_bytes: AtomicU64::new(0),
        large_allocations: AtomicU64::new(0),
        large_bytes: AtomicU64::new(0),
        deallocations: AtomicU64::new(0),
        deallocated_bytes: AtomicU64::new(0),
        reallocations: AtomicU64::new(0),
        failures: AtomicU64::new(0),
        unfolded: AtomicI64::new(0),
    };
    let total = Total { live: AtomicI64::new(0), peak: AtomicI64::new(0) };
    Arc::new(Counters { shards: [shard(), shard()], total })
}

/// Blocks and bytes allocated and freed.
fn balance(heap: &Counters<2>) -> ((u64, u64), (u64, u64)) {
    let sums = heap.sums();
    let allocated = (sums.small_allocations + sums.large_allocations, sums.small_bytes + sums.large_bytes);
    (allocated, (sums.deallocations, sums.deallocated_bytes))
}

/// A block goes to another thread, which grows and frees it, while a third reads.
#[test]
fn a_reader_never_sees_more_freed_than_allocated() {
    loom::model(|| {
        let heap = heap();
        let handed_over = Arc::new(AtomicBool::new(false));
        let maker = {
            let (heap, handed_over) = (Arc::clone(&heap), Arc::clone(&handed_over));
            thread::spawn(move || {
                heap.allocated(0, 1, PeakMode::Bounded);
                handed_over.store(true, Ordering::Release);
            })
        };
        let taker = {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                if handed_over.load(Ordering::Acquire) {
                    heap.reallocated(1, 1, 2, PeakMode::Bounded);
                    heap.deallocated(1, 2, PeakMode::Bounded);
                }
            })
        };
        let (allocated, freed) = balance(&heap);
        assert!(freed.0 <= allocated.0 && freed.1 <= allocated.1, "{freed:?} of {allocated:?}");
        maker.join().unwrap();
        taker.join().unwrap();
    });
}

/// Two threads count in one shard, so that their folds meet: nothing is lost, and the totals are exact.
#[test]
fn no_byte_is_lost_between_a_shard_and_the_total() {
    loom::model(|| {
        let heap = heap();
        let threads = [3, 4].map(|size| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || heap.allocated(0, size, PeakMode::Bounded))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        heap.failed(1);
        assert_eq!((balance(&heap), heap.sums().failures), (((2, 7), (0, 0)), 1));
        assert!(heap.peak().abs_diff(7) <= FOLD_BYTES.unsigned_abs());
        heap.reset_peak();
        assert_eq!(heap.peak(), 7);
    });
}

/// Two threads allocate and free in one shard: no count is lost.
#[test]
fn no_count_is_lost_in_a_shared_shard() {
    loom::model(|| {
        let heap = heap();
        let threads = [0, 1].map(|_| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                heap.allocated(0, 1, PeakMode::Bounded);
                heap.deallocated(0, 1, PeakMode::Bounded);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(balance(&heap), ((2, 2), (2, 2)));
    });
}

/// Two threads allocate: whatever their order, both blocks were live at once.
#[test]
fn an_exact_peak_misses_nothing() {
    loom::model(|| {
        let heap = heap();
        let threads = [1, 2].map(|size| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || heap.allocated(size, size, PeakMode::Exact))
        });
        for thread in threads {
            thread.join().unwrap();
        }
        heap.deallocated(0, 2, PeakMode::Exact);
        assert_eq!(heap.peak(), 3);
    });
}

/// A reset while another thread allocates and goes on to free: the bytes that stay live are in the new peak.
#[test]
fn a_reset_keeps_the_peak_of_who_counts_meanwhile() {
    loom::model(|| {
        let heap = heap();
        heap.allocated(0, 50, PeakMode::Exact);
        heap.deallocated(0, 50, PeakMode::Exact);
        let counting = {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                heap.allocated(1, 7, PeakMode::Exact);
                heap.allocated(1, 2, PeakMode::Exact);
            })
        };
        heap.reset_peak();
        counting.join().unwrap();
        assert_eq!(heap.peak(), 9);
    });
}
