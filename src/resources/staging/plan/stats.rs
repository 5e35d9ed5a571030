//! What a ring has done, in figures.

/// The figures of a ring. Those of what was done only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// Buffers that it has.
    pub buffers: u32,
    /// Bytes of them.
    pub buffer_bytes: u64,
    /// Bytes filled and not flushed.
    pub unflushed_bytes: u64,
    /// Bytes flushed that the GPU is not done with.
    pub in_flight_bytes: u64,
    /// Buffers that it is not done with.
    pub in_flight_buffers: u32,
    /// The most bytes that were in flight at once.
    pub high_water_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Writes.
    pub writes: u64,
    /// Copies recorded.
    pub copies: u64,
    /// Writes that were made part of the copy before them.
    pub merged: u64,
    /// Bytes flushed: those written, and the gaps between them.
    pub flushed_bytes: u64,
    /// Flushes.
    pub flushes: u64,
    /// Times that the ring went on with its first buffer.
    pub wraps: u64,
    /// Reservations that found no buffer ready.
    pub stalls: u64,
    /// Buffers that it grew by.
    pub grown: u64,
    /// Buffers that it gave up again.
    pub shrunk: u64,
    /// Buffers that could not be mapped again.
    pub broken: u64,
}
