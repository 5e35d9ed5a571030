//! Soft budgets, memory that runs out, and where the bytes are, on a real device.
#![cfg(all(feature = "telemetry", feature = "instrument"))]
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test: helpers may fail it too")]

mod budgets;
mod out_of_memory;
mod reconcile;
#[path = "../support/mod.rs"]
mod support;

use engine_vitals::{Builder, Vitals};

/// A program with an instrumented device.
struct Program {
    device: wgpu::Device,
    queue: wgpu::Queue,
    instance: wgpu::Instance,
    vitals: Vitals,
}

impl Program {
    /// A named skip without an adapter.
    fn start(test: &str, choose: impl FnOnce(Builder) -> Builder) -> Option<Self> {
        let vitals = choose(Vitals::builder().without_server()).start();
        let descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        let instance = vitals.wrap(wgpu::Instance::new(descriptor));
        let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
            support::skipped_without_adapter(test);
            return None;
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        Some(Self { device, queue, instance, vitals })
    }

    fn buffer(&self, label: &str, size: u64) -> wgpu::Buffer {
        buffer(&self.device, label, size)
    }

    fn wait(&self) {
        self.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }
}

fn buffer(device: &wgpu::Device, label: &str, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}

fn texture(device: &wgpu::Device, label: &str, side: u32) -> wgpu::Texture {
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width: side, height: side, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    })
}
