//! A block of a pool, counted by its handles.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::count::Count;
use super::error::PoolError;
use super::layout::BlockId;
use super::shared::Shared;

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
pub struct PoolBlock {
    pool: Arc<Shared>,
    block: BlockId,
    bytes: u64,
    heap: u32,
    /// It may have a ticket.
    tracked: bool,
    /// This handle was given up already.
    given_up: bool,
}

/// Names a block without keeping it: [`MemoryPool::find`](super::MemoryPool::find) gives a handle for as long as it lives. The name of a block
/// that has ended is told apart from that of the block which took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolBlockId {
    pub(super) pool: u64,
    pub(super) heap: u32,
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
    /// A handle that was counted already.
    pub(super) fn new(pool: Arc<Shared>, heap: u32, block: BlockId, bytes: u64, tracked: bool) -> Self {
        Self { pool, block, bytes, heap, tracked, given_up: false }
    }

    /// One more handle of the same block, as by `clone`.
    #[must_use]
    pub fn add_ref(&self) -> Self {
        self.clone()
    }

    /// Gives this handle up, as by `drop`. True if it was the last, which ends the block: of several threads that release at once exactly one is
    /// told so.
    #[expect(clippy::must_use_candidate, reason = "releasing is what it is for")]
    pub fn release(mut self) -> bool {
        self.given_up = true;
        self.give_up()
    }

    /// How many handles there are. Another thread may have changed that already.
    #[must_use]
    pub fn ref_count(&self) -> usize {
        usize::try_from(self.count().get()).unwrap_or(usize::MAX)
    }

    /// Its name: a handle that does not keep it.
    #[must_use]
    pub fn id(&self) -> PoolBlockId {
        PoolBlockId { pool: self.pool.id, heap: self.heap, block: self.block }
    }

    /// Bytes that were asked for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes
    }

    /// Where it lies now, for reading.
    #[must_use]
    pub fn location(&self) -> BlockLocation {
        self.pool.state.lock().location(self)
    }

    /// Where it lies now, for writing: it stays there for as long as the target lives, and until the GPU is done with the frame in which that is
    /// dropped.
    pub fn target(&self) -> BlockTarget {
        let mut state = self.pool.state.lock();
        state.pin(self);
        let location = state.location(self);
        drop(state);
        BlockTarget { location, _pin: PoolPin(self.clone()) }
    }

    /// This frame writes to it at a place that is known, as to a [`target`](Self::target). False if the block has moved since: then write to
    /// where it lies now.
    #[must_use = "the block may have moved"]
    pub fn touch(&self, known: &BlockLocation) -> bool {
        self.pool.state.lock().touch(self, known)
    }

    /// Times that it has moved. What was made for another generation (a bind group) is made anew. Where
    /// [`MemoryPool::generation`](super::MemoryPool::generation) is what it was, no block has moved, and none must be asked.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.pool.state.lock().record(self).generation
    }

    /// Writes `data` from the byte `offset` of the block on, with the next submission: `Queue::write_buffer`.
    ///
    /// # Errors
    /// [`PoolError::Write`]: it does not lie inside, the offset is no multiple of 4, or the length is none and ends before the block does.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), PoolError> {
        let (bytes, size) = (data.len() as u64, self.bytes);
        let end = offset.checked_add(bytes).filter(|&end| end <= size);
        let words = bytes.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) || end == Some(size);
        if end.is_none() || !words || !offset.is_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT) {
            return Err(PoolError::Write { offset, bytes, size });
        }
        let to = self.target();
        let (whole, rest) = data.split_at(data.len() - data.len() % 4);
        let queue = &self.pool.queue;
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
        self.pool.state.lock().pin(self);
        PoolPin(self.clone())
    }

    /// Keeps the block, and keeps it where it is, until the GPU is done with the commands of `encoder`, or until those are dropped. For commands
    /// that are submitted later than the end of the frame in which they are recorded. Call it before asking for the location.
    pub fn keep_for(&self, encoder: &wgpu::CommandEncoder) {
        let pin = self.pin();
        encoder.on_submitted_work_done(move || drop(pin));
    }

    pub(super) fn block(&self) -> BlockId {
        self.block
    }

    pub(super) fn heap(&self) -> usize {
        self.heap as usize
    }

    fn count(&self) -> &Count {
        self.pool.handles[self.heap()].counts.at(self.block.index())
    }

    /// True for the last handle, which ends the block.
    fn give_up(&self) -> bool {
        let tickets = &self.pool.handles[self.heap()].tickets;
        let mut ticket = None;
        // Taken out before the number of the block is another's, and dropped with no lock held.
        let take = self.tracked.then_some(|| ticket = tickets.at(self.block.index()).lock().take());
        let Some(mut state) = self.count().give_up(take, || self.pool.state.lock()) else { return false };
        state.free(self.heap(), self.block);
        drop(state);
        drop(ticket);
        true
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

impl Clone for PoolBlock {
    fn clone(&self) -> Self {
        self.count().add();
        Self::new(Arc::clone(&self.pool), self.heap, self.block, self.bytes, self.tracked)
    }
}

impl Drop for PoolBlock {
    fn drop(&mut self) {
        if !self.given_up {
            self.give_up();
        }
    }
}

impl Drop for PoolPin {
    fn drop(&mut self) {
        self.0.pool.state.lock().unpin(&self.0);
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
