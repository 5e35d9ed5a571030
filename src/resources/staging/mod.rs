//! Uploads through mapped buffers that are used again and again.
//!
//! ```no_run
//! # fn example(device: &wgpu::Device, queue: &wgpu::Queue, vertices: &wgpu::Buffer, data: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! use engine_vitals::resources::staging::StagingRing;
//!
//! let mut ring = StagingRing::new(device, 3, 16 << 20);
//! // each frame:
//! ring.write_buffer(vertices, 0, data)?;
//! let mut encoder = device.create_command_encoder(&Default::default());
//! ring.flush(&mut encoder); // before what reads the destinations
//! let submission = queue.submit([encoder.finish()]);
//! ring.advance_ring(submission);
//! # Ok(())
//! # }
//! ```
//!
//! This folder owns the way of bytes from the program to buffers and textures. It knows nothing of what they mean, and nothing of who reads
//! its figures. It differs from `pool` in that what it hands out lives until the next flush, and is written by the CPU.
//!
//! - `plan`: which bytes of which buffer are whose, which copies are one, what waits: plain data, tested without a GPU
//! - `shared`: the plan and the figures as other threads see them, behind one lock
//! - `ring`, `slice`, `texture`: what the program calls; `record`: what it becomes in an encoder
//! - `slot`: the buffers themselves; `copy`: into their memory; `config`, `error`

mod config;
mod copy;
mod error;
#[doc(hidden)]
pub mod plan;
mod record;
mod ring;
mod shared;
mod slice;
mod slot;
mod stall;
mod sync;
mod texture;

pub use config::{StagingConfig, StallPolicy};
pub use error::StagingError;
pub use plan::{StagingStats, StalledOn};
pub use ring::StagingRing;
pub use slice::{InPlace, StagingSlice};
