//! A block of a pool, counted by its handles.

use std::fmt;
use std::sync::Arc;

use super::layout::{BlockId, Place};
use super::memory_pool::MemoryPool;

/// A block of GPU memory in a buffer that others share. Clones share the block; when the last is dropped it is free, once the submissions that
/// may use it are done.
///
/// Defragmentation may move it: [`buffer`](Self::buffer) and [`offset`](Self::offset) say where it is now, and
/// [`generation`](Self::generation) changes when that does, so that bind groups are made anew. What the GPU itself writes to must be
/// [pinned](Self::pin), since nobody knows of such writes.
#[derive(Clone)]
pub struct PoolBlock(Arc<Handle>);

struct Handle {
    pool: MemoryPool,
    block: BlockId,
    bytes: u64,
}

/// Keeps a block where it is for as long as it lives.
#[must_use = "the block may move when it is dropped"]
pub struct PoolPin(PoolBlock);

impl PoolBlock {
    pub(super) fn new(pool: MemoryPool, block: BlockId, bytes: u64) -> Self {
        Self(Arc::new(Handle { pool, block, bytes }))
    }

    /// One more handle of the same block, as by `clone`.
    #[must_use]
    pub fn add_ref(&self) -> Self {
        self.clone()
    }

    /// Gives this handle up, as by `drop`. True if it was the last, which ends the block.
    #[expect(clippy::must_use_candidate, reason = "releasing is what it is for")]
    pub fn release(self) -> bool {
        let last = Arc::strong_count(&self.0) == 1;
        drop(self);
        last
    }

    /// How many handles there are.
    #[must_use]
    pub fn handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The buffer that it lies in now.
    #[must_use]
    pub fn buffer(&self) -> wgpu::Buffer {
        self.0.pool.buffer_of(self.place().slab)
    }

    /// From which byte of that buffer.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.place().offset
    }

    /// Bytes that were asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.bytes
    }

    /// Buffer, offset and size together, of one moment.
    #[must_use]
    pub fn location(&self) -> (wgpu::Buffer, u64, u64) {
        let place = self.place();
        (self.0.pool.buffer_of(place.slab), place.offset, self.0.bytes)
    }

    /// Changes each time that a block of the pool has moved.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.pool.generation()
    }

    /// The submission that is made next uses it: until that is done it stays where it is.
    pub fn touch(&self) {
        self.0.pool.touch(self.0.block);
    }

    /// Keeps it where it is.
    pub fn pin(&self) -> PoolPin {
        self.0.pool.pin(self.0.block, true);
        PoolPin(self.clone())
    }

    pub(super) fn id(&self) -> BlockId {
        self.0.block
    }

    fn place(&self) -> Place {
        self.0.pool.place(self.0.block)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.pool.free(self.block);
    }
}

impl Drop for PoolPin {
    fn drop(&mut self) {
        self.0.0.pool.pin(self.0.id(), false);
    }
}

impl fmt::Debug for PoolBlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PoolBlock").field("place", &self.place()).field("size", &self.size()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PoolPin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("PoolPin").field(&self.0).finish()
    }
}
