//! A ring that is used for long holds no more in the end than after its warm-up: heap, GPU memory, resources.
//!
//! 500 frames, or as many as `ENGINE_VITALS_SOAK_FRAMES` says; `cargo xtask soak staging` makes it 100,000.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test: helpers fail it and tell of it too"
)]

#[path = "staging/kit.rs"]
mod kit;
mod support;

use engine_vitals::instrument::Instrumentation;
use engine_vitals::memory::get_currently_allocated_bytes;
use engine_vitals::resources::staging::{StagingConfig, StagingRing, StallPolicy};
use engine_vitals::{Tracker, TrackingAllocator};
use parking_lot::Mutex;

use crate::kit::{Gpu, Random};

#[global_allocator]
static HEAP: TrackingAllocator = TrackingAllocator::system();

/// The heap is one for both tests.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What may be allocated once after the warm-up: a table that grows, a thread's counters.
const HEAP_BYTES_ONCE: u64 = 256 << 10;
/// Frames without a write, after which a ring has given up what it grew by.
const QUIET: u64 = 20;

fn frames() -> u64 {
    std::env::var("ENGINE_VITALS_SOAK_FRAMES").map_or(500, |text| text.parse().expect("ENGINE_VITALS_SOAK_FRAMES"))
}

#[test]
fn frames_on_a_device_that_does_nothing() {
    let _one = ONE_AT_A_TIME.lock();
    run("noop", &kit::noop_instance());
}

#[test]
fn frames_on_the_device_of_the_machine() {
    let _one = ONE_AT_A_TIME.lock();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    if kit::open(&instance, wgpu::Features::empty()).is_none() {
        support::skipped_without_adapter("frames_on_the_device_of_the_machine");
        return;
    }
    run("the machine's device", &instance);
}

/// What there is when nothing is under way.
#[derive(Debug, Clone, Copy)]
struct Held {
    heap: u64,
    /// As wgpu's allocator has it, where it says so.
    gpu: Option<u64>,
    resources: u64,
    resource_bytes: u64,
    buffers: u32,
    dedicated: u32,
}

fn run(name: &str, instance: &wgpu::Instance) {
    let tracker = Tracker::new();
    let gpu =
        kit::open(&Instrumentation::new(tracker.probe()).wrap(instance.clone()), wgpu::Features::empty()).unwrap();
    let config = StagingConfig {
        ring_count: 2,
        buffer_size: 64 << 10,
        stall: StallPolicy::Grow { most_buffers: 16 },
        quiet_frames: QUIET,
        ..StagingConfig::default()
    };
    let mut ring = StagingRing::with_config(&gpu.device, tracker.probe(), "soak", config);
    let target = gpu.buffer(2 << 20);
    let noise = vec![7; 2 << 20];
    let mut random = Random::seeded(7);
    let warm_up = (frames() / 10).max(200);
    let mut first = None;
    for frame in 0..warm_up + frames() {
        if frame == warm_up {
            first = Some(held(&gpu, &tracker, &mut ring));
        }
        // Most frames write little, some more than the ring has, a few into a dedicated buffer.
        let writes = if random.below(100) == 0 { 40 } else { random.below(6) };
        for _ in 0..writes {
            let bits = if random.below(1_000) == 0 { 20 } else { 15 };
            let bytes = random.size(bits);
            let offset = random.below((2 << 20) - bytes + 1);
            ring.write_buffer(&target, offset, &noise[..bytes as usize]).unwrap();
        }
        let mut encoder = gpu.encoder();
        ring.flush(&mut encoder);
        if frame % 97 == 13 {
            // Commands that come to nothing, too.
            drop(encoder.finish());
            encoder = gpu.encoder();
        }
        ring.advance_ring(gpu.queue.submit([encoder.finish()]));
    }
    let (first, last) = (first.unwrap(), held(&gpu, &tracker, &mut ring));
    let stats = ring.stats();
    eprintln!("{name}: {} frames, {first:?}, then {last:?}; {stats:?}", frames());
    assert!(last.heap <= first.heap + HEAP_BYTES_ONCE, "the heap grows: {first:?}, {last:?}");
    assert!(last.gpu <= first.gpu, "GPU memory grows: {first:?}, {last:?}");
    assert_eq!((last.resources, last.resource_bytes), (first.resources, first.resource_bytes));
    assert_eq!((last.buffers, last.dedicated), (2, 0), "it has shrunk");
    assert!(stats.dropped_bytes > 0 && stats.shrunk == stats.grown && stats.failures == 0, "{stats:?}");
    drop((ring, target));
    gpu.wait(None);
    assert_eq!(tracker.totals().inconsistencies, 0);
}

fn held(gpu: &Gpu, tracker: &Tracker, ring: &mut StagingRing) -> Held {
    // One buffer a frame is given up.
    for _ in 0..2 * QUIET + 20 {
        ring.advance_ring(gpu.queue.submit([]));
        gpu.wait(None);
    }
    let (device, stats) = (tracker.totals().device(), ring.stats());
    Held {
        heap: get_currently_allocated_bytes().unwrap(),
        gpu: gpu.device.generate_allocator_report().map(|report| report.total_allocated_bytes),
        resources: device.live(),
        resource_bytes: device.live_bytes(),
        buffers: stats.buffers,
        dedicated: stats.dedicated_buffers,
    }
}
