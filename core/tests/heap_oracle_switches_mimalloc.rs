//! All that can be switched on, over mimalloc, with an exact peak too. See `heap_oracle_switches.rs`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test program without the standard harness"
)]

mod heap;

use engine_vitals_core::memory::TrackingAllocator;
use mimalloc::MiMalloc;

/// Whether the allocator keeps an exact peak.
const EXACT_PEAK: bool = true;
/// Of samples, in bytes, where tags, sizes and call sites are switched on.
const MEAN_INTERVAL: Option<u64> = Some(32 << 10);

#[global_allocator]
static HEAP: heap::Shadow<MiMalloc> = heap::Shadow::new(
    TrackingAllocator::new(MiMalloc)
        .with_exact_peak()
        .with_tags()
        .with_size_histogram()
        .with_call_sites(MEAN_INTERVAL.unwrap()),
);

fn main() {
    heap::test();
}
