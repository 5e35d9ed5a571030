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

#[global_allocator]
static HEAP: heap::Shadow<MiMalloc> = heap::Shadow::new(TrackingAllocator::new(MiMalloc).with_exact_peak());

fn main() {
    if heap::was_the_child() {
        return;
    }
    heap::end_the_process_on_a_panic();
    heap::run("totals_equal_a_shadow_to_the_byte", heap::soak);
    heap::run("live_bytes_are_never_negative", heap::live_is_never_negative);
    heap::run("more_threads_than_shards_are_counted_to_the_byte", heap::more_threads_than_shards);
    heap::in_one_order();
    heap::run("the_exact_peak_is_the_true_peak", || {
        let mut highest = 0;
        heap::load_in_one_order().run(|round| {
            let (ours, shadow) = heap::peaks();
            assert_eq!(ours, shadow, "round {round}");
            highest = highest.max(ours);
            heap::reset_peaks();
        });
        format!("equal in every round, {highest} bytes at most")
    });
}
