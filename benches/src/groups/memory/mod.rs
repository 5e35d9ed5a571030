//! Time of allocating and freeing through allocators that count, against the bare one, over the system's allocator and mimalloc.
//!
//! Every subject is called through `dyn GlobalAlloc`, much as the compiler calls a global allocator through a symbol, so that none is
//! inlined into the loop. No subject shares state with another, so that all run in this process.
//!
//! The targets are for the totals on 64 bytes and on the mix. The ratio of the added costs is against that peer which adds least: the
//! shared counters and the limit are not libraries and no peers.

mod mix;
mod peers;
mod reading;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Barrier;

use cap::Cap;
use engine_vitals_core::memory::TrackingAllocator;
use mimalloc::MiMalloc;
use peak_alloc::PeakAlloc;
use stats_alloc::StatsAlloc;
use tracking_allocator::{AllocationRegistry, Allocator};

use self::peers::{Tally, TwoStores};
use crate::harness::{Effort, Rounds, Subject, alternate, cpu_ns};
use crate::report::Row;

const GROUP: &str = "memory";
const OURS_IS: usize = 1;

type Heap = &'static (dyn GlobalAlloc + Sync);

/// One allocator that is measured.
struct Peer {
    name: &'static str,
    heap: Heap,
    /// Whether its added cost is what ours is held against.
    peer: bool,
    /// Makes the repetitions fewer.
    slower: u64,
}

const fn library(name: &'static str, heap: Heap) -> Peer {
    Peer { name, heap, peer: true, slower: 1 }
}

const fn other(name: &'static str, heap: Heap) -> Peer {
    Peer { name, heap, peer: false, slower: 1 }
}

static CAP: Cap<System> = Cap::new(System, usize::MAX);
static STATS_ALLOC: StatsAlloc<System> = StatsAlloc::system();
static CAP_MIMALLOC: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

/// The bare allocator first, ours second.
static OVER_SYSTEM: [Peer; 10] = [
    other("System", &System),
    other("TrackingAllocator", const { &TrackingAllocator::system() }),
    other("TrackingAllocator, exact peak", const { &TrackingAllocator::system().with_exact_peak() }),
    library("cap", &CAP),
    library("peak_alloc", &PeakAlloc),
    library("stats_alloc", &STATS_ALLOC),
    library("tracking-allocator", const { &Allocator::system() }),
    Peer { slower: 100, ..library("dhat", &dhat::Alloc) },
    other("shared counters", &peers::SHARED),
    other("two stores to thread-locals: the limit", const { &TwoStores(System) }),
];

/// Without those that are made for the system's allocator alone, or cannot be a `static` over another.
static OVER_MIMALLOC: [Peer; 6] = [
    other("mimalloc", &MiMalloc),
    other("TrackingAllocator", const { &TrackingAllocator::new(MiMalloc) }),
    other("TrackingAllocator, exact peak", const { &TrackingAllocator::new(MiMalloc).with_exact_peak() }),
    library("cap", &CAP_MIMALLOC),
    other("shared counters", &peers::SHARED_MIMALLOC),
    other("two stores to thread-locals: the limit", const { &TwoStores(MiMalloc) }),
];

/// What is done again and again.
struct Load {
    name: &'static str,
    times: u64,
    target: Option<f64>,
    work: Work,
}

enum Work {
    /// A block of so many bytes is made and freed.
    Pair(usize),
    Mix,
}

const LOADS: [Load; 5] = [
    Load { name: "16 B alloc + free", times: 300_000, target: None, work: Work::Pair(16) },
    Load { name: "64 B alloc + free", times: 300_000, target: Some(1.20), work: Work::Pair(64) },
    Load { name: "4 KiB alloc + free", times: 150_000, target: None, work: Work::Pair(4 << 10) },
    Load { name: "1 MiB alloc + free", times: 50_000, target: None, work: Work::Pair(1 << 20) },
    Load { name: "mix", times: 1_000, target: Some(1.03), work: Work::Mix },
];

pub(super) fn run(effort: Effort) -> Vec<Row> {
    // Fails if somebody else has: then it tracks too.
    let _ = AllocationRegistry::set_global_tracker(Tally::default());
    AllocationRegistry::enable_tracking();
    let profiler = dhat::Profiler::builder().testing().build();
    let mut rows = Vec::new();
    for (inner, peers) in [("System", &OVER_SYSTEM[..]), ("mimalloc", &OVER_MIMALLOC[..])] {
        for load in &LOADS {
            for threads in [1, 2] {
                measure(effort, inner, peers, load, threads, &mut rows);
            }
        }
    }
    drop(profiler);
    AllocationRegistry::disable_tracking();
    rows.extend(reading::rows(effort));
    rows
}

fn measure(effort: Effort, inner: &'static str, peers: &[Peer], load: &Load, threads: usize, rows: &mut Vec<Row>) {
    let times = effort.times(load.times);
    let mut subjects: Vec<_> = peers
        .iter()
        .map(|peer| Subject::new(peer.name, round_of(load, threads, peer.heap, times / peer.slower)))
        .collect();
    let rounds = alternate(effort, &mut subjects);
    let case = format!("{} over {inner}, threads: {threads}", load.name);
    for (index, peer) in peers.iter().enumerate() {
        let row = Row::new(GROUP, &case, peer.name, "ns", rounds.value(index));
        let row = if index == 0 { row } else { row.against(inner, rounds.ratio(index, 0)) };
        let target = load.target.filter(|_| index == OURS_IS && inner == "System");
        rows.push(target.into_iter().fold(row, Row::at_most));
    }
    if load.target.is_some() {
        rows.extend(added(&rounds, peers, &case));
    }
}

/// What ours adds to the bare allocator, against what the best peer adds.
fn added(rounds: &Rounds, peers: &[Peer], case: &str) -> Option<Row> {
    let added = |index| rounds.difference(index, 0);
    let libraries = (0..peers.len()).filter(|&index| peers[index].peer);
    let best = libraries.min_by(|&one, &other| added(one).total_cmp(&added(other)))?;
    let row = Row::new(GROUP, format!("{case}: added"), peers[OURS_IS].name, "ns", added(OURS_IS));
    Some(row.against(peers[best].name, added(OURS_IS) / added(best)).at_most(1.0 / 3.0))
}

fn round_of(load: &Load, threads: usize, heap: Heap, times: u64) -> impl FnMut() -> f64 + 'static {
    let times = times.max(1);
    let size = match load.work {
        Work::Pair(size) => Some(size),
        Work::Mix => None,
    };
    move || match (size, threads) {
        (Some(size), _) => on_threads(threads, || pairs_of(black_box(heap), size, times)),
        (None, 1) => mix::churn(black_box(heap), times),
        (None, _) => mix::churn_and_hand_over(black_box(heap), times),
    }
}

/// Nanoseconds of one pair on this thread.
fn pairs_of(heap: Heap, size: usize, pairs: u64) -> f64 {
    let Ok(layout) = Layout::from_size_align(size, 8) else { return f64::NAN };
    cpu_ns(pairs, || {
        // SAFETY: the size is not 0.
        let block = black_box(unsafe { heap.alloc(layout) });
        if !block.is_null() {
            // SAFETY: the block is this allocator's with this layout.
            unsafe { heap.dealloc(block, layout) };
        }
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
