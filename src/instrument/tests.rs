//! Lives, on the backend that does nothing. How it all looks from outside is told in `tests/instrument`.

use engine_vitals_core::probe::{Context, Level, OwnerKind, ResourceKind};
use engine_vitals_core::tracker::Tracker;

use super::{Adopted, Instrumentation};

mod callbacks;
mod errors;
mod failed;
#[cfg(all(feature = "vulkan", target_os = "linux"))]
mod native;
mod raytrace;
mod writes;

/// An instrumented device without a GPU.
fn noop(instrumentation: &Instrumentation) -> Adopted {
    noop_with(instrumentation, &wgpu::DeviceDescriptor::default())
}

fn noop_with(instrumentation: &Instrumentation, descriptor: &wgpu::DeviceDescriptor<'_>) -> Adopted {
    let options = wgpu::NoopBackendOptions::enabled();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::NOOP,
        backend_options: wgpu::BackendOptions { noop: options, ..wgpu::BackendOptions::default() },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let instance = instrumentation.wrap(instance);
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(descriptor)).unwrap();
    Adopted { instance, adapter, device, queue }
}

fn storage(device: &wgpu::Device, label: &'static str, size: u64) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
}

fn bind_group(device: &wgpu::Device, buffer: &wgpu::Buffer) -> wgpu::BindGroup {
    let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: None,
        entries: &[wgpu::BindGroupLayoutEntry {
            binding: 0,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: false },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        }],
    });
    let entry = wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() };
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &[entry] })
}

#[test]
fn a_buffer_is_pending_while_a_bind_group_keeps_it_and_then_released() {
    let tracker = Tracker::new();
    let Adopted { device, .. } = noop(&Instrumentation::new(tracker.probe()));
    let owner = tracker.probe().owner(OwnerKind::EFFECT_PIPELINE, 3);
    let buffer = {
        let _owned = Context::current().with_owner(owner).enter();
        storage(&device, "lights", 1024)
    };
    let resources = tracker.snapshot().resources;
    let lights = resources.iter().find(|resource| resource.label.as_deref() == Some("lights")).unwrap();
    assert_eq!((lights.kind, lights.bytes, lights.owner), (ResourceKind::BUFFER, 1024, Some(owner)));
    let group = bind_group(&device, &buffer);
    drop(buffer);
    let device_bytes = || (tracker.totals().device().live_bytes(), tracker.totals().device().pending_bytes());
    assert_eq!(device_bytes(), (0, 1024));
    drop(group);
    assert_eq!(device_bytes(), (0, 0));
}

#[test]
fn what_is_made_while_tracking_is_off_stays_unknown_and_what_was_known_is_still_kept() {
    let tracker = Tracker::new();
    let Adopted { device, .. } = noop(&Instrumentation::new(tracker.probe()));
    let known = storage(&device, "known", 64);
    tracker.set_level(Level::Off);
    let unknown = storage(&device, "unknown", 32);
    let groups = [&known, &unknown].map(|buffer| bind_group(&device, buffer));
    tracker.set_level(Level::Counters);
    drop((known, unknown));
    assert_eq!(tracker.totals().device().pending_bytes(), 64);
    drop(groups);
    assert_eq!(tracker.totals().device().pending_bytes(), 0);
}

#[test]
fn a_write_keeps_its_buffer_until_it_is_submitted_and_done() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let buffer = storage(&device, "target", 256);
    queue.write_buffer(&buffer, 0, &[7; 128]);
    drop(buffer);
    let totals = tracker.totals();
    assert_eq!((totals.submissions.unsubmitted_bytes(), totals.device().pending_bytes()), (128, 256));
    queue.submit([]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let totals = tracker.totals();
    assert_eq!((totals.submissions.unsubmitted_bytes(), totals.device().pending_bytes()), (0, 0));
    assert_eq!((totals.submissions.submitted, totals.submissions.completed), (1, 1));
}

#[test]
fn a_handle_from_elsewhere_gives_an_error_that_says_so() {
    let tracker = Tracker::new();
    let [one, other] = [(); 2].map(|()| noop(&Instrumentation::new(tracker.probe())));
    let (plain, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    for foreign in [storage(&other.device, "other", 64), storage(&plain, "plain", 64)] {
        let scope = one.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let group = bind_group(&one.device, &foreign);
        let error = pollster::block_on(scope.pop()).unwrap().to_string();
        assert!(error.contains("not made by this instrumented instance"), "{error}");
        assert!(error.contains("buffer given to `Device::create_bind_group`"), "{error}");
        drop(group);
    }
    let wrong = one.device.poll(wgpu::PollType::Wait { submission_index: Some(other.queue.submit([])), timeout: None });
    assert!(matches!(wrong, Err(wgpu::PollError::WrongSubmissionIndex(1, 0))), "{wrong:?}");
}

#[test]
fn destroyed_memory_is_free_once_no_write_or_submission_uses_it() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let pending = || tracker.totals().device().pending_bytes();
    let idle = storage(&device, "idle", 64);
    let group = bind_group(&device, &idle);
    idle.destroy();
    assert_eq!((tracker.totals().device().live_bytes(), pending()), (0, 0), "a bind group keeps no destroyed memory");
    assert!(tracker.snapshot().resources.iter().any(|resource| resource.freed));
    let written = storage(&device, "written", 256);
    queue.write_buffer(&written, 0, &[1; 16]);
    written.destroy();
    assert_eq!(pending(), 256, "the write is still to be submitted");
    queue.submit([]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(pending(), 0);
    drop((idle, group, written));
    let counts = tracker.totals().device();
    assert_eq!((counts.created_bytes, counts.released_bytes), (320, 320));
}

#[test]
fn what_is_written_while_mapped_at_creation_is_staged_by_the_unmapping() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let make = |usage| {
        let mapped_at_creation = true;
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 128, usage, mapped_at_creation })
    };
    let [staged, in_place] = [wgpu::BufferUsages::VERTEX, wgpu::BufferUsages::MAP_WRITE].map(make);
    for buffer in [staged, in_place] {
        buffer.get_mapped_range_mut(..).unwrap().copy_from_slice(&[5; 128]);
        buffer.unmap();
    }
    let totals = tracker.totals();
    assert_eq!((totals.submissions.unsubmitted_bytes(), totals.device().pending_bytes()), (128, 128));
    queue.submit([]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(tracker.totals().device().pending_bytes(), 0);
}

#[test]
fn a_device_is_kept_by_its_objects() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let state = || {
        let counts = tracker.totals().kind(ResourceKind::DEVICE).device;
        (counts.live(), counts.pending())
    };
    let buffer = storage(&device, "a", 64);
    assert_eq!(state(), (1, 0));
    drop(device);
    assert_eq!(state(), (0, 1));
    drop(queue);
    assert_eq!(state(), (0, 1));
    drop(buffer);
    assert_eq!(state(), (0, 0));
}

#[test]
fn everything_is_released_in_the_end() {
    let tracker = Tracker::new();
    let made = noop(&Instrumentation::new(tracker.probe()));
    let buffer = storage(&made.device, "a", 64);
    let copy = storage(&made.device, "b", 64);
    let mut encoder = made.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&buffer, 0, &copy, 0, 64);
    let commands = encoder.finish();
    drop((buffer, copy));
    assert_eq!(tracker.totals().device().pending_bytes(), 128, "recorded commands keep them");
    made.queue.submit([commands]);
    made.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    drop(made);
    let totals = tracker.totals();
    assert!(totals.kinds().all(|(_, kind)| kind.device.created == kind.device.released), "{totals:?}");
    assert!(tracker.snapshot().resources.is_empty());
}
