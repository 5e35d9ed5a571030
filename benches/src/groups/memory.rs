//! Time of an allocation of 64 bytes and its freeing, through allocators that count and through the bare one, over the system's allocator.
//!
//! Every subject is called through `dyn GlobalAlloc`, much as the compiler calls a global allocator through a symbol, so that none is
//! inlined into the loop. No subject shares state with another, so that all run in this process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Barrier;

use cap::Cap;
use engine_vitals_core::memory::TrackingAllocator;
use peak_alloc::PeakAlloc;
use stats_alloc::StatsAlloc;

use crate::harness::{Effort, Subject, alternate, cpu_ns};
use crate::report::Row;

const GROUP: &str = "memory";
const BASELINE: &str = "System";
const PAIRS: u64 = 300_000;

static OURS: TrackingAllocator = TrackingAllocator::system();
static OURS_EXACT: TrackingAllocator = TrackingAllocator::system().with_exact_peak();
static CAP: Cap<System> = Cap::new(System, usize::MAX);
static PEAK_ALLOC: PeakAlloc = PeakAlloc;
static STATS_ALLOC: StatsAlloc<System> = StatsAlloc::system();

const SUBJECTS: [(&str, &(dyn GlobalAlloc + Sync)); 6] = [
    (BASELINE, &System),
    ("TrackingAllocator", &OURS),
    ("TrackingAllocator, exact peak", &OURS_EXACT),
    ("cap", &CAP),
    ("peak_alloc", &PEAK_ALLOC),
    ("stats_alloc", &STATS_ALLOC),
];

pub(super) fn run(effort: Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for threads in [1, 2] {
        let pairs = effort.times(PAIRS);
        let mut subjects = SUBJECTS.map(|(name, allocator)| {
            Subject::new(name, move || on_threads(threads, || black_box(pairs_of(black_box(allocator), pairs))))
        });
        let rounds = alternate(effort, &mut subjects);
        let case = format!("64 B alloc + free, threads: {threads}");
        for (index, subject) in subjects.iter().enumerate() {
            let row = Row::new(GROUP, &case, subject.name, "ns", rounds.value(index));
            rows.push(if index == 0 { row } else { row.against(BASELINE, rounds.ratio(index, 0)) });
        }
    }
    rows
}

/// Nanoseconds of one pair on this thread.
fn pairs_of(allocator: &dyn GlobalAlloc, pairs: u64) -> f64 {
    const LAYOUT: Layout = Layout::new::<[u64; 8]>();
    cpu_ns(pairs, || {
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { allocator.alloc(LAYOUT) });
        // SAFETY: the block is this allocator's with this layout. Null, which the system does not give for 64 bytes, is ignored by `free`.
        unsafe { allocator.dealloc(block, LAYOUT) };
    })
}

/// The mean of what `work` gives on so many threads at once.
fn on_threads(threads: usize, work: impl Fn() -> f64 + Sync) -> f64 {
    if threads == 1 {
        return work();
    }
    let barrier = Barrier::new(threads);
    let one = || {
        barrier.wait();
        work()
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let values = handles.into_iter().map(|handle| handle.join().unwrap_or(f64::NAN));
        values.sum::<f64>() / threads as f64
    })
}
