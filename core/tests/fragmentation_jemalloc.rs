//! Fragmentation that was planted in jemalloc is seen in its own figures.
#![cfg(unix)]
#![expect(clippy::expect_used, reason = "helpers of a test")]
#![expect(clippy::print_stdout, reason = "the figures behind an assertion that fails")]

mod fragmentation;

use engine_vitals_core::memory::{InnerAllocator, Jemalloc, TrackingAllocator};

#[global_allocator]
static HEAP: TrackingAllocator<Jemalloc> = TrackingAllocator::jemalloc();

#[test]
fn the_ratio_rises_when_blocks_between_others_are_freed() {
    let [full, fragmented, empty] = fragmentation::plant(InnerAllocator::Jemalloc);
    for seen in [&full, &fragmented, &empty] {
        let memory = seen.memory.expect("jemalloc has figures");
        let [allocated, active, resident, mapped, _retained] =
            [memory.allocated, memory.active, memory.resident, memory.mapped, memory.retained]
                .map(|bytes| bytes.expect("jemalloc has them all"));
        assert!(seen.live <= allocated, "rounded up: {seen:?}");
        assert!(allocated <= active && active <= resident && active <= mapped, "{seen:?}");
    }
    // Sizes are rounded up to 256 bytes.
    let allocated = full.memory.and_then(|memory| memory.allocated).expect("jemalloc has it");
    assert!(allocated < full.live / 10 * 11, "{full:?}");
    let [full, fragmented] = [full, fragmented].map(|seen| seen.report);
    assert!(full.fragmentation_ratio.expect("known") < 0.1, "{full:?}");
    assert_eq!(full.fragmentation_status(), "Low");
    assert!(fragmented.fragmentation_ratio.expect("known") > 0.6, "{fragmented:?}");
    assert_eq!(fragmented.fragmentation_status(), "Critical");
}
