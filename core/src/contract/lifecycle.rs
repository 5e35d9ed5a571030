//! The life of all tracked resources, as a lifecycle monitor sums it up.

use super::stores::{MemoryPoolReport, StagingRingReport, TargetPoolReport};

/// What a lifecycle monitor knows of one kind of resource.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindUsage {
    /// Name of the kind.
    pub kind: &'static str,
    /// Resources created over life.
    pub created: u64,
    /// Resources released over life.
    pub destroyed: u64,
    /// Resources live: handle held, not destroyed.
    pub live: u64,
    /// Bytes of the live.
    pub live_bytes: u64,
    /// Resources whose handle is gone or that were destroyed, and that something still references.
    pub pending: u64,
    /// Bytes of the pending.
    pub pending_bytes: u64,
}

impl KindUsage {
    /// The usage of a kind of which nothing was ever created.
    #[must_use]
    pub fn none(kind: &'static str) -> Self {
        Self { kind, created: 0, destroyed: 0, live: 0, live_bytes: 0, pending: 0, pending_bytes: 0 }
    }
}

/// The life of all tracked resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifecycleReport {
    /// Resources created over life.
    pub created: u64,
    /// Resources released over life.
    pub destroyed: u64,
    /// Resources live.
    pub live: u64,
    /// Bytes of the live, without suballocations.
    pub live_bytes: u64,
    /// The most bytes live at once, within the bound that the book documents.
    pub peak_live_bytes: u64,
    /// Bytes of the pending, without suballocations.
    pub pending_bytes: u64,
    /// The kinds of which at least one resource was created.
    pub kinds: Vec<KindUsage>,
    /// Packets begun.
    pub packets_queued: u64,
    /// Packets presented.
    pub packets_presented: u64,
    /// Packets dropped.
    pub packets_dropped: u64,
    /// Submissions begun.
    pub submissions: u64,
    /// Submissions completed.
    pub submissions_completed: u64,
    /// Events that a ring overwrote before the book's own reader had them.
    pub events_lost: u64,
    /// The staging rings that are listed.
    pub staging_rings: Vec<StagingRingReport>,
    /// The memory pools that are listed.
    pub memory_pools: Vec<MemoryPoolReport>,
    /// The pools of render targets that are listed.
    pub target_pools: Vec<TargetPoolReport>,
}
