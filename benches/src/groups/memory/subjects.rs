//! The allocators that are measured.

use std::alloc::{GlobalAlloc, Layout, System};

use cap::Cap;
use engine_vitals_core::memory::TrackingAllocator;
use mimalloc::MiMalloc;
use peak_alloc::PeakAlloc;
use stats_alloc::StatsAlloc;
use tracking_allocator::Allocator;

use super::peers::{SharedCounters, TwoStores};

pub(super) type Heap = &'static (dyn GlobalAlloc + Sync);

/// One allocator that is measured.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) heap: Heap,
    /// Whether its added cost is what ours is held against.
    pub(super) peer: bool,
    /// Makes the repetitions fewer.
    pub(super) slower: u64,
}

const fn library(name: &'static str, heap: Heap) -> Peer {
    Peer { name, heap, peer: true, slower: 1 }
}

const fn other(name: &'static str, heap: Heap) -> Peer {
    Peer { name, heap, peer: false, slower: 1 }
}

/// An allocator behind functions of its own, which know the `static` that it is, as the compiler makes them of a `#[global_allocator]`:
/// what is constant in the value is constant in them.
macro_rules! global {
    ($allocator:ty, $value:expr) => {{
        static HEAP: $allocator = $value;
        struct Global;
        // SAFETY: every call is handed to the allocator unchanged, and its answer is handed back unchanged.
        unsafe impl GlobalAlloc for Global {
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                // SAFETY: the caller keeps the contract.
                unsafe { HEAP.alloc(layout) }
            }
            unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                // SAFETY: the caller keeps the contract.
                unsafe { HEAP.alloc_zeroed(layout) }
            }
            unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
                // SAFETY: the caller keeps the contract.
                unsafe { HEAP.dealloc(block, layout) }
            }
            unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                // SAFETY: the caller keeps the contract.
                unsafe { HEAP.realloc(block, layout, new_size) }
            }
        }
        &Global
    }};
}

const OURS: &str = "TrackingAllocator";

/// The bare allocator first, ours second.
pub(super) static OVER_SYSTEM: [Peer; 9] = [
    other("System", global!(System, System)),
    other(OURS, global!(TrackingAllocator, TrackingAllocator::system())),
    library("cap", global!(Cap<System>, Cap::new(System, usize::MAX))),
    library("peak_alloc", global!(PeakAlloc, PeakAlloc)),
    library("stats_alloc", global!(StatsAlloc<System>, StatsAlloc::system())),
    library("tracking-allocator", global!(Allocator<System>, Allocator::system())),
    Peer { slower: 100, ..library("dhat", global!(dhat::Alloc, dhat::Alloc)) },
    other("shared counters", global!(SharedCounters<System>, SharedCounters::new(System))),
    other("two stores to thread-locals: the limit", global!(TwoStores<System>, TwoStores(System))),
];

/// Without those that are made for the system's allocator alone, or cannot be a `static` over another.
pub(super) static OVER_MIMALLOC: [Peer; 5] = [
    other("mimalloc", global!(MiMalloc, MiMalloc)),
    other(OURS, global!(TrackingAllocator<MiMalloc>, TrackingAllocator::new(MiMalloc))),
    library("cap", global!(Cap<MiMalloc>, Cap::new(MiMalloc, usize::MAX))),
    other("shared counters", global!(SharedCounters<MiMalloc>, SharedCounters::new(MiMalloc))),
    other("two stores to thread-locals: the limit", global!(TwoStores<MiMalloc>, TwoStores(MiMalloc))),
];

/// The mean interval of the sample that [`with_call_sites`](TrackingAllocator::with_call_sites) advises.
const INTERVAL: u64 = 512 << 10;

/// Each switch of ours alone, and all of them.
pub(super) static SWITCHES: [Peer; 7] = [
    other("System", global!(System, System)),
    other(OURS, global!(TrackingAllocator, TrackingAllocator::system())),
    other("with_exact_peak", global!(TrackingAllocator, TrackingAllocator::system().with_exact_peak())),
    other("with_size_histogram", global!(TrackingAllocator, TrackingAllocator::system().with_size_histogram())),
    other("with_tags", global!(TrackingAllocator, TrackingAllocator::system().with_tags())),
    other(
        "with_call_sites(512 KiB)",
        global!(TrackingAllocator, TrackingAllocator::system().with_call_sites(INTERVAL)),
    ),
    other(
        "with histogram, tags and call sites",
        global!(
            TrackingAllocator,
            TrackingAllocator::system().with_size_histogram().with_tags().with_call_sites(INTERVAL)
        ),
    ),
];
