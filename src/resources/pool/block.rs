//! A block of a pool, counted by its handles.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use engine_vitals_core::probe::Ticket;
use parking_lot::Mutex;

use super::error::PoolError;
use super::layout::BlockId;
use super::memory_pool::Shared;

/// A block of GPU memory in a buffer that others share. Clones are handles of the same block; when the last one is dropped the block ends, and
/// its bytes are free when the GPU is done with all that was submitted until the end of that frame ([`MemoryPool::maintain`]).
///
/// # Reading and writing
/// Defragmentation may move it. [`location`](Self::location) says where it is now, and its `generation` changes when that does, so that bind
/// groups are made anew. A location stays good for reading by all that is submitted before the end of the frame in which it was asked for: the
/// old place is kept until then.
///
/// Who writes, be it by the CPU, by copies or by shaders, asks [`target`](Self::target) (or [`write`](Self::write)s): a copy of the block that
/// is under way is not used then, and the block stays where it is until the GPU is done with this frame. Writes through a mere `location` may be
/// lost. What shaders write for many frames on end is [pinned](Self::pin).
///
/// # Threads
/// Handles may be used and dropped on any thread. A thread that does not keep to the frames of the one that calls `maintain` keeps a target, for
/// reading a [pin](Self::pin), from before it asks for the location until its commands are submitted; [`write`](Self::write) does so by itself.
///
/// [`MemoryPool::maintain`]: super::MemoryPool::maintain
#[derive(Clone)]
pub struct PoolBlock(Arc<Handle>);

/// What all handles of a block share.
pub(super) struct Handle {
    pool: Arc<Shared>,
    heap: usize,
    block: BlockId,
    bytes: u64,
    pins: AtomicU32,
    ticket: Mutex<Ticket>,
}

/// Names a block without keeping it: [`MemoryPool::find`](super::MemoryPool::find) gives a handle for as long as it lives. The name of a block
/// that has ended is told apart from that of the block which took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolBlockId {
    pub(super) pool: u64,
    pub(super) heap: usize,
    pub(super) block: BlockId,
}

/// Where a block lies.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BlockLocation {
    /// In which buffer.
    pub buffer: wgpu::Buffer,
    /// From which byte of it.
    pub offset: u64,
    /// For how many bytes: those that were asked for.
    pub size: u64,
    /// Times that the block has moved.
    pub generation: u64,
}

/// Where a block lies for as long as this lives: what is written there is not lost.
#[derive(Debug)]
#[must_use = "the block may move when it is dropped"]
pub struct BlockTarget {
    location: BlockLocation,
    _pin: PoolPin,
}

/// Keeps a block where it is for as long as it lives.
#[must_use = "the block may move when it is dropped"]
pub struct PoolPin(PoolBlock);

impl PoolBlock {
    pub(super) fn new(pool: Arc<Shared>, heap: usize, block: BlockId, bytes: u64, ticket: Ticket) -> Self {
        Self(Arc::new(Handle { pool, heap, block, bytes, pins: AtomicU32::new(0), ticket: Mutex::new(ticket) }))
    }

    pub(super) fn of(handle: Arc<Handle>) -> Self {
        Self(handle)
    }

    /// One more handle of the same block, as by `clone`.
    #[must_use]
    pub fn add_ref(&self) -> Self {
        self.clone()
    }

    /// Gives this handle up, as by `drop`. True if it was the last, which ends the block: of several threads that release at once exactly one is
    /// told so.
    #[expect(clippy::must_use_candidate, reason = "releasing is what it is for")]
    pub fn release(self) -> bool {
        Arc::into_inner(self.0).is_some()
    }

    /// How many handles there are. Another thread may have changed that already.
    #[must_use]
    pub fn ref_count(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Its name: a handle that does not keep it.
    #[must_use]
    pub fn id(&self) -> PoolBlockId {
        PoolBlockId { pool: self.0.pool.id, heap: self.0.heap, block: self.0.block }
    }

    /// Bytes that were asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.bytes
    }

    /// Where it lies now, for reading.
    #[must_use]
    pub fn location(&self) -> BlockLocation {
        self.0.pool.location(&self.0)
    }

