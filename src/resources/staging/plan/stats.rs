//! What a ring has done, in figures.

use std::time::Duration;

/// The figures of a ring. Those of what was done only grow; those of what there is are as at the moment of asking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StagingStats {
    /// Buffers that the ring has, without dedicated ones.
    pub buffers: u32,
    /// Bytes of them.
    pub buffer_bytes: u64,
    /// Dedicated buffers that there are: those in use, and those kept for the next large write.
    pub dedicated_buffers: u32,
    /// Bytes of those.
    pub dedicated_bytes: u64,
    /// Bytes of the buffers that in-place bytes are copied to where the GPU cannot use them where they lie.
    pub twin_bytes: u64,
    /// Bytes filled and not flushed, with the gaps that alignment leaves.
    pub unflushed_bytes: u64,
    /// Those, and the bytes flushed that no [`advance_ring`](super::super::StagingRing::advance_ring) has said to be submitted, or that a later flush
    /// has overtaken: their commands were forgotten.
    pub unsubmitted_bytes: u64,
    /// Bytes flushed that the GPU is not done with.
    pub in_flight_bytes: u64,
    /// Buffers that it is not done with.
    pub in_flight_buffers: u32,
    /// The most bytes that were in flight at once.
    pub high_water_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Of those, bytes that no copy was needed for: used where they lie.
    pub in_place_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Copies recorded. A copy that begins or ends within a word of four bytes takes more commands than one ([`edges`](Self::edges)).
    pub copies: u64,
    /// Writes that were made part of the copy before them.
    pub merged: u64,
    /// Words of which only some bytes were written: three copies each.
    pub edges: u64,
    /// Bytes flushed: those written, and the gaps between them.
    pub flushed_bytes: u64,
    /// Bytes flushed whose commands were dropped instead of submitted: they went nowhere.
    pub dropped_bytes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Times that the ring went on with the buffer that it had filled, or one before it.
    pub wraps: u64,
    /// Writes that found no buffer ready, after all that the GPU was done with had been taken back.
    pub stalls: u64,
    /// Time that they took: waiting, or making another buffer.
    pub stall_time: Duration,
    /// Writes that a dedicated buffer was flushed for.
    pub dedicated: u64,
    /// Buffers that the ring grew by.
    pub grown: u64,
    /// Buffers that it gave up again.
    pub shrunk: u64,
    /// Buffers that could not be mapped again.
    pub broken: u64,
    /// Writes that were refused.
    pub failures: u64,
}
