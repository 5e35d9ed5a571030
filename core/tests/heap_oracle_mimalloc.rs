//! The totals of a tracking allocator over mimalloc, with an exact peak, equal an oracle to the byte. See `heap_oracle.rs`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test program without the standard harness"
)]

mod heap;

use engine_vitals_core::memory::TrackingAllocator;
use mimalloc::MiMalloc;

#[global_allocator]
static HEAP: heap::Shadow<MiMalloc> = heap::Shadow::new(TrackingAllocator::new(MiMalloc).with_exact_peak());

fn main() {
    let (operations, seed) = (heap::operations(), heap::seed());
    heap::assert_equal_to_the_byte("at the start of main");
    heap::run("totals_equal_an_oracle_to_the_byte", || heap::totals_equal_the_oracle(operations, seed));
    heap::run("live_bytes_are_never_negative", || heap::live_is_never_negative(operations));
    heap::run("more_threads_than_shards_are_counted_to_the_byte", heap::more_threads_than_shards);
    heap::in_one_order();
    heap::reset_peaks();
    heap::run("the_exact_peak_is_the_true_peak", || {
        let mut highest = 0;
        heap::run_load(operations, seed, |round| {
            let (ours, oracle) = heap::peaks();
            assert_eq!(ours, oracle, "round {round}, seed {seed}");
            highest = highest.max(ours);
            heap::reset_peaks();
        });
        format!("seed {seed}: equal in every round, {highest} bytes at most")
    });
}
