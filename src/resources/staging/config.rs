//! What a ring is made with.

use std::time::Duration;

/// What happens when a write finds all buffers filled or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StallPolicy {
    /// The ring gets one more buffer, up to so many; then as [`WouldStall`](Self::WouldStall). Making a buffer takes several
    /// times as long as to fill it.
    Grow {
        /// Buffers that there may be.
        most_buffers: u32,
    },
    /// The call waits for the GPU to be done with the buffer that was flushed first, for so long in all. Where no buffer is in flight, waiting
    /// would not end, and the write fails at once as with [`WouldStall`](Self::WouldStall).
    Wait {
        /// After which the write fails with [`StagingError::TimedOut`](super::StagingError::TimedOut).
        timeout: Duration,
    },
    /// The write fails with [`StagingError::WouldStall`](super::StagingError::WouldStall), and whoever writes does something else.
    WouldStall,
}

/// What a ring is made with.
///
/// ```
/// use engine_vitals::resources::staging::StagingConfig;
/// let config = StagingConfig { ring_count: 2, buffer_size: 4 << 20, ..StagingConfig::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagingConfig {
    /// Buffers; 3 by default, from 1 to 1,024. One is filled while the GPU reads the others.
    pub ring_count: u32,
    /// Bytes of each; 16 MiB by default, at least 4 and at most the device's `max_buffer_size`. What a frame writes should fit into one.
    pub buffer_size: u64,
    /// What happens when no buffer is ready; growing to 6 buffers by default, so say more for a ring that has more at the start.
    pub stall: StallPolicy,
    /// Bytes that all dedicated buffers together may have; 1 GiB by default. One of them has at most the device's `max_buffer_size`.
    pub most_dedicated_bytes: u64,
    /// Calls of [`advance_ring`](super::StagingRing::advance_ring) without need of them after which the buffers that the ring has grown by, and
    /// the dedicated ones, are given up; 120 by default.
    pub quiet_frames: u64,
    /// What bytes that are [used in place](super::StagingSlice::in_place) are used for: vertices, uniforms, storage, …; nothing by default.
    pub in_place_usage: wgpu::BufferUsages,
}

impl Default for StagingConfig {
    fn default() -> Self {
        Self {
            ring_count: 3,
            buffer_size: 16 << 20,
            stall: StallPolicy::Grow { most_buffers: 6 },
            most_dedicated_bytes: 1 << 30,
            quiet_frames: 120,
            in_place_usage: wgpu::BufferUsages::empty(),
        }
    }
}
