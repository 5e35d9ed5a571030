//! The totals of a tracking allocator over mimalloc, with an exact peak, equal a shadow counter to the byte. See `heap_oracle.rs`.

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
const MEAN_INTERVAL: Option<u64> = None;

#[global_allocator]
static HEAP: heap::Shadow<MiMalloc> = heap::Shadow::new(TrackingAllocator::new(MiMalloc).with_exact_peak());

fn main() {
    heap::test();
}
