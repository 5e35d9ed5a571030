//! Many blocks in few buffers, with defragmentation that moves them.
//!
//! ```no_run
//! # fn example(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<(), Box<dyn std::error::Error>> {
//! use engine_vitals::resources::pool::MemoryPool;
//!
//! let pool = MemoryPool::new(device, queue);
//! let vertices = pool.allocate(48 << 10, 4)?;
//! vertices.write(0, &[0; 48 << 10])?;
//! // each frame, after the submits:
//! pool.defragment();
//! pool.maintain();
//! # Ok(())
//! # }
//! ```
//!
//! This folder owns the pools. [`layout`] decides where blocks lie, without a GPU; `state` is what a pool's lock guards, and calls nothing of
//! wgpu; `slab` makes buffers, `memory_pool` and `block` are what a program has in hand, `handles` counts them, `map` and `drawing` show
//! what lies where. `targets` is a pool of whole textures, for render targets of the same descriptor. It knows a
//! [`Probe`](crate::Probe) to report to, and nothing of who reads.

mod block;
mod config;
mod count;
mod drawing;
mod error;
mod handles;
pub mod layout;
mod making;
mod map;
mod memory_pool;
mod proof;
mod shared;
mod slab;
mod state;
mod stats;
mod sync;
mod targets;

pub use block::{BlockLocation, BlockTarget, PoolBlock, PoolBlockId, PoolPin};
pub use config::{BlockRequest, MemoryPoolConfig};
pub use error::PoolError;
pub use layout::LayoutConfig;
pub use map::{BlockMap, HeapMap, PoolMap, SlabMap};
pub use memory_pool::MemoryPool;
pub use stats::{DefragStats, PoolStats};
pub use targets::{PooledTarget, TargetError, TargetPool, TargetPoolConfig};
