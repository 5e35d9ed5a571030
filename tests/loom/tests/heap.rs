//! Every interleaving of the heap counters' small cases: `cargo test --package engine-vitals-loom`.
//!
//! The counters' own source files are compiled here over loom's atomics, with a fold limit small enough to be reached.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[expect(dead_code, reason = "the models use a part of each piece")]
#[path = "../../../core/src/memory/counters.rs"]
mod counters;
#[path = "../../../core/src/memory/tallies.rs"]
mod tallies;

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
use loom::sync::atomic::{self, AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use tallies::{SizeTally, TagTally, Tallies, Writer};

const LARGE_ALLOCATION_BYTES: usize = 100;
const FAR_SHARDS: usize = 1;
const FAR_BYTES: i64 = 4;
const NEAR_BYTES: i64 = 3;

/// Counters with two shards.
fn counters() -> Counters<2> {
    Counters {
        shards: [Shard::default(), Shard::default()],
        shared: Shard::default(),
        used: AtomicUsize::new(0),
        total: Total::default(),
    }
}

fn heap() -> Arc<Counters<2>> {
    Arc::new(counters())
}

/// A thread that begins, counts and ends.
struct Thread<'a> {
    heap: &'a Counters<2>,
    shard: &'a Shard,
    own: bool,
}

impl<'a> Thread<'a> {
    fn begin(heap: &'a Counters<2>) -> Self {
        let own = heap.claim();
        Self { heap, shard: own.unwrap_or(&heap.shared), own: own.is_some() }
    }

    fn without_a_shard(heap: &'a Counters<2>) -> Self {
        Self { heap, shard: &heap.shared, own: false }
    }

    fn allocate(&self, size: usize) {
        if !self.shard.counts_allocated(size) {
            self.heap.allocated(self.shard, size, PeakMode::Bounded);
        }
    }

    fn deallocate(&self, size: usize) {
        if !self.shard.counts_deallocated(size) {
            self.heap.deallocated(self.shard, size, PeakMode::Bounded);
        }
    }

    fn reallocate(&self, old: usize, new: usize) {
        if !self.shard.counts_reallocated(old, new) {
            self.heap.reallocated(self.shard, old, new, PeakMode::Bounded);
        }
    }

    fn allocate_exact(&self, size: usize) {
        self.heap.allocated(self.shard, size, PeakMode::Exact);
    }
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        if self.own {
            self.heap.release(self.shard);
        }
    }
}

/// Blocks and bytes allocated and freed.
fn balance(heap: &Counters<2>) -> ((u64, u64), (u64, u64)) {
    let sums = heap.sums();
    let allocated = (sums.small_allocations + sums.large_allocations, sums.small_bytes + sums.large_bytes);
    (allocated, (sums.deallocations, sums.deallocated_bytes))
}

/// A block goes to another thread, which grows and frees it, while a third reads. Both may begin during the reading.
#[test]
fn a_reader_never_sees_more_freed_than_allocated() {
    loom::model(|| {
        let heap = heap();
        let handed_over = Arc::new(AtomicBool::new(false));
        let maker = {
            let (heap, handed_over) = (Arc::clone(&heap), Arc::clone(&handed_over));
            thread::spawn(move || {
                let thread = Thread::begin(&heap);
                thread.allocate(1);
                handed_over.store(true, Ordering::Release);
                std::mem::forget(thread);
            })
        };
        let taker = {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                if handed_over.load(Ordering::Acquire) {
                    let thread = Thread::without_a_shard(&heap);
                    thread.reallocate(1, 2);
                    thread.deallocate(2);
                }
            })
        };
        let (allocated, freed) = balance(&heap);
        assert!(freed.0 <= allocated.0 && freed.1 <= allocated.1, "{freed:?} of {allocated:?}");
        maker.join().unwrap();
        taker.join().unwrap();
    });
}

/// As above, the short way, where the taker frees in the shard that the maker has left.
#[test]
fn a_reader_never_sees_more_freed_than_allocated_in_a_shard_that_changes_hands() {
    loom::model(|| {
        let heap = heap();
        let other = {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                Thread::begin(&heap).allocate(1);
                let thread = Thread::begin(&heap);
                thread.deallocate(1);
                std::mem::forget(thread);
            })
        };
        let (allocated, freed) = balance(&heap);
        assert!(freed.0 <= allocated.0 && freed.1 <= allocated.1, "{freed:?} of {allocated:?}");
        other.join().unwrap();
        assert_eq!(balance(&heap), ((1, 1), (1, 1)));
    });
}

