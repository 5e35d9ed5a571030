//! Resources with a bad life on purpose: some live for one frame, some for ever, and blocks of the pool come in waves and go at random.

use engine_vitals::heap_scope;
use engine_vitals::probe::{Context, OwnerId, OwnerKind, Probe};
use engine_vitals::resources::pool::PoolBlock;

use crate::failure::Failure;
use crate::memory::Memory;

/// Bytes of a leaked buffer.
const LEAKED_BYTES: u64 = 1024;

/// Frames from one wave of blocks to the next.
const WAVE: u64 = 60;
/// Most blocks that a frame makes, and that there are at a time.
const MOST_NEW: u32 = 32;
const MOST_BLOCKS: usize = 256;

/// What `--churn` and `--leak` ask for.
#[derive(Debug)]
pub(crate) struct Transients {
    device: wgpu::Device,
    churn: u32,
    leak: u32,
    leaked: Vec<wgpu::Buffer>,
    /// With the frame that each goes in.
    blocks: Vec<(u64, PoolBlock)>,
    /// Those of the scene's blocks, so that they lie side by side.
    block_sizes: Vec<u64>,
    frames: u64,
    owner: OwnerId,
}

impl Transients {
    pub(crate) fn new(device: wgpu::Device, probe: Probe, block_sizes: Vec<u64>, churn: u32, leak: u32) -> Self {
        let owner = probe.owner_named(OwnerKind::TRANSIENT, 0, "transients");
        Self { device, churn, leak, leaked: Vec::new(), blocks: Vec::new(), block_sizes, frames: 0, owner }
    }

    /// Makes one frame's resources. The transient ones are used once and dropped: three buffers to a texture.
    ///
    /// # Errors
    /// When the pool has no room for a block.
    pub(crate) fn frame(&mut self, queue: &wgpu::Queue, memory: &mut Memory) -> Result<(), Failure> {
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
        self.wave(memory)
    }

    /// In each wave a frame makes blocks first, and none later: what is left of them by then lies far apart, and is moved together.
    fn wave(&mut self, memory: &mut Memory) -> Result<(), Failure> {
        self.frames += 1;
        let now = self.frames;
        self.blocks.retain(|(end, _)| *end > now);
        let rises = now % WAVE < WAVE / 2;
        let new = if rises { self.churn.div_ceil(4).min(MOST_NEW) } else { 0 };
        for index in 0..new {
            if self.blocks.len() >= MOST_BLOCKS {
                break;
            }
            let random = mixed(now * u64::from(MOST_NEW) + u64::from(index));
            let size = self.block_sizes[random as usize % self.block_sizes.len()];
            let bytes = vec![random as u8; size as usize];
            let life = 1 + (random >> 16) % WAVE;
            self.blocks.push((now + life, memory.block("transients", "transient block", &bytes)?));
        }
        Ok(())
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

/// A number that looks like chance: splitmix64's last steps.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