    /// Where it lies now, for writing: it stays there for as long as the target lives, and until the GPU is done with the frame in which that is
    /// dropped.
    pub fn target(&self) -> BlockTarget {
        let pin = self.pin();
        BlockTarget { location: self.location(), _pin: pin }
    }

    /// This frame writes to it at a place that is known, as to a [`target`](Self::target). False if the block has moved since: then write to
    /// where it lies now.
    #[must_use = "the block may have moved"]
    pub fn touch(&self, known: &BlockLocation) -> bool {
        self.0.pool.touch(&self.0, known)
    }

    /// Times that it has moved. What was made for another generation (a bind group) is made anew. Where
    /// [`MemoryPool::generation`](super::MemoryPool::generation) is what it was, no block has moved, and none must be asked.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.pool.block_generation(&self.0)
    }

    /// Writes `data` from the byte `offset` of the block on, with the next submission: `Queue::write_buffer`.
    ///
    /// # Errors
    /// [`PoolError::Write`]: it does not lie inside, the offset is no multiple of 4, or the length is none and ends before the block does.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), PoolError> {
        let (bytes, size) = (data.len() as u64, self.0.bytes);
        let end = offset.checked_add(bytes).filter(|&end| end <= size);
        let words = bytes.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) || end == Some(size);
        if end.is_none() || !words || !offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
            return Err(PoolError::Write { offset, bytes, size });
        }
        let to = self.target();
        let (whole, rest) = data.split_at(data.len() - data.len() % 4);
        let queue = &self.0.pool.queue;
        if !whole.is_empty() {
            queue.write_buffer(&to.buffer, to.offset + offset, whole);
        }
        if !rest.is_empty() {
            // A cell is a multiple of four bytes: what follows the block there is nobody's.
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            queue.write_buffer(&to.buffer, to.offset + offset + whole.len() as u64, &word);
        }
        Ok(())
    }

    /// Keeps it where it is for as long as the pin lives, and until the GPU is done with the frame in which that is dropped: until then the block
    /// may be written.
    pub fn pin(&self) -> PoolPin {
        self.0.pool.pin(&self.0);
        PoolPin(self.clone())
    }

    /// Keeps the block, and keeps it where it is, until the GPU is done with the commands of `encoder`, or until those are dropped. For commands
    /// that are submitted later than the end of the frame in which they are recorded. Call it before asking for the location.
    pub fn keep_for(&self, encoder: &wgpu::CommandEncoder) {
        let pin = self.pin();
        encoder.on_submitted_work_done(move || drop(pin));
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.0
    }
}

impl Handle {
    pub(super) fn block(&self) -> BlockId {
        self.block
    }

    pub(super) fn heap(&self) -> usize {
        self.heap
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Tells the ticket within which resource the block lies now. Not under the pool's lock.
    pub(super) fn tell_slab(&self) {
        let mut ticket = self.ticket.lock();
        // Asked under the ticket's lock: of two threads that tell, the last one tells the truth.
        if let Some(slab) = self.pool.slab_id(self) {
            ticket.moved_within(slab);
        }
    }

    /// Counts a pin; true for the first. Under the pool's lock.
    pub(super) fn pinned(&self) -> bool {
        self.pins.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Takes a pin back; true for the last. Under the pool's lock.
    pub(super) fn unpinned(&self) -> bool {
        self.pins.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

impl BlockLocation {
    /// Its bytes, to be set as vertices or indices.
    #[must_use]
    pub fn slice(&self) -> wgpu::BufferSlice<'_> {
        self.buffer.slice(self.offset..self.offset + self.size)
    }

    /// Its bytes, to be bound. Ask for the alignment that the binding needs.
    #[must_use]
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        let size = wgpu::BufferSize::new(self.size);
        wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.buffer, offset: self.offset, size })
    }
}

impl Deref for BlockTarget {
    type Target = BlockLocation;

    fn deref(&self) -> &BlockLocation {
        &self.location
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.pool.free(self.heap, self.block);
    }
}

impl Drop for PoolPin {
    fn drop(&mut self) {
        self.0.0.pool.unpin(&self.0.0);
    }
}

impl fmt::Debug for PoolBlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PoolBlock").field("id", &self.id()).field("size", &self.size()).finish_non_exhaustive()
    }
}

impl fmt::Debug for PoolPin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("PoolPin").field(&self.0).finish()
    }
}
