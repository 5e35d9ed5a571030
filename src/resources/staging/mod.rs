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

mod error;
pub mod plan;
mod ring;
mod texture;

pub use error::StagingError;
pub use plan::RingStats;
pub use ring::{StagingConfig, StagingRing, StagingSlice, StagingStats, StallPolicy};
