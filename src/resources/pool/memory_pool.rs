//! The pool itself: carries its layout out with wgpu.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::block::PoolBlock;
use super::layout::{
    BlockId, Committed, Layout, LayoutConfig, LayoutError, LayoutStats, Move, Place, SlabId, SlabView,
};
use crate::gpu::Submissions;

/// What a pool is made with.
#[derive(Debug, Clone)]
pub struct MemoryPoolConfig {
    /// The label of its buffers.
    pub label: String,
    /// What its blocks are used for; vertices, indices, uniforms and storage by default. Copies from and to them are always allowed, since
    /// defragmentation copies.
    pub usage: wgpu::BufferUsages,
    /// Sizes, budget, growth.
    pub layout: LayoutConfig,
}

impl Default for MemoryPoolConfig {
    fn default() -> Self {
        Self {
            label: "memory pool".to_owned(),
            usage: wgpu::BufferUsages::VERTEX
                | wgpu::BufferUsages::INDEX
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::STORAGE,
            layout: LayoutConfig::default(),
        }
    }
}

/// What a pass of defragmentation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DefragStats {
    /// Copies recorded by this pass. Their blocks move when the copies are done.
    pub planned: u64,
    /// Bytes of those.
    pub planned_bytes: u64,
    /// Blocks that have moved since the pass before.
    pub moved: u64,
    /// Bytes of those.
    pub moved_bytes: u64,
    /// Blocks that stayed after all: used or pinned while they were copied.
    pub stayed: u64,
    /// Bytes of slabs given back since the pass before.
    pub recovered_bytes: u64,
}

/// A pool of GPU memory. Cheap to clone; clones share everything. May be used from any thread.
#[derive(Clone)]
pub struct MemoryPool {
    shared: Arc<Shared>,
}

struct Shared {
    device: wgpu::Device,
    submissions: Submissions,
    config: MemoryPoolConfig,
    /// Grows with each block that moves.
    generation: AtomicU64,
    state: Mutex<State>,
}

struct State {
    layout: Layout,
    /// By number of the slab.
    buffers: Vec<Option<wgpu::Buffer>>,
    copying: Vec<Batch>,
    since_last: DefragStats,
}

/// Moves whose copies were recorded together.
struct Batch {
    moves: Vec<Move>,
    ended: Arc<Mutex<Option<bool>>>,
}

impl MemoryPool {
    /// An empty pool: no buffer is made before the first block. Blocks are free when the submissions of `submissions` that may use them are
    /// done: submit all that uses blocks through it.
    #[must_use]
    pub fn new(device: &wgpu::Device, submissions: &Submissions, config: MemoryPoolConfig) -> Self {
        let limits = device.limits();
        let mut layout = config.layout;
        layout.largest_block_bytes = layout.largest_block_bytes.min(limits.max_buffer_size);
        layout.largest_slab_bytes = layout.largest_slab_bytes.min(limits.max_buffer_size);
        let state = State {
            layout: Layout::new(layout),
            buffers: Vec::new(),
            copying: Vec::new(),
            since_last: DefragStats::default(),
        };
        Self {
            shared: Arc::new(Shared {
                device: device.clone(),
                submissions: submissions.clone(),
                config,
                generation: AtomicU64::new(0),
                state: Mutex::new(state),
            }),
        }
    }

    /// A block of at least `bytes` bytes at a multiple of `align`. Its contents are those of whatever lay there before.
    ///
    /// # Errors
    /// [`LayoutError`]: nothing was asked for, the alignment is no power of two, it is more than the largest block, or the budget has no room.
    pub fn allocate(&self, bytes: u64, align: u64) -> Result<PoolBlock, LayoutError> {
        let align = align.max(wgpu::COPY_BUFFER_ALIGNMENT);
        let mut state = self.shared.state.lock();
        let allocated = state.layout.allocate(bytes, align)?;
        if let Some(slab_bytes) = allocated.new_slab {
            let buffer = self.shared.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(&self.shared.config.label),
                size: slab_bytes,
                usage: self.shared.config.usage | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let index = allocated.place.slab.0 as usize;
            if state.buffers.len() <= index {
                state.buffers.resize(index + 1, None);
            }
            state.buffers[index] = Some(buffer);
        }
        drop(state);
        Ok(PoolBlock::new(self.clone(), allocated.block, bytes))
    }

