//! What hands out GPU memory from resources of its own, and how it is listed: staging rings, memory pools, pools of render targets.

mod sums;

use std::fmt::Debug;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::sums::Sums;

/// Something that hands out GPU memory from resources of its own and says how it stands. Give it to
/// [`Probe::list`](crate::probe::Probe::list), and it is in the lifecycle report.
///
/// # Thread rules
/// Asked from any thread, with no lock of the telemetry held. It may take its own lock for as long as reading its counters takes.
pub trait Store: Debug + Send + Sync {
    /// How it stands now. Counters in it never go down.
    fn report(&self) -> StoreReport;

    /// The bytes written to it that no submission has taken; `None` where there are none. Asked each frame, so it allocates nothing.
    fn unsubmitted(&self) -> Option<StagedBytes> {
        None
    }
}

/// Bytes that wait for a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedBytes {
    /// How many.
    pub bytes: u64,
    /// When the oldest of them were written, by the tracker's clock in nanoseconds since the Unix epoch.
    pub since_unix_nanos: u64,
    /// The line of source that wrote those.
    pub site: &'static Location<'static>,
}

/// How one [`Store`] stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreReport {
    /// A staging ring.
    StagingRing(StagingRingReport),
    /// A memory pool.
    MemoryPool(MemoryPoolReport),
    /// A pool of render targets.
    TargetPool(TargetPoolReport),
}

impl StoreReport {
    /// Rings, memory pools and pools of render targets apart, each in their order.
    pub fn by_kind(
        reports: impl IntoIterator<Item = Self>,
    ) -> (Vec<StagingRingReport>, Vec<MemoryPoolReport>, Vec<TargetPoolReport>) {
        let (mut rings, mut pools, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for report in reports {
            match report {
                Self::StagingRing(ring) => rings.push(ring),
                Self::MemoryPool(pool) => pools.push(pool),
                Self::TargetPool(pool) => targets.push(pool),
            }
        }
        (rings, pools, targets)
    }
}

/// A staging ring: mapped buffers through which uploads pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize, serde::Deserialize))]
pub struct StagingRingReport {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes of all its buffers, those made for one write included.
    pub ring_bytes: u64,
    /// Bytes flushed that the GPU is not done with, of each buffer of the ring in order, and then of each that was made for one write.
    pub in_flight_bytes: Vec<u64>,
    /// Bytes written that no flush has recorded, or whose commands no submission has taken.
    pub unsubmitted_bytes: u64,
    /// The most bytes that were in flight at once.
    pub high_water_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Copies recorded.
    pub copies: u64,
    /// Writes that were made part of the copy before them.
    pub merged_copies: u64,
    /// Times that the ring went on with the buffer that it had filled, or one before it.
    pub wraps: u64,
    /// Writes that found no buffer ready.
    pub stalls: u64,
    /// Time that writes have waited, or taken to make another buffer, because of that.
    #[cfg_attr(feature = "telemetry", serde(rename = "stall_seconds", with = "seconds"))]
    pub stall_time: Duration,
    /// Writes that got a buffer of their own.
    pub dedicated: u64,
    /// Writes that were refused.
    pub failures: u64,
}

/// A memory pool: many blocks in few buffers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize, serde::Deserialize))]
pub struct MemoryPoolReport {
    /// Its name.
    pub name: Arc<str>,
    /// Bytes of its buffers.
    pub reserved_bytes: u64,
    /// Bytes of cells that are not free, among them those that wait for the GPU.
    pub allocated_bytes: u64,
    /// Bytes that were asked for, of the same cells.
    pub requested_bytes: u64,
    /// Bytes of free space that no request of its class could use.
    pub unusable_bytes: u64,
    /// The longest run of free bytes in one buffer.
    pub largest_free_bytes: u64,
    /// What `reserved_bytes` may be at most; `None` without a limit.
    pub budget_bytes: Option<u64>,
    /// Blocks live.
    pub blocks: u64,
    /// Blocks freed whose bytes wait for the GPU.
    pub waiting_blocks: u64,
    /// Buffers.
    pub slabs: u64,
    /// Blocks given out over life.
    pub allocations: u64,
    /// Requests that were refused over life.
    pub failures: u64,
    /// Blocks that defragmentation has moved.
    pub defrag_moves: u64,
    /// Bytes of those.
    pub defrag_moved_bytes: u64,
    /// Bytes of buffers given back over life.
    pub released_bytes: u64,
}

impl MemoryPoolReport {
    /// Bytes lost: to rounding requests up, and to free space that no request of its class could use.
    #[must_use]
    pub fn lost_bytes(&self) -> u64 {
        (self.allocated_bytes - self.requested_bytes.min(self.allocated_bytes)).saturating_add(self.unusable_bytes)
    }

    /// The lost bytes as a share of the reserved; `None` where nothing is reserved.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.reserved_bytes > 0).then(|| self.lost_bytes() as f64 / self.reserved_bytes as f64)
    }
}

/// A pool of render targets: textures that are used again by whoever asks for the same descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "telemetry", derive(serde::Serialize, serde::Deserialize))]
pub struct TargetPoolReport {
    /// Its name.
    pub name: Arc<str>,
    /// Targets in use.
    pub used: u64,
    /// Bytes of those.
    pub used_bytes: u64,
    /// Targets kept for reuse.
    pub idle: u64,
    /// Bytes of those.
    pub idle_bytes: u64,
    /// Requests served with a target that was there.
    pub reused: u64,
    /// Requests for which one was made.
    pub created: u64,
    /// Idle targets that were given up.
    pub released: u64,
}

/// A [`Duration`] as a number of seconds: exact to the nanosecond up to a hundred days.
#[cfg(feature = "telemetry")]
mod seconds {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
