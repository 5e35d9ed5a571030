//! What a pool holds and has done, in figures.

use std::fmt;
use std::ops::AddAssign;

use super::layout::LayoutStats;

/// The figures of a pool. Counters never go down, and reading resets nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// What it holds now, all sets of usages together; the loss is defined there.
    pub memory: LayoutStats,
    /// Blocks given out over life.
    pub allocations: u64,
    /// Requests that were refused over life, for whatever reason.
    pub failures: u64,
    /// Slabs made over life.
    pub slabs_made: u64,
    /// Slabs given back over life.
    pub slabs_released: u64,
    /// Bytes of those.
    pub released_bytes: u64,
    /// What defragmentation did over life.
    pub defrag: DefragStats,
}

impl fmt::Display for PoolStats {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = &self.memory;
        write!(
            out,
            "{} bytes reserved in {} slabs: {} allocated in {} blocks, {} waiting for the GPU, {} being copied, {} free for requests of \
             their size, {} free and of no use now",
            memory.reserved_bytes,
            memory.slabs,
            memory.allocated_bytes - memory.waiting_bytes - memory.moving_bytes,
            memory.live_blocks,
            memory.waiting_bytes,
            memory.moving_bytes,
            memory.free_bytes(),
            memory.unusable_bytes
        )
    }
}

/// What defragmentation did: planned is what copies were recorded for, moved is what truly lies elsewhere now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragStats {
    /// Copies recorded. Their blocks move when the GPU has made them.
    pub planned: u64,
    /// Bytes of those.
    pub planned_bytes: u64,
    /// Blocks that lie at another place now.
    pub moved: u64,
    /// Bytes of those.
    pub moved_bytes: u64,
    /// Blocks whose copy was of no use: written or pinned meanwhile, or the commands were never submitted.
    pub stayed: u64,
    /// Blocks that ended while they were copied.
    pub gone: u64,
    /// Bytes of slabs that became empty while their blocks were moved out. They are cut anew for other classes, or given back.
    pub recovered_bytes: u64,
}

impl AddAssign for DefragStats {
    fn add_assign(&mut self, other: Self) {
        let Self { planned, planned_bytes, moved, moved_bytes, stayed, gone, recovered_bytes } = other;
        self.planned += planned;
        self.planned_bytes += planned_bytes;
        self.moved += moved;
        self.moved_bytes += moved_bytes;
        self.stayed += stayed;
        self.gone += gone;
        self.recovered_bytes += recovered_bytes;
    }
}