    /// A block of at least `size` bytes, at a multiple of 256.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    pub fn allocate_bucket(&self, size: u32) -> Result<PoolBlock, LayoutError> {
        self.allocate(size.into(), 256)
    }

    /// Learns which submissions are done, moves the blocks whose copies are, and gives back what was empty for long enough. Call it once a
    /// frame.
    pub fn maintain(&self) {
        let mut released = Vec::new();
        let mut state = self.shared.state.lock();
        self.catch_up(&mut state);
        let State { layout, buffers, .. } = &mut *state;
        layout.tick(|SlabId(slab)| released.extend(buffers[slab as usize].take()));
        state.since_last.recovered_bytes += released.iter().map(wgpu::Buffer::size).sum::<u64>();
        drop(state);
        // Outside the lock: wgpu may have other work to do when a buffer goes.
        drop(released);
    }

    /// Records copies of at most `budget_bytes` bytes that empty the emptiest slabs. The blocks move when the copies are done, which
    /// [`maintain`](Self::maintain) and the next pass learn; use them until then as ever. Does nothing where nothing is to be gained.
    pub fn defragment(&self, encoder: &mut wgpu::CommandEncoder, budget_bytes: u64) -> DefragStats {
        let mut state = self.shared.state.lock();
        self.catch_up(&mut state);
        let moves = state.layout.plan(budget_bytes, 64);
        let mut stats = std::mem::take(&mut state.since_last);
        for planned in &moves {
            let buffers =
                [planned.from.slab, planned.to.slab].map(|SlabId(slab)| state.buffers[slab as usize].as_ref());
            if let [Some(from), Some(to)] = buffers {
                let bytes = planned.bytes.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
                encoder.copy_buffer_to_buffer(from, planned.from.offset, to, planned.to.offset, bytes);
                stats.planned += 1;
                stats.planned_bytes += planned.bytes;
            }
        }
        if !moves.is_empty() {
            let ended: Arc<Mutex<Option<bool>>> = Arc::default();
            let telling = Telling(Arc::downgrade(&ended));
            encoder.on_submitted_work_done(move || telling.done());
            state.copying.push(Batch { moves, ended });
        }
        stats
    }

    /// The figures as they are now.
    #[must_use]
    pub fn stats(&self) -> LayoutStats {
        self.shared.state.lock().layout.stats()
    }

    /// Every slab with its blocks. Looks at every cell.
    #[must_use]
    pub fn slabs(&self) -> Vec<SlabView> {
        self.shared.state.lock().layout.view()
    }

    #[expect(clippy::expect_used, reason = "the slab of a live block has a buffer")]
    pub(super) fn buffer_of(&self, SlabId(slab): SlabId) -> wgpu::Buffer {
        self.shared.state.lock().buffers[slab as usize].clone().expect("the slab of a live block has a buffer")
    }

    #[expect(clippy::expect_used, reason = "a block lives as long as its handles")]
    pub(super) fn place(&self, block: BlockId) -> Place {
        self.shared.state.lock().layout.place(block).expect("a block lives as long as its handles")
    }

    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    pub(super) fn touch(&self, block: BlockId) {
        let next = self.next_submission();
        self.shared.state.lock().layout.used(block, next);
    }

    pub(super) fn pin(&self, block: BlockId, pin: bool) {
        let layout = &mut self.shared.state.lock().layout;
        if pin {
            layout.pin(block)
        } else {
            layout.unpin(block)
        };
    }

    pub(super) fn free(&self, block: BlockId) {
        // What was recorded and not submitted may use it: that goes with the next submission at the latest.
        let next = self.next_submission();
        self.shared.state.lock().layout.free(block, next);
    }

    fn next_submission(&self) -> u64 {
        self.shared.submissions.stats().submitted + 1
    }

    fn catch_up(&self, state: &mut State) {
        if let Some(done) = self.shared.submissions.done_up_to() {
            state.layout.completed(done.get());
        }
        let next = self.next_submission();
        let (ended, copying) =
            std::mem::take(&mut state.copying).into_iter().partition(|batch| batch.ended.lock().is_some());
        state.copying = copying;
        for Batch { moves, ended } in ended {
            let done = ended.lock().unwrap_or(false);
            for planned in moves {
                let bytes = planned.bytes;
                match state.layout.commit(planned, !done, next) {
                    Committed::Moved => {
                        state.since_last.moved += 1;
                        state.since_last.moved_bytes += bytes;
                        self.shared.generation.fetch_add(1, Ordering::Release);
                    }
                    Committed::Stayed => state.since_last.stayed += 1,
                    Committed::Gone => {}
                }
            }
        }
    }
}

/// Tells what has become of copies, at the latest when it is dropped, since their commands were.
struct Telling(Weak<Mutex<Option<bool>>>);

impl Telling {
    fn done(mut self) {
        self.tell(true);
    }

    fn tell(&mut self, done: bool) {
        if let Some(ended) = std::mem::take(&mut self.0).upgrade() {
            *ended.lock() = Some(done);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.tell(false);
    }
}

impl fmt::Debug for MemoryPool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MemoryPool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
