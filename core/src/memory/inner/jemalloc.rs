//! jemalloc.

use tikv_jemallocator::Jemalloc;

use super::InnerAllocator;
use crate::memory::TrackingAllocator;

impl TrackingAllocator<Jemalloc> {
    /// Counts what passes through jemalloc, whose own figures then give the heap's fragmentation. With the feature `jemalloc`, on Unix.
    ///
    /// ```
    /// use engine_vitals_core::memory::{Jemalloc, TrackingAllocator};
    ///
    /// #[global_allocator]
    /// static HEAP: TrackingAllocator<Jemalloc> = TrackingAllocator::jemalloc();
    /// # fn main() {}
    /// ```
    #[must_use]
    pub const fn jemalloc() -> Self {
        Self::new(Jemalloc).with_inner_kind(InnerAllocator::Jemalloc)
    }
}

/// Its statistics, of an epoch begun now.
#[cfg(feature = "telemetry")]
pub(super) fn read() -> Option<super::AllocatorMemory> {
    use tikv_jemalloc_ctl::{Result, epoch, stats};

    epoch::advance().ok()?;
    let bytes = |read: Result<usize>| read.ok().map(|bytes| bytes as u64);
    Some(super::AllocatorMemory {
        allocated: bytes(stats::allocated::read()),
        active: bytes(stats::active::read()),
        resident: bytes(stats::resident::read()),
        mapped: bytes(stats::mapped::read()),
        retained: bytes(stats::retained::read()),
    })
}
