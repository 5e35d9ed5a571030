//! Fragmentation that was planted in glibc's allocator is seen in its own figures.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![expect(clippy::expect_used, reason = "helpers of a test")]
#![expect(clippy::print_stdout, reason = "the figures behind an assertion that fails")]

mod fragmentation;

use std::io::Write;

use engine_vitals_core::memory::{InnerAllocator, TrackingAllocator};

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

#[test]
fn the_ratio_rises_when_blocks_between_others_are_freed() {
    if InnerAllocator::System.read_memory().is_none() {
        let why = "no figures: a glibc before 2.33, or another malloc (LD_PRELOAD)";
        let line = format!("SKIPPED: the_ratio_rises_when_blocks_between_others_are_freed: {why}\n");
        // Straight to the descriptor: the harness keeps what a passing test prints.
        std::io::stderr().write_all(line.as_bytes()).expect("written");
        return;
    }
    let [full, fragmented, empty] = fragmentation::plant(InnerAllocator::System);
    for seen in [&full, &fragmented, &empty] {
        let memory = seen.memory.expect("glibc has figures");
        let [allocated, mapped] = [memory.allocated, memory.mapped].map(|bytes| bytes.expect("glibc has it"));
        assert!(seen.live <= allocated && allocated <= mapped, "{seen:?}");
        assert_eq!((memory.active, memory.resident, memory.retained), (None, None, None));
    }
    // A header of 8 bytes for each block, and the sizes rounded up to 16.
    let allocated = full.memory.and_then(|memory| memory.allocated).expect("glibc has it");
    assert!(allocated < full.live / 10 * 11, "{full:?}");
    let [full, fragmented] = [full, fragmented].map(|seen| seen.report);
    assert!(full.fragmentation_ratio.expect("known") < 0.1, "{full:?}");
    assert_eq!(full.fragmentation_status(), "Low");
    assert!(fragmented.fragmentation_ratio.expect("known") > 0.6, "{fragmented:?}");
    assert_eq!(fragmented.fragmentation_status(), "Critical");
}
