//! The totals of a tracking allocator over the system's equal a shadow counter to the byte.
//!
//! A program of its own, since it has a global allocator and since no harness may allocate beside it. `ENGINE_VITALS_SOAK_OPS` sets the
//! number of operations (ten million unless given, without optimisation one) and `ENGINE_VITALS_SEED` the seed.

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
const MEAN_INTERVAL: Option<u64> = None;

#[global_allocator]
static HEAP: heap::Shadow<std::alloc::System> = heap::Shadow::new(TrackingAllocator::system());

fn main() {
    heap::test();
}