/// A thread may take over another's shard as soon as it is released: it goes on from the other's figures.
#[test]
fn no_count_is_lost_when_a_shard_changes_hands() {
    loom::model(|| {
        let heap = heap();
        // One of the two shards is taken for good.
        std::mem::forget(Thread::begin(&heap));
        let threads = [1, 2].map(|size| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                let thread = Thread::begin(&heap);
                thread.allocate(size);
                thread.deallocate(size);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(balance(&heap), ((2, 3), (2, 3)));
        heap.reset_peak(None);
        assert_eq!(heap.peak(), 0);
    });
}

/// Two threads fold: nothing is lost, and the totals are exact.
#[test]
fn no_byte_is_lost_between_a_shard_and_the_total() {
    loom::model(|| {
        let heap = heap();
        let threads = [4, 5].map(|size| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                let thread = Thread::begin(&heap);
                thread.allocate(size);
                std::mem::forget(thread);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        heap.failed(&heap.shared);
        assert_eq!((balance(&heap), heap.sums().failures), (((2, 9), (0, 0)), 1));
        assert_eq!(heap.peak(), 9);
        heap.reset_peak(None);
        assert_eq!(heap.peak(), 9);
    });
}

/// Two threads do the same in the shared shard at once: no count is lost.
fn twice_in_the_shared_shard(before: impl Fn(&Thread<'_>), work: fn(&Thread<'_>)) -> Arc<Counters<2>> {
    let heap = heap();
    before(&Thread::without_a_shard(&heap));
    let threads = [(); 2].map(|()| {
        let heap = Arc::clone(&heap);
        thread::spawn(move || work(&Thread::without_a_shard(&heap)))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    heap
}

#[test]
fn no_allocation_is_lost_in_the_shared_shard() {
    loom::model(|| {
        let heap = twice_in_the_shared_shard(|_| {}, |thread| thread.allocate(1));
        assert_eq!((balance(&heap), heap.peak()), (((2, 2), (0, 0)), 2));
    });
}

#[test]
fn no_freeing_is_lost_in_the_shared_shard() {
    loom::model(|| {
        let allocate = |thread: &Thread<'_>| [1, 1].into_iter().for_each(|size| thread.allocate(size));
        let heap = twice_in_the_shared_shard(allocate, |thread| thread.deallocate(1));
        assert_eq!((balance(&heap), heap.peak()), (((2, 2), (2, 2)), 2));
        heap.reset_peak(None);
        assert_eq!(heap.peak(), 0);
    });
}

/// Two threads allocate: whatever their order, both blocks were live at once.
#[test]
fn an_exact_peak_misses_nothing() {
    loom::model(|| {
        let heap = heap();
        let threads = [1, 2].map(|size| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                let thread = Thread::begin(&heap);
                thread.allocate_exact(size);
                std::mem::forget(thread);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        heap.deallocated(&heap.shared, 2, PeakMode::Exact);
        assert_eq!(heap.peak(), 3);
    });
}

/// A reset while another thread allocates and goes on to free: the bytes that stay live are in the new peak.
#[test]
fn a_reset_keeps_the_peak_of_who_counts_meanwhile() {
    loom::model(|| {
        let heap = heap();
        let own = heap.claim().unwrap();
        heap.allocated(own, 50, PeakMode::Exact);
        heap.deallocated(own, 50, PeakMode::Exact);
        let counting = {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                let thread = Thread::begin(&heap);
                thread.allocate_exact(7);
                thread.allocate_exact(2);
                std::mem::forget(thread);
            })
        };
        heap.reset_peak(Some(own));
        counting.join().unwrap();
        assert_eq!(heap.peak(), 9);
    });
}

/// Counters with two shards, and what each of them and the shared one tallies for one tag and one size.
struct Tagged {
    heap: Counters<2>,
    tallies: [Tallies<1, 1>; 3],
}

impl Tagged {
    fn new() -> Arc<Self> {
        let tallies = || Tallies { tags: [TagTally::default()], sizes: [SizeTally::default()] };
        Arc::new(Self { heap: counters(), tallies: [tallies(), tallies(), tallies()] })
    }

    fn of(&self, thread: &Thread<'_>) -> (&Tallies<1, 1>, Writer) {
        let own = self.heap.shards.iter().position(|shard| std::ptr::eq(shard, thread.shard));
        own.map_or((&self.tallies[2], Writer::AmongOthers), |index| (&self.tallies[index], Writer::Alone))
    }

    /// What a reader reads: the shared ones and those whose shards have ever been claimed.
    fn used(&self) -> impl Iterator<Item = &Tallies<1, 1>> {
        let used = self.heap.used.load(Ordering::Relaxed);
        self.tallies[..2].iter().take(used).chain([&self.tallies[2]])
    }

    /// Blocks and bytes of the tag, gained and lost: all that is lost is read first.
    fn tag(&self) -> ((u64, u64), (u64, u64)) {
        let sum = |sum: (u64, u64), one: (u64, u64)| (sum.0 + one.0, sum.1 + one.1);
        let lost = self.used().map(|tallies| tallies.tags[0].lost()).fold((0, 0), sum);
        let gained = self.used().map(|tallies| tallies.tags[0].gained()).fold((0, 0), sum);
        (gained, lost)
    }

    /// Blocks that were given the size, and that have lost it.
    fn size(&self) -> (u64, u64) {
        let taken = self.used().map(|tallies| tallies.sizes[0].taken.load(Ordering::Acquire)).sum();
        let given = self.used().map(|tallies| tallies.sizes[0].given.load(Ordering::Relaxed)).sum();
        (given, taken)
    }
}

/// A block of a tag goes to another thread, which grows and frees it, while a third reads. The maker may begin during the reading.
#[test]
fn a_reader_never_sees_more_freed_of_a_tag_than_allocated() {
    loom::model(|| {
        let all = Tagged::new();
        let handed_over = Arc::new(AtomicBool::new(false));
        let maker = {
            let (all, handed_over) = (Arc::clone(&all), Arc::clone(&handed_over));
            thread::spawn(move || {
                let thread = Thread::begin(&all.heap);
                let (tallies, writer) = all.of(&thread);
                tallies.tags[0].allocated(writer, 1);
                handed_over.store(true, Ordering::Release);
                std::mem::forget(thread);
            })
        };
        let taker = {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                if handed_over.load(Ordering::Acquire) {
                    let (tallies, writer) = all.of(&Thread::without_a_shard(&all.heap));
                    tallies.tags[0].reallocated(writer, 1, 2);
                    tallies.tags[0].deallocated(writer, 2);
                }
            })
        };
        let (gained, lost) = all.tag();
        assert!(lost.0 <= gained.0 && lost.1 <= gained.1, "{lost:?} of {gained:?}");
        maker.join().unwrap();
        taker.join().unwrap();
    });
}

/// As above, where the block is freed, and its size lost, in the shard that the maker has left.
#[test]
fn a_reader_never_sees_more_lost_than_gained_in_tallies_that_change_hands() {
    loom::model(|| {
        let all = Tagged::new();
        let other = {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                let thread = Thread::begin(&all.heap);
                let (tallies, writer) = all.of(&thread);
                tallies.tags[0].allocated(writer, 3);
                tallies.sizes[0].give(writer);
                drop(thread);
                let thread = Thread::begin(&all.heap);
                let (tallies, writer) = all.of(&thread);
                tallies.tags[0].deallocated(writer, 3);
                tallies.sizes[0].take(writer);
                std::mem::forget(thread);
            })
        };
        let (gained, lost) = all.tag();
        assert!(lost.0 <= gained.0 && lost.1 <= gained.1, "{lost:?} of {gained:?}");
        let (given, taken) = all.size();
        assert!(taken <= given, "{taken} of {given}");
        other.join().unwrap();
        assert_eq!((all.tag(), all.size()), (((1, 3), (1, 3)), (1, 1)));
    });
}

