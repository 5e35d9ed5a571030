//! Many blocks in few buffers, with defragmentation that moves them.
//!
//! ```no_run
//! # fn example(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<(), Box<dyn std::error::Error>> {
//! use engine_vitals::gpu::Submissions;
//! use engine_vitals::resources::pool::{MemoryPool, MemoryPoolConfig};
//! use engine_vitals::Probe;
//!
//! let submissions = Submissions::new(Probe::OFF);
//! let pool = MemoryPool::new(device, &submissions, MemoryPoolConfig::default());
//! let vertices = pool.allocate(48 << 10, 4)?;
//! queue.write_buffer(&vertices.buffer(), vertices.offset(), &[0; 48 << 10]);
//! // each frame:
//! let mut encoder = device.create_command_encoder(&Default::default());
//! pool.defragment(&mut encoder, 1 << 20);
//! submissions.submit(queue, [encoder.finish()]);
//! pool.maintain();
//! # Ok(())
//! # }
//! ```

mod block;
pub mod layout;
mod memory_pool;

pub use block::{PoolBlock, PoolPin};
pub use layout::{LayoutConfig, LayoutError as PoolError, LayoutStats as PoolStats};
pub use memory_pool::{DefragStats, MemoryPool, MemoryPoolConfig};
