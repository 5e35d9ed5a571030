//! What writes keep, and for how long: beside what wgpu's pending writes keep.

use engine_vitals_core::probe::Probe;
use engine_vitals_core::tracker::Tracker;

use super::super::{Adopted, Instrumentation};
use super::{noop, noop_with, storage};
use crate::gpu::Submissions;

/// A buffer that is mapped when it is created.
fn mapped(device: &wgpu::Device, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 128, usage, mapped_at_creation: true })
}

/// Bytes that wait for a submission, and bytes of what is pending.
fn waiting(tracker: &Tracker) -> (u64, u64) {
    let totals = tracker.totals();
    (totals.submissions.unsubmitted_bytes(), totals.device().pending_bytes())
}

#[test]
fn a_buffer_that_is_dropped_while_it_is_mapped_from_its_creation_is_written_all_the_same() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    drop(mapped(&device, wgpu::BufferUsages::VERTEX));
    assert_eq!(waiting(&tracker), (128, 128), "wgpu unmaps what is dropped, and writes it with the next submission");
    queue.submit([]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(waiting(&tracker), (0, 0));
}

#[test]
fn only_what_can_be_mapped_to_be_written_is_written_in_place() {
    let tracker = Tracker::new();
    let Adopted { device, .. } = noop(&Instrumentation::new(tracker.probe()));
    mapped(&device, wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC).unmap();
    assert_eq!(waiting(&tracker), (0, 0));
    mapped(&device, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST).unmap();
    assert_eq!(waiting(&tracker), (128, 128));
}

#[test]
fn what_is_destroyed_before_it_is_unmapped_is_not_written() {
    let tracker = Tracker::new();
    let Adopted { device, .. } = noop(&Instrumentation::new(tracker.probe()));
    let buffer = mapped(&device, wgpu::BufferUsages::VERTEX);
    buffer.destroy();
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    buffer.unmap();
    assert!(pollster::block_on(scope.pop()).is_some());
    drop(buffer);
    assert_eq!(waiting(&tracker), (0, 0));
}

#[test]
fn a_write_of_nothing_keeps_nothing() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let buffer = storage(&device, "target", 256);
    queue.write_buffer(&buffer, 0, &[]);
    drop(buffer);
    assert_eq!(waiting(&tracker), (0, 0));
}

#[test]
fn a_submission_that_others_number_is_reported_here_unless_it_was_to_the_same_tracker() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let buffer = storage(&device, "target", 256);
    let other = Tracker::new();
    for (probe, expected) in [(Probe::OFF, 1), (other.probe(), 2), (tracker.probe(), 3)] {
        queue.write_buffer(&buffer, 0, &[1; 16]);
        Submissions::new(probe).submit(&queue, []);
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let submissions = tracker.totals().submissions;
        assert_eq!((submissions.submitted, submissions.completed), (expected, expected));
        assert_eq!(submissions.unsubmitted_bytes(), 0);
    }
    assert_eq!(other.totals().submissions.submitted, 1);
}

#[test]
fn asking_for_the_end_of_what_was_submitted_submits_what_was_written() {
    let tracker = Tracker::new();
    let Adopted { device, queue, .. } = noop(&Instrumentation::new(tracker.probe()));
    let buffer = storage(&device, "target", 256);
    queue.write_buffer(&buffer, 0, &[1; 16]);
    drop(buffer);
    assert_eq!(waiting(&tracker), (16, 256));
    queue.on_submitted_work_done(|| {});
    assert_eq!(waiting(&tracker), (0, 256), "wgpu has submitted it");
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert_eq!(waiting(&tracker), (0, 0));
    let submissions = tracker.totals().submissions;
    assert_eq!((submissions.submitted, submissions.completed), (1, 1));
    queue.on_submitted_work_done(|| {});
    assert_eq!(tracker.totals().submissions.submitted, 1, "there was nothing to submit");
    // Its number was given to nobody.
    let (first, second) = (queue.submit([]), queue.submit([]));
    for index in [second, first] {
        device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None }).unwrap();
    }
    assert!(tracker.snapshot().resources.iter().all(|resource| resource.bytes == 0));
}

#[test]
fn a_texture_s_write_stages_what_it_writes_of_the_bytes_that_are_given() {
    let tracker = Tracker::new();
    let required_features = wgpu::Features::TEXTURE_COMPRESSION_BC;
    let descriptor = wgpu::DeviceDescriptor { required_features, ..wgpu::DeviceDescriptor::default() };
    let Adopted { device, queue, .. } = noop_with(&Instrumentation::new(tracker.probe()), &descriptor);
    let size = wgpu::Extent3d { width: 8, height: 8, depth_or_array_layers: 1 };
    let made = [wgpu::TextureUsages::COPY_DST, wgpu::TextureUsages::TEXTURE_BINDING].map(|usage| {
        device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Bc1RgbaUnorm,
            usage,
            view_formats: &[],
        })
    });
    let write = |texture: &wgpu::Texture| {
        // One row of two blocks, out of rows of four.
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(32), rows_per_image: None };
        let size = wgpu::Extent3d { height: 4, ..size };
        queue.write_texture(texture.as_image_copy(), &[0; 4096], layout, size);
    };
    write(&made[0]);
    assert_eq!(waiting(&tracker), (16, 0));
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    write(&made[1]);
    assert!(pollster::block_on(scope.pop()).is_some());
    drop(made);
    assert_eq!(waiting(&tracker), (16, 32), "what is refused is neither staged nor kept");
}
