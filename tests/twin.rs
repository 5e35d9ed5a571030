//! The library without the feature `telemetry`: the same calls, and nothing behind them.
#![cfg(not(feature = "telemetry"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use engine_vitals::contract::{FrameStats, VramProvider};
use engine_vitals::gpu::{FrameTimer, TimedFrame};
use engine_vitals::monitor::MemoryResourceMonitor;
use engine_vitals::probe::{Mark, Probe};
use engine_vitals::registry::BackgroundUpdater;
use engine_vitals::vram::{self, DetectOptions};
use engine_vitals::{
    Context, DeviceSources, DeviceWatch, New, OwnerKind, Registry, Ticket, TrackingAllocator, assert_no_leaks,
};

/// Counts what the twins allocate.
struct Counting;

thread_local! {
    /// Of this thread: the other tests allocate at the same time.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes every call on to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `pointer` is from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: TrackingAllocator<Counting> = TrackingAllocator::new(Counting);

#[test]
fn no_source_of_gpu_memory_is_looked_for() {
    let (device, _queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let options = DetectOptions::new().root("/");
    let before = ALLOCATIONS.get();
    let detected = vram::detect(&device, &options);
    assert!(detected.sources().is_empty() && detected.providers().is_empty() && detected.best().is_none());
    assert_eq!((ALLOCATIONS.get() - before, detected.to_string()), (0, String::new()));
}

#[test]
fn nothing_is_allocated_opened_or_kept() {
    let before = ALLOCATIONS.get();
    let vitals = engine_vitals::start();
    let probe = vitals.probe();
    let owner = probe.owner(OwnerKind::ROOT_VISUAL, 1);
    let guard = Context::current().with_owner(owner).enter();
    let ticket = probe.create(New::buffer(1 << 20).label("vertices"));
    probe.event(Mark::submit(1));
    vitals.frame();
    drop(guard);
    assert_eq!(vitals.tracker().totals().device().live(), 0);
    drop(ticket);
    assert!(
        vitals.leaks().is_empty()
            && vitals.tracker().snapshot().diff(&vitals.tracker().snapshot(), vitals.tracker()).is_empty()
    );
    vitals.dump().write_json(std::io::sink()).unwrap();
    assert_eq!(assert_no_leaks!(probe, poll = || (), { 42 }), 42);
    assert_eq!(vitals.url(), None);
    assert!(vitals.vram_sources().is_empty());
    let _ = |device: &DeviceSources| (device.best().is_none(), device.get("wgpu").is_none());
    vitals.begin_shutdown();
    assert_eq!(vitals.report(), None);
    let updater = BackgroundUpdater::start(vitals.registry(), Duration::from_millis(1)).unwrap();
    drop(updater);
    drop(vitals);
    assert_eq!(ALLOCATIONS.get() - before, 0);

    assert_eq!((size_of::<Ticket>(), size_of_val(&probe), size_of_val(&Context::current())), (0, 0, 0));
    let registry = Registry::new();
    let monitor = Arc::new(MemoryResourceMonitor::new("heap"));
    registry.register(Arc::clone(&monitor)).unwrap();
    registry.update();
    assert_eq!(Arc::strong_count(&monitor), 1, "the registry forgets it");
    assert!(registry.get::<MemoryResourceMonitor>("heap").is_none());
    assert_eq!(engine_vitals::memory::get_currently_allocated_bytes(), None);
}

#[test]
fn nothing_that_measures_is_linked() {
    let tree = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--quiet", "--package", "engine-vitals", "--no-default-features", "--edges"])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let crates = tree(&["normal", "--prefix", "none"]);
    assert!(crates.contains("engine-vitals-core"), "{crates}");
    for name in
        ["engine-vitals-prometheus", "engine-vitals-trace", "metrics", "sysinfo", "tokio", "hyper", "serde_json"]
    {
        assert!(!crates.lines().any(|line| line.split(' ').next() == Some(name)), "{name} is in\n{crates}");
    }
    let features = tree(&["normal,features", "--invert", "wgpu"]);
    assert!(features.contains("wgpu v"), "{features}");
    assert!(!features.contains("feature \"custom\""), "{features}");
}

/// What needs a device, or allocates because it was asked for: the same calls as with telemetry.
#[test]
fn a_device_s_calls_are_there() {
    let memory: fn(&DeviceWatch) -> &dyn VramProvider = DeviceWatch::memory;
    let timer: fn(&DeviceWatch) -> &FrameTimer = DeviceWatch::timer;
    let numbered: fn(FrameTimer, Probe) -> FrameTimer = FrameTimer::numbered_by;
    let presented: fn(&mut TimedFrame, fn()) = TimedFrame::present;
    let submitted: fn(&mut TimedFrame, fn()) = TimedFrame::submit;
    let _ = (memory, timer, numbered, presented, submitted);
    let vitals = engine_vitals::start();
    vitals.gpu_monitor().update_from_frame_stats(FrameStats::default());
    assert!(vitals.registry().gpu("gpu").is_none());
}
