//! Handles of the graphics API itself.

use engine_vitals_core::tracker::Tracker;

use super::super::{Adopted, Instrumentation};
use super::failed::{refused, texture};
use super::storage;

#[test]
fn vulkan_s_own_handles_are_told() {
    const NAME: &str = "vulkan_s_own_handles_are_told";
    let Some(gpu) = crate::gpu::testing::gpu(NAME) else { return };
    if gpu.adapter.get_info().backend != wgpu::Backend::Vulkan {
        return crate::gpu::testing::skipped(NAME, "the adapter is not one of Vulkan");
    }
    let tracker = Tracker::new();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let crate::gpu::testing::TestGpu { adapter, device, queue } = gpu;
    let Adopted { device, .. } = Instrumentation::new(tracker.probe()).adopt(instance, adapter, device, queue);
    let _buffers = [1, 2].map(|_| storage(&device, "buffer", 64));
    let _texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some("texture"),
        size: wgpu::Extent3d { width: 4, height: 4, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    });
    let with_memory = tracker.snapshot().resources.into_iter().filter(|resource| resource.bytes > 0);
    let handles: std::collections::HashSet<u64> = with_memory.map(|resource| resource.native.unwrap()).collect();
    assert_eq!(handles.len(), 3, "three objects, three handles");
}

#[test]
fn what_vulkan_or_wgpu_refuses_has_no_memory() {
    const NAME: &str = "what_vulkan_or_wgpu_refuses_has_no_memory";
    let Some(gpu) = crate::gpu::testing::gpu(NAME) else { return };
    if gpu.adapter.get_info().backend != wgpu::Backend::Vulkan {
        return crate::gpu::testing::skipped(NAME, "the adapter is not one of Vulkan");
    }
    let tracker = Tracker::new();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let crate::gpu::testing::TestGpu { adapter, device, queue } = gpu;
    let Adopted { device, .. } = Instrumentation::new(tracker.probe()).adopt(instance, adapter, device, queue);
    let mut kept = (None, None);
    // Neither no usage is allowed nor a second row of one dimension.
    let usage = wgpu::BufferUsages::empty();
    let descriptor = wgpu::BufferDescriptor { label: None, size: 64, usage, mapped_at_creation: false };
    assert!(refused(&device, || kept.0 = Some(device.create_buffer(&descriptor))));
    assert!(refused(&device, || kept.1 = Some(texture(&device, wgpu::TextureDimension::D1, [4, 2, 1]))));
    assert_eq!(tracker.totals().device().created_bytes, 0);
    assert_eq!(tracker.totals().device().live(), 3, "the device and two that are invalid");
}
