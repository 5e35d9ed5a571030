//! Where the scene's bytes lie, and how they get there: a pool of blocks for meshes, a ring through which all of them is uploaded, and a pool of
//! render targets for the bloom chain.

use engine_vitals::probe::Probe;
use engine_vitals::resources::pool::{
    BlockRequest, LayoutConfig, MemoryPool, MemoryPoolConfig, PoolBlock, PooledTarget, TargetPool, TargetPoolConfig,
};
use engine_vitals::resources::staging::{StagingConfig, StagingRing};

use crate::device::OpenDevice;
use crate::failure::Failure;
use crate::telemetry::bytes;

/// Bytes of each of the ring's buffers: several times what a frame uploads.
const RING_BYTES: u64 = 1 << 20;
/// Frames that a target is kept for: the size may come back.
const TARGETS_KEPT: u64 = 120;
/// What all blocks together may take.
const POOL_BUDGET: u64 = 64 << 20;

/// The pools and the ring.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) pool: MemoryPool,
    pub(crate) ring: StagingRing,
    targets: TargetPool,
}

impl Memory {
    pub(crate) fn new(open: &OpenDevice, probe: Probe) -> Self {
        let config = MemoryPoolConfig {
            name: "meshes".to_owned(),
            usages: vec![wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::INDEX],
            layout: LayoutConfig { budget_bytes: Some(POOL_BUDGET), ..LayoutConfig::default() },
            ..MemoryPoolConfig::default()
        };
        let ring = StagingConfig { buffer_size: RING_BYTES, ..StagingConfig::default() };
        let targets = TargetPoolConfig {
            name: "bloom".to_owned(),
            keep_idle_frames: TARGETS_KEPT,
            ..TargetPoolConfig::default()
        };
        Self {
            targets: TargetPool::with_config(&open.device, probe, targets),
            pool: MemoryPool::with_config(&open.device, &open.queue, probe, config),
            ring: StagingRing::with_config(&open.device, probe, "uploads", ring),
        }
    }

    /// A block with these bytes, which are there when the frame's uploads are.
    pub(crate) fn block(&mut self, owner: &str, label: &str, bytes: &[u8]) -> Result<PoolBlock, Failure> {
        let request = BlockRequest::new(bytes.len() as u64, wgpu::COPY_BUFFER_ALIGNMENT).owner(owner).label(label);
        let block = self.pool.request(&request).map_err(|error| failed("a block of the pool", &error))?;
        let place = block.target();
        self.upload(&place.buffer, place.offset, bytes)?;
        Ok(block)
    }

    /// A texture for such a descriptor: one that was used for it before, if there is one.
    pub(crate) fn target(&self, descriptor: &wgpu::TextureDescriptor<'_>) -> Result<PooledTarget, Failure> {
        self.targets.acquire(descriptor).map_err(|error| failed("a render target", &error))
    }

    /// Writes to a buffer with the frame's uploads.
    pub(crate) fn upload(&mut self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<(), Failure> {
        self.ring.write_buffer(buffer, offset, bytes).map_err(|error| failed("an upload", &error))
    }

    /// Records the uploads, and the copies of a few blocks that make room: before what draws.
    pub(crate) fn record(&mut self, encoder: &mut wgpu::CommandEncoder) {
        self.ring.flush(encoder);
        self.pool.defragment_in(encoder);
    }

    /// What the pool and the ring hold and have done, in two lines.
    pub(crate) fn summary(&self, scene_moves: u64) -> String {
        let (pool, ring) = (self.pool.stats(), self.ring.stats());
        let (memory, defrag) = (&pool.memory, &pool.defrag);
        format!(
            "pool: {} of {} used, {} blocks, {} moved ({}), {scene_moves} of them the scene's\n\
             ring: {}, {} written in {} copies, {} stalls\n",
            bytes(memory.allocated_bytes),
            bytes(memory.reserved_bytes),
            memory.live_blocks,
            defrag.moved,
            bytes(defrag.moved_bytes),
            bytes(ring.buffer_bytes),
            bytes(ring.written_bytes),
            ring.copies,
            ring.stalls
        )
    }

    /// All of the frame's commands are submitted.
    pub(crate) fn submitted(&mut self, submission: wgpu::SubmissionIndex) {
        self.ring.advance_ring(submission);
        self.pool.maintain();
        self.targets.maintain();
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::Running(format!("{what}: {error}"))
}
