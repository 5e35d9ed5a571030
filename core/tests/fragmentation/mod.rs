//! Plants fragmentation, and what the monitors say of it.

use engine_vitals_core::contract::{MemoryMonitor, MemoryReport, ResourceMonitor};
use engine_vitals_core::memory::{AllocatorMemory, InnerAllocator, get_currently_allocated_bytes};
use engine_vitals_core::monitor::{AllocatorMonitor, MemoryResourceMonitor};

/// Small, so that a page holds many.
const BLOCK: usize = 240;

/// Enough that what the allocator holds for itself does not matter.
const BLOCKS: usize = 400_000;

/// What is seen at one moment.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) memory: Option<AllocatorMemory>,
    pub(crate) report: MemoryReport,
    /// Bytes that the tracking allocator counts as live.
    pub(crate) live: u64,
}

/// What is seen with all blocks live, after nine of ten were freed in between the others, and after all were.
pub(crate) fn plant(allocator: InnerAllocator) -> [Seen; 3] {
    let mut blocks: Vec<Option<Box<[u8]>>> = (0..BLOCKS).map(|_| Some(vec![1; BLOCK].into())).collect();
    let full = look(allocator);
    for (index, block) in blocks.iter_mut().enumerate() {
        if index % 10 != 0 {
            *block = None;
        }
    }
    let fragmented = look(allocator);
    drop(blocks);
    [full, fragmented, look(allocator)]
}

/// The ratio is that of the monitor's figure, and goes with the monitor.
fn look(allocator: InnerAllocator) -> Seen {
    let live = get_currently_allocated_bytes().expect("counted");
    let heap = MemoryResourceMonitor::new("heap");
    let report = || {
        heap.update();
        heap.get_memory_report().expect("something was allocated")
    };
    assert_eq!(report().fragmentation_ratio, None, "nobody has read it");
    let monitor = AllocatorMonitor::new("allocator");
    assert_eq!(monitor.allocator(), allocator);
    monitor.update();
    let seen = Seen { memory: monitor.get_allocator_memory(), report: report(), live };
    assert_eq!(seen.report.fragmentation_ratio, seen.memory.and_then(|memory| memory.fragmentation_ratio()));
    drop(monitor);
    assert_eq!(report().fragmentation_ratio, None, "nobody keeps it up to date");
    println!("{seen:?}");
    seen
}