/// Two threads for one shard: one ends, and the other goes on from its tallies, or counts in the shared ones beside it.
#[test]
fn no_tally_is_lost_when_a_shard_changes_hands() {
    loom::model(|| {
        let all = Tagged::new();
        // One of the two shards is taken for good.
        std::mem::forget(Thread::begin(&all.heap));
        let threads = [1, 2].map(|size| {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                let thread = Thread::begin(&all.heap);
                let (tallies, writer) = all.of(&thread);
                tallies.tags[0].allocated(writer, size);
                tallies.tags[0].deallocated(writer, size);
                tallies.sizes[0].give(writer);
                tallies.sizes[0].take(writer);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((all.tag(), all.size()), (((2, 3), (2, 3)), (2, 2)));
    });
}

/// Two threads without a shard of their own count the same tag and size at once.
#[test]
fn no_tally_is_lost_among_threads_without_a_shard() {
    loom::model(|| {
        let all = Tagged::new();
        let threads = [1, 2].map(|size| {
            let all = Arc::clone(&all);
            thread::spawn(move || {
                let (tallies, writer) = all.of(&Thread::without_a_shard(&all.heap));
                tallies.tags[0].allocated(writer, size);
                tallies.tags[0].reallocated(writer, size, size + 1);
                tallies.sizes[0].give(writer);
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!((all.tag(), all.size()), (((2, 8), (0, 3)), (2, 0)));
    });
}

/// Two threads end and another begins, in whatever order: each takes the distance to the next sample over, and none is drawn for two.
#[test]
fn a_due_sample_changes_hands_with_its_shard() {
    const FAR_OFF: u64 = 1 << 40;
    loom::model(|| {
        let heap = heap();
        // One of the two shards is taken for good.
        std::mem::forget(Thread::begin(&heap));
        let threads = [(); 2].map(|()| {
            let heap = Arc::clone(&heap);
            thread::spawn(move || {
                let Some(shard) = heap.claim() else { return false };
                let _sampled = heap.is_sampled(shard, 1, FAR_OFF);
                heap.allocated(shard, 1, PeakMode::Bounded);
                heap.release(shard);
                true
            })
        });
        let counted = threads.map(|thread| thread.join().unwrap()).into_iter().filter(|&counted| counted).count();
        assert!(counted > 0);
        let shard = &heap.shards[1];
        // The first has drawn one distance, and a second that came after it, none.
        assert_ne!(shard.sample_at.load(Ordering::Relaxed), 0);
        let drawn_once = shard.random.load(Ordering::Relaxed);
        let twin = self::heap();
        std::mem::forget(Thread::begin(&twin));
        let own = twin.claim().unwrap();
        twin.is_sampled(own, 0, FAR_OFF);
        assert_eq!(drawn_once, own.random.load(Ordering::Relaxed));
    });
}
