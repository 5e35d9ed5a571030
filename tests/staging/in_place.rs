//! Bytes that the GPU uses where the program writes them.

use engine_vitals::Probe;
use engine_vitals::resources::staging::{StagingConfig, StagingError, StagingRing, StallPolicy};

use crate::kit::{self, LONG, Readback};

fn config() -> StagingConfig {
    StagingConfig {
        ring_count: 2,
        buffer_size: 1 << 10,
        stall: StallPolicy::Wait { timeout: LONG },
        in_place_usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_SRC,
        ..StagingConfig::default()
    }
}

/// The same program with and without the feature: the bytes are where it is told, frame after frame.
fn frames(test: &str, features: wgpu::Features) {
    let Some(gpu) = kit::gpu(test, features) else { return };
    let mut ring = StagingRing::with_config(&gpu.device, Probe::OFF, "in place", config());
    let has = gpu.device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
    let discrete = gpu.device.adapter_info().device_type == wgpu::DeviceType::DiscreteGpu;
    assert_eq!(ring.is_copy_free(), has && !discrete);
    if !features.is_empty() && !ring.is_copy_free() {
        crate::support::skipped(test, "the adapter has no mappable primary buffers of its own memory");
        return;
    }
    let readback = Readback::new(&gpu, 512);
    for frame in 0..100_u8 {
        let mut encoder = gpu.encoder();
        let mut used = Vec::new();
        for part in 0..2 {
            let mut slice = ring.reserve(201, 256).unwrap();
            slice.bytes().copy_from_slice(&[frame ^ (part * 128); 201]);
            let bytes = slice.in_place().unwrap();
            assert_eq!((bytes.offset % 256, bytes.bytes), (0, 201));
            assert!(bytes.buffer.usage().contains(config().in_place_usage));
            used.push(bytes);
        }
        ring.flush(&mut encoder);
        for (part, bytes) in used.iter().enumerate() {
            encoder.copy_buffer_to_buffer(&bytes.buffer, bytes.offset, &readback.0, part as u64 * 256, 200);
        }
        ring.advance_ring(gpu.run(encoder));
        let read = readback.bytes(&gpu);
        assert_eq!((&read[..200], &read[256..456]), (&[frame; 200][..], &[frame ^ 128; 200][..]));
    }
    let stats = ring.stats();
    assert_eq!(stats.written_bytes, 100 * 2 * 201);
    let (copies, in_place) = if ring.is_copy_free() { (0, stats.written_bytes) } else { (200, 0) };
    assert_eq!((stats.copies, stats.in_place_bytes, stats.dropped_bytes), (copies, in_place, 0));
}

#[test]
fn with_mappable_primary_buffers_there_is_no_copy() {
    frames("with_mappable_primary_buffers_there_is_no_copy", wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
}

#[test]
fn without_them_the_same_bytes_are_in_a_copy() {
    frames("without_them_the_same_bytes_are_in_a_copy", wgpu::Features::empty());
}

#[test]
fn a_ring_that_was_not_told_of_a_use_refuses_it() {
    let gpu = kit::noop();
    let mut ring = StagingRing::new(&gpu.device, 1, 256);
    assert_eq!(ring.reserve(4, 4).unwrap().in_place(), Err(StagingError::NotInPlace));
    assert_eq!((ring.stats().unflushed_bytes, ring.stats().failures), (0, 1), "its room is free again");
}
