//! The totals of a tracking allocator over the system's equal an oracle to the byte.
//!
//! A program of its own, since it has a global allocator and since no harness may allocate beside it. `ENGINE_VITALS_SOAK_OPS` sets the
//! number of operations (a million unless given) and `ENGINE_VITALS_SEED` the seed.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test program without the standard harness"
)]

mod heap;

use engine_vitals_core::memory::{PEAK_BOUND_BYTES, TrackingAllocator};

#[global_allocator]
static HEAP: heap::Shadow<std::alloc::System> = heap::Shadow::new(TrackingAllocator::system());

fn main() {
    let (operations, seed) = (heap::operations(), heap::seed());
    heap::assert_equal_to_the_byte("at the start of main");
    heap::run("totals_equal_an_oracle_to_the_byte", || heap::totals_equal_the_oracle(operations, seed));
    heap::run("live_bytes_are_never_negative", || heap::live_is_never_negative(operations));
    heap::run("more_threads_than_shards_are_counted_to_the_byte", heap::more_threads_than_shards);
    heap::in_one_order();
    heap::run("the_peak_is_within_its_bound", || {
        let mut worst = 0;
        heap::run_load(operations, seed, |round| {
            let (ours, oracle) = heap::peaks();
            worst = worst.max(ours.abs_diff(oracle));
            assert!(worst <= PEAK_BOUND_BYTES, "round {round}, seed {seed}: peak {ours}, true peak {oracle}");
            heap::reset_peaks();
        });
        format!("seed {seed}: at most {worst} bytes from the true peak, {PEAK_BOUND_BYTES} allowed")
    });
}
