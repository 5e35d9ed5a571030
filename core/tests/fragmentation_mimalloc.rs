//! mimalloc says what it has mapped and no more: fragmentation is unknown, and not guessed.
#![cfg(not(target_family = "wasm"))]
#![expect(clippy::expect_used, reason = "helpers of a test")]
#![expect(clippy::print_stdout, reason = "the figures behind an assertion that fails")]

mod fragmentation;

use engine_vitals_core::memory::{AllocatorMemory, InnerAllocator, MiMalloc, TrackingAllocator};

#[global_allocator]
static HEAP: TrackingAllocator<MiMalloc> = TrackingAllocator::mimalloc();

#[test]
fn what_is_mapped_holds_what_is_live_and_fragmentation_stays_unknown() {
    for seen in fragmentation::plant(InnerAllocator::Mimalloc) {
        let memory = seen.memory.expect("mimalloc has figures");
        let mapped = memory.mapped.expect("mimalloc has it");
        assert!(seen.live <= mapped, "{seen:?}");
        let AllocatorMemory { allocated, active, resident, retained, .. } = memory;
        assert_eq!([allocated, active, resident, retained], [None; 4]);
        assert_eq!(seen.report.fragmentation_status(), "Unknown");
    }
}
