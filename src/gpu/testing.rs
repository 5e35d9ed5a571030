//! The device that GPU tests run on.

use std::io::Write;
use std::time::Duration;

/// A device on the best adapter there is.
pub(crate) struct TestGpu {
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) device: wgpu::Device,
    #[cfg_attr(not(feature = "telemetry"), expect(dead_code, reason = "the no-op twins submit nothing"))]
    pub(crate) queue: wgpu::Queue,
}

/// A device with the time stamp features that its adapter has. Without an adapter: a named skip (`None`), or a panic when
/// `ENGINE_VITALS_REQUIRE_GPU=1`.
pub(crate) fn gpu(test: &str) -> Option<TestGpu> {
    gpu_with(test, super::wanted_features)
}

/// As [`gpu`], with the features that `features` picks.
pub(crate) fn gpu_with(test: &str, features: impl FnOnce(&wgpu::Adapter) -> wgpu::Features) -> Option<TestGpu> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let Ok(adapter) = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())) else {
        let required = std::env::var_os("ENGINE_VITALS_REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!required, "{test}: no GPU adapter, and ENGINE_VITALS_REQUIRE_GPU=1 (install mesa-vulkan-drivers)");
        skipped(test, "no GPU adapter (install mesa-vulkan-drivers)");
        return None;
    };
    let descriptor = wgpu::DeviceDescriptor {
        required_features: features(&adapter),
        required_limits: wgpu::Limits::downlevel_defaults(),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    Some(TestGpu { adapter, device, queue })
}

/// Names a test that the machine cannot run, and why. Straight to the descriptor: the harness keeps what `eprintln!`
/// writes in a passing test to itself.
pub(crate) fn skipped(test: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED: {test}: {why}\n").as_bytes()).unwrap();
}

#[cfg(feature = "telemetry")]
impl TestGpu {
    /// A view of a square colour target.
    pub(crate) fn target(&self, side: u32) -> wgpu::TextureView {
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size: wgpu::Extent3d { width: side, height: side, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        });
        texture.create_view(&wgpu::TextureViewDescriptor::default())
    }

    /// Records a pass that clears `target`.
    pub(crate) fn clear(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::TextureView,
        timestamp_writes: Option<wgpu::RenderPassTimestampWrites<'_>>,
    ) {
        drop(encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load: wgpu::LoadOp::Clear(wgpu::Color::GREEN), store: wgpu::StoreOp::Store },
            })],
            timestamp_writes,
            ..Default::default()
        }));
    }
}

impl TestGpu {
    /// Waits until all submitted work is done.
    pub(crate) fn wait(&self) {
        let timeout = Some(Duration::from_secs(60));
        self.device.poll(wgpu::PollType::Wait { submission_index: None, timeout }).unwrap();
    }

    /// Whether the backend is one that has an allocator report.
    pub(crate) fn has_allocator_report(&self) -> bool {
        matches!(self.adapter.get_info().backend, wgpu::Backend::Vulkan | wgpu::Backend::Dx12)
    }
}
