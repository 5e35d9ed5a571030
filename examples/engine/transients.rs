//! Resources with a bad life on purpose: some live for one frame, some for ever.

use engine_vitals::heap_scope;
use engine_vitals::probe::{Context, OwnerId, OwnerKind, Probe};

/// Bytes of a leaked buffer.
const LEAKED_BYTES: u64 = 1024;

/// What `--churn` and `--leak` ask for.
#[derive(Debug)]
pub(crate) struct Transients {
    device: wgpu::Device,
    churn: u32,
    leak: u32,
    leaked: Vec<wgpu::Buffer>,
    owner: OwnerId,
}

impl Transients {
    pub(crate) fn new(device: wgpu::Device, probe: Probe, churn: u32, leak: u32) -> Self {
        let owner = probe.owner_named(OwnerKind::TRANSIENT, 0, "transients");
        Self { device, churn, leak, leaked: Vec::new(), owner }
    }

    /// Makes one frame's resources. The transient ones are used once and dropped: three buffers to a texture.
    pub(crate) fn frame(&mut self, queue: &wgpu::Queue) {
        heap_scope!("transients");
        let _context = Context::current().with_owner(self.owner).enter();
        for index in 0..self.churn {
            if index % 4 == 3 {
                drop(self.device.create_texture(&wgpu::TextureDescriptor {
                    label: Some("transient texture"),
                    size: wgpu::Extent3d { width: 64, height: 64, depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format: wgpu::TextureFormat::Rgba8Unorm,
                    usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                    view_formats: &[],
                }));
            } else {
                let buffer = self.buffer("transient buffer", 4096 << (index % 3));
                queue.write_buffer(&buffer, 0, &index.to_le_bytes());
            }
        }
        for _ in 0..self.leak {
            let leaked = self.buffer("leaked buffer", LEAKED_BYTES);
            self.leaked.push(leaked);
        }
    }

    fn buffer(&self, label: &str, size: u64) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        })
    }
}
