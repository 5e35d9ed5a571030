//! The books of a tracker held against what wgpu itself says of a device. For devices that are the only ones of their
//! tracker; each function panics where the two differ.

use engine_vitals::analysis::{Named, Reconciliation, Sources};
use engine_vitals::probe::ResourceKind;
use engine_vitals::vram::AllocatorReportProvider;
use engine_vitals::{Tracker, VramProvider};
use std::time::{Duration, Instant};

/// Waits until no submission is in flight. Another thread may poll too and have callbacks in hand.
///
/// # Panics
/// When that takes more than a minute.
pub fn settle(device: &wgpu::Device, tracker: &Tracker) {
    let start = Instant::now();
    while tracker.totals().submissions.in_flight() > 0 {
        let polled = device.poll(wgpu::PollType::wait_indefinitely());
        assert!(polled.is_ok(), "{polled:?}");
        assert!(start.elapsed() < Duration::from_secs(60), "submissions never complete");
        std::thread::yield_now();
    }
}

/// The books hold as many objects as wgpu's counters, where those are sound.
///
/// # Panics
/// When they differ.
pub fn assert_counters(device: &wgpu::Device, tracker: &Tracker) {
    let held = tracker.snapshot().resources;
    let hal = device.get_internal_counters().hal;
    for (kind, counter) in [
        (ResourceKind::BIND_GROUP, hal.bind_groups),
        (ResourceKind::COMPUTE_PIPELINE, hal.compute_pipelines),
        (ResourceKind::SHADER_MODULE, hal.shader_modules),
    ] {
        let held = held.iter().filter(|resource| resource.kind == kind).count();
        assert_eq!(held.try_into(), Ok(counter.read()), "{kind:?}");
    }
}

/// The books hold the buffers that wgpu's allocator has, and no others. It has one on Vulkan and D3D12.
///
/// # Panics
/// When they differ.
pub fn assert_allocator(device: &wgpu::Device, tracker: &Tracker) {
    let Some(report) = device.generate_allocator_report() else {
        let backend = device.adapter_info().backend;
        assert!(![wgpu::Backend::Vulkan, wgpu::Backend::Dx12].contains(&backend), "no allocator's report");
        return;
    };
    let others = ["(wgpu internal)", "engine-vitals "];
    let programs =
        report.allocations.iter().filter(|allocation| !others.iter().any(|other| allocation.name.starts_with(other)));
    let mut allocated: Vec<_> = programs.map(|allocation| allocation.size).collect();
    let held = tracker.snapshot().resources;
    let buffers = held.iter().filter(|resource| resource.kind == ResourceKind::BUFFER);
    let mut buffers: Vec<_> = buffers.map(|buffer| buffer.bytes).collect();
    allocated.sort_unstable();
    buffers.sort_unstable();
    assert_eq!(allocated.len(), buffers.len(), "{allocated:?} allocated, {buffers:?} held");
    for (allocated, held) in allocated.into_iter().zip(buffers) {
        assert!((held..=held + 256).contains(&allocated), "{allocated} bytes allocated, {held} held");
    }
}

/// Live and pending bytes are what wgpu's allocator has given out to the program, resource by resource, but for alignment: at most 4 KiB each, and
/// within 1 %. It has one on Vulkan and D3D12.
///
/// # Panics
/// When they differ.
pub fn assert_reconciled(device: &wgpu::Device, tracker: &Tracker) {
    let Some(report) = AllocatorReportProvider::new(device).get_allocations() else {
        let backend = device.adapter_info().backend;
        assert!(![wgpu::Backend::Vulkan, wgpu::Backend::Dx12].contains(&backend), "no allocator's report");
        return;
    };
    let held = tracker.snapshot().resources;
    let held: Vec<_> = held.iter().filter(|resource| resource.bytes > 0 && !resource.freed).collect();
    let rows = |live| {
        let rows = held.iter().filter(move |resource| resource.is_live() == live);
        rows.map(|row| Named { name: row.label.as_deref().unwrap_or_default(), bytes: row.bytes }).collect::<Vec<_>>()
    };
    let allocated: Vec<_> = report.allocations.iter().map(|one| Named { name: &one.name, bytes: one.bytes }).collect();
    let result = Reconciliation::of(&Sources {
        live: &rows(true),
        pending: &rows(false),
        allocated: Some(&allocated),
        reserved: Some(report.reserved_bytes),
        ..Sources::default()
    });
    let tracked = result.live + result.pending;
    assert!(tracked > 0, "nothing is tracked: {result}");
    assert_eq!((result.untracked, result.elsewhere), (Some(0), Some(0)), "{result}");
    let alignment = result.alignment.unwrap_or_default().unsigned_abs();
    assert!(alignment <= 4096 * held.len() as u64, "{} resources: {result}", held.len());
    let given = result.allocated.unwrap_or_default()
        - result.wgpu_internal.unwrap_or_default()
        - result.telemetry.unwrap_or_default();
    assert_eq!(given.abs_diff(tracked), alignment, "{result}");
}
