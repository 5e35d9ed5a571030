//! Tags, sizes and sampled call sites, all switched on, over the system's allocator: the totals still equal a shadow counter to the byte, tags
//! and sizes do too, and what is estimated lies where chance allows. See `heap_oracle.rs`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test program without the standard harness"
)]

mod heap;

use engine_vitals_core::memory::TrackingAllocator;

/// Whether the allocator keeps an exact peak.
const EXACT_PEAK: bool = false;
/// Of samples, in bytes, where tags, sizes and call sites are switched on.
const MEAN_INTERVAL: Option<u64> = Some(32 << 10);

#[global_allocator]
static HEAP: heap::Shadow<std::alloc::System> = heap::Shadow::new(
    TrackingAllocator::system().with_tags().with_size_histogram().with_call_sites(MEAN_INTERVAL.unwrap()),
);

fn main() {
    heap::test();
}
