//! Traces on a pool of a device, whose blocks hold what can be compared.

use std::collections::VecDeque;
use std::time::Duration;

use engine_vitals::resources::pool::{BlockRequest, MemoryPool, PoolBlock, PoolError};

use super::hour::{Blocks, Held};
use super::traces::{FRAMES_IN_FLIGHT, Request};

/// What the blocks are filled from: a block holds as many of these bytes as it has, from a place of its own on.
const NOISE_BYTES: usize = 4 << 20;
/// Bytes at the begin of a block that a frame writes anew.
const STAMP_BYTES: usize = 16;

/// A pool, and what must lie in its blocks.
pub(crate) struct Pooled {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pool: MemoryPool,
    noise: Vec<u8>,
    /// By key.
    blocks: Vec<Option<Filled>>,
    owner: &'static str,
    /// Blocks and stamps so far.
    writes: u64,
    submissions: VecDeque<wgpu::SubmissionIndex>,
    /// Why the last allocation failed.
    pub(crate) failure: Option<PoolError>,
}

/// A block that was written to.
struct Filled {
    block: PoolBlock,
    noise_at: usize,
    stamp: Option<[u8; STAMP_BYTES]>,
}

/// What a comparison of all blocks has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
    /// Blocks that do not hold what was written.
    pub(crate) wrong: u64,
}

impl Pooled {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue, pool: MemoryPool, owner: &'static str) -> Self {
        let mut random = fastrand::Rng::with_seed(7);
        let mut noise = vec![0; NOISE_BYTES];
        random.fill(&mut noise);
        Self {
            device: device.clone(),
            queue: queue.clone(),
            pool,
            noise,
            blocks: Vec::new(),
            owner,
            writes: 0,
            submissions: VecDeque::new(),
            failure: None,
        }
    }

    /// Reads all blocks back and compares them.
    ///
    /// # Errors
    /// In words, when the device does not give them.
    pub(crate) fn compare(&self) -> Result<Compared, String> {
        let filled: Vec<&Filled> = self.blocks.iter().flatten().collect();
        let padded = |filled: &Filled| filled.block.size().next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let size = filled.iter().map(|filled| padded(filled)).sum::<u64>();
        let mut compared = Compared { blocks: filled.len() as u64, bytes: size, wrong: 0 };
        if filled.is_empty() {
            return Ok(compared);
        }
        let back = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("what lies in the pool"),
            size,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut offset = 0;
        for filled in &filled {
            let from = filled.block.location();
            encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &back, offset, padded(filled));
            offset += padded(filled);
        }
        self.queue.submit([encoder.finish()]);
        back.slice(..).map_async(wgpu::MapMode::Read, |_| ());
        let wait = wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(60)) };
        self.device.poll(wait).map_err(|error| error.to_string())?;
        let read = back.slice(..).get_mapped_range().map_err(|error| error.to_string())?;
        let mut offset = 0;
        for filled in &filled {
            let bytes = filled.block.size() as usize;
            compared.wrong += u64::from(!filled.holds(&read[offset..offset + bytes], &self.noise));
            offset += padded(filled) as usize;
        }
        Ok(compared)
    }
}

impl Filled {
    fn holds(&self, read: &[u8], noise: &[u8]) -> bool {
        let stamp: &[u8] = self.stamp.as_ref().map_or(&[], |stamp| stamp);
        let (begin, rest) = read.split_at(stamp.len());
        begin == stamp && *rest == noise[self.noise_at + stamp.len()..self.noise_at + read.len()]
    }
}

impl Blocks for Pooled {
    fn allocate(&mut self, Request { key, bytes, align }: Request) -> bool {
        let index = key as usize;
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, || None);
        }
        self.writes += 1;
        let most = (NOISE_BYTES as u64).saturating_sub(bytes) + 1;
        // Neighbours in time begin far from each other.
        let noise_at = (self.writes.wrapping_mul(0x9E37_79B9_7F4A_7C15) % most) as usize;
        let end = noise_at + bytes as usize;
        let made = self.pool.request(&BlockRequest::new(bytes, align).owner(self.owner)).and_then(|block| {
            block.write(0, &self.noise[noise_at..end])?;
            Ok(Filled { block, noise_at, stamp: None })
        });
        match made {
            Ok(filled) => {
                self.blocks[index] = Some(filled);
                true
            }
            Err(error) => {
                self.failure = Some(error);
                false
            }
        }
    }

    fn free(&mut self, key: u32) {
        self.blocks[key as usize] = None;
    }

    fn write(&mut self, key: u32) {
        self.writes += 1;
        let Some(filled) = &mut self.blocks[key as usize] else { return };
        let mut stamp = [0; STAMP_BYTES];
        stamp[..8].copy_from_slice(&self.writes.to_le_bytes());
        match filled.block.write(0, &stamp) {
            Ok(()) => filled.stamp = Some(stamp),
            Err(error) => self.failure = Some(error),
        }
    }

    fn end_frame(&mut self) -> Held {
        let did = self.pool.defragment();
        self.submissions.push_back(self.queue.submit([]));
        self.pool.maintain();
        if self.submissions.len() as u64 > FRAMES_IN_FLIGHT {
            let submission_index = self.submissions.pop_front();
            // What the device says to this shows in what is read back.
            let _ = self.device.poll(wgpu::PollType::Wait { submission_index, timeout: Some(Duration::from_secs(10)) });
        }
        let stats = self.pool.stats();
        Held {
            reserved_bytes: stats.memory.reserved_bytes,
            lost_bytes: stats.memory.lost_bytes(),
            moved_bytes: did.planned_bytes,
            buffers_made: stats.slabs_made,
        }
    }
}
