//! Time of allocating and freeing through allocators that count, against the bare one, over the system's allocator and mimalloc.
//!
//! Every subject is called through `dyn GlobalAlloc`, much as the compiler calls a global allocator through a symbol, so that none is
//! inlined into the loop. No library shares state with another, so that all run in this process; ours all count into the totals of the
//! process, each thread in its own part.
//!
//! The targets are for the totals on 64 bytes and on the mix. The ratio of the added costs is against that peer which adds least: the
//! shared counters and the limit are not libraries and no peers. What ours counts on request has rows of its own, without a target.

mod mix;
mod peers;
mod reading;
mod subjects;

use std::alloc::Layout;
use std::hint::black_box;
use std::sync::Barrier;

use engine_vitals_core::heap_scope;
use tracking_allocator::AllocationRegistry;

use self::peers::Tally;
use self::subjects::{Heap, OVER_MIMALLOC, OVER_SYSTEM, Peer, SWITCHES};
use crate::harness::{Effort, Rounds, Subject, alternate, cpu_ns};
use crate::report::Row;

const GROUP: &str = "memory";
const OURS_IS: usize = 1;

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
    for peers in [&OVER_SYSTEM[..], &OVER_MIMALLOC[..]] {
        for load in &LOADS {
            for threads in [1, 2] {
                measure(effort, peers, load, threads, &mut rows);
            }
        }
    }
    drop(profiler);
    AllocationRegistry::disable_tracking();
    for load in LOADS.iter().filter(|load| load.target.is_some()) {
        for threads in [1, 2] {
            switches(effort, load, threads, &mut rows);
        }
    }
    rows.extend(reading::rows(effort));
    rows
}

/// An allocator bare, and counted by each.
fn measure(effort: Effort, peers: &[Peer], load: &Load, threads: usize, rows: &mut Vec<Row>) {
    let inner = peers[0].name;
    let rounds = rounds(effort, peers, load, threads);
    let case = format!("{} over {inner}, threads: {threads}", load.name);
    for index in 0..peers.len() {
        let target = load.target.filter(|_| index == OURS_IS && inner == "System");
        let row = row_of(&case, peers, index, &rounds);
        rows.push(target.into_iter().fold(row, Row::at_most));
    }
    if load.target.is_some() {
        rows.extend(added(&rounds, peers, &case));
    }
}

/// What ours counts on request.
fn switches(effort: Effort, load: &Load, threads: usize, rows: &mut Vec<Row>) {
    let rounds = rounds(effort, &SWITCHES, load, threads);
    let case = format!("{} with switches, threads: {threads}", load.name);
    rows.extend((0..SWITCHES.len()).map(|index| row_of(&case, &SWITCHES, index, &rounds)));
}

fn rounds(effort: Effort, peers: &[Peer], load: &Load, threads: usize) -> Rounds {
    let times = effort.times(load.times);
    let subject = |peer: &Peer| Subject::new(peer.name, round_of(load, threads, peer.heap, times / peer.slower));
    alternate(effort, &mut peers.iter().map(subject).collect::<Vec<_>>())
}

/// The ratio is to the first.
fn row_of(case: &str, peers: &[Peer], index: usize, rounds: &Rounds) -> Row {
    let row = Row::new(GROUP, case, peers[index].name, "ns", rounds.value(index));
    if index == 0 { row } else { row.against(peers[0].name, rounds.ratio(index, 0)) }
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
    let work = move |times| match (size, threads) {
        (Some(size), _) => on_threads(threads, || pairs_of(black_box(heap), size, times)),
        (None, 1) => mix::churn(black_box(heap), times),
        (None, _) => mix::churn_and_hand_over(black_box(heap), times),
    };
    move || {
        // After another subject's round the processor has to learn this one's branches again, which a program has done once.
        work((times / 8).max(1));
        work(times)
    }
}

/// Nanoseconds of one pair on this thread.
fn pairs_of(heap: Heap, size: usize, pairs: u64) -> f64 {
    let Ok(layout) = Layout::from_size_align(size, 8) else { return f64::NAN };
    heap_scope!("pairs");
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
