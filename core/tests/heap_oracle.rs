//! The totals of a tracking allocator over the system's equal a shadow counter to the byte.
//!
//! A program of its own, since it has a global allocator and since no harness may allocate beside it. `ENGINE_VITALS_SOAK_OPS` sets the
//! number of operations (ten million unless given) and `ENGINE_VITALS_SEED` the seed.

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
    if heap::was_the_child() {
        return;
    }
    heap::end_the_process_on_a_panic();
    heap::run("totals_equal_a_shadow_to_the_byte", heap::soak);
    heap::run("live_bytes_are_never_negative", heap::live_is_never_negative);
    heap::run("more_threads_than_shards_are_counted_to_the_byte", heap::more_threads_than_shards);
    heap::in_one_order();
    heap::run("the_peak_is_within_its_bound", || {
        let mut worst = 0;
        heap::load_in_one_order().run(|round| {
            let (ours, shadow) = heap::peaks();
            worst = worst.max(ours.abs_diff(shadow));
            assert!(worst <= PEAK_BOUND_BYTES, "round {round}: peak {ours}, true peak {shadow}");
            heap::reset_peaks();
        });
        format!("at most {worst} bytes from the true peak, {PEAK_BOUND_BYTES} allowed")
    });
}
