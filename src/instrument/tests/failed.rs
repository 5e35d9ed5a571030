//! Creations that wgpu refuses: what is invalid has no memory.

use engine_vitals_core::tracker::Tracker;

use super::super::{Adopted, Instrumentation};
use super::noop_with;

/// The error of what is done.
pub(super) fn refused(device: &wgpu::Device, act: impl FnOnce()) -> bool {
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    act();
    pollster::block_on(scope.pop()).is_some()
}

pub(super) fn texture(device: &wgpu::Device, dimension: wgpu::TextureDimension, size: [u32; 3]) -> wgpu::Texture {
    let [width, height, depth_or_array_layers] = size;
    device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width, height, depth_or_array_layers },
        mip_level_count: 1,
        sample_count: 1,
        dimension,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

#[test]
fn what_is_larger_than_the_device_allows_has_no_memory() {
    use wgpu::TextureDimension::{D1, D2, D3};

    let tracker = Tracker::new();
    let small = wgpu::Limits { max_buffer_size: 1 << 16, ..wgpu::Limits::downlevel_defaults() };
    let descriptor = wgpu::DeviceDescriptor { required_limits: small, ..wgpu::DeviceDescriptor::default() };
    let Adopted { device, .. } = noop_with(&Instrumentation::new(tracker.probe()), &descriptor);
    let mut kept = (Vec::new(), Vec::new());
    for (size, fails) in [(device.limits().max_buffer_size, false), (device.limits().max_buffer_size + 4, true)] {
        let before = tracker.totals().device().live_bytes();
        let usage = wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        assert_eq!(refused(&device, || kept.0.push(device.create_buffer(&descriptor))), fails);
        assert_eq!(tracker.totals().device().live_bytes() - before, if fails { 0 } else { size });
    }
    let limits = device.limits();
    let (flat, layers, deep) =
        (limits.max_texture_dimension_2d, limits.max_texture_array_layers, limits.max_texture_dimension_3d);
    for (dimension, size, fails) in [
        (D2, [flat, 1, layers], false),
        (D2, [flat + 1, 1, 1], true),
        (D2, [1, flat + 1, 1], true),
        (D2, [1, 1, layers + 1], true),
        (D3, [1, 1, deep], false),
        (D3, [1, 1, deep + 1], true),
        (D1, [limits.max_texture_dimension_1d, 1, 1], false),
        (D1, [limits.max_texture_dimension_1d + 1, 1, 1], true),
    ] {
        let before = tracker.totals().device().live_bytes();
        assert_eq!(refused(&device, || kept.1.push(texture(&device, dimension, size))), fails, "{size:?}");
        let texels = size.iter().map(|side| u64::from(*side)).product::<u64>();
        assert_eq!(tracker.totals().device().live_bytes() - before, if fails { 0 } else { 4 * texels }, "{size:?}");
    }
    drop(kept);
    assert_eq!(tracker.totals().device().live_bytes(), 0);
}
