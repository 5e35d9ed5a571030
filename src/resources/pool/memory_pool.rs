//! The pool itself: carries its layouts out with wgpu.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine_vitals_core::contract::Store;
use engine_vitals_core::probe::{New, Probe};
use parking_lot::{Condvar, Mutex};
use web_time::Instant;

use super::block::{PoolBlock, PoolBlockId};
use super::config::{BlockRequest, MemoryPoolConfig};
use super::error::PoolError;
use super::handles::Handles;
use super::layout::{Bucket, Layout};
use super::making::Reserved;
use super::map::PoolMap;
use super::proof::{Proof, Proofs};
use super::shared::Shared;
use super::slab::Maker;
use super::state::{Copy, Heap, Released, State, Telling};
use super::stats::{DefragStats, PoolStats};

/// The longest that a compaction takes.
const LONGEST_COMPACTION: Duration = Duration::from_secs(3_600);
/// A compaction ends after so many rounds in which nothing has moved.
const FRUITLESS_ROUNDS: u32 = 4;

/// A pool of GPU memory: many blocks in few buffers, which are made when they are needed and given back when they were empty for some frames.
/// Cheap to clone; clones share everything.
///
/// # Frames
/// Call [`maintain`](Self::maintain) once a frame, when all commands of the frame have been submitted. What was dropped or written in that frame
/// is at rest when the GPU is done with what was submitted until then; which the pool learns inside whatever call polls the device
/// (`Queue::submit` does). Nothing waits for the GPU, but [`compact`](Self::compact).
///
/// # Threads
/// May be used from any thread. No lock is held while wgpu is called.
///
/// # What is reported
/// On an [instrumented](crate::instrument) device each slab is a buffer like any other, whose owner is the pool, and each block a resource
/// `within` it: left out of device totals, so that nothing is counted twice. On any other device the pool reports both to the probe that it was
/// given. The lifecycle report lists it.
#[derive(Clone)]
pub struct MemoryPool {
    shared: Arc<Shared>,
}

impl MemoryPool {
    /// An empty pool with the default configuration, which reports where its device does, if that is instrumented.
    #[must_use]
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self::with_config(device, queue, Probe::OFF, MemoryPoolConfig::default())
    }

    /// An empty pool: no buffer is made before the first block. An instrumented device has a probe of its own, which then stands for `probe`.
    #[must_use]
    pub fn with_config(device: &wgpu::Device, queue: &wgpu::Queue, probe: Probe, config: MemoryPoolConfig) -> Self {
        static POOLS: AtomicU64 = AtomicU64::new(1);
        let id = POOLS.fetch_add(1, Ordering::Relaxed);
        let largest = device.limits().max_buffer_size;
        let mut layout = config.layout;
        let budget = layout.budget_bytes.take();
        layout.largest_block_bytes = layout.largest_block_bytes.min(largest);
        layout.largest_slab_bytes = layout.largest_slab_bytes.min(largest);
        layout.first_slab_bytes = layout.first_slab_bytes.min(largest);
        let heaps: Vec<Heap> = config.usages.iter().map(|&usage| Heap::new(usage, Layout::new(layout))).collect();
        let maker = Maker::new(device, probe, "memory pool", id, &config.name);
        let probe = maker.probe;
        let shared = Arc::new(Shared {
            id,
            queue: queue.clone(),
            name: config.name.into(),
            maker,
            defrag_bytes: config.defrag_bytes,
            defrag_moves: config.defrag_moves,
            proofs: Proofs::default(),
            generation: AtomicU64::new(0),
            done: Arc::default(),
            handles: heaps.iter().map(|_| Handles::default()).collect(),
            state: Mutex::new(State::new(heaps, budget)),
            made: Condvar::new(),
        });
        let listed: Weak<dyn Store> = Arc::downgrade(&shared) as Weak<dyn Store>;
        probe.list(listed);
        Self { shared }
    }

    /// A block of `bytes` bytes at a multiple of `align`, of the pool's first set of usages. What lay there before is still there.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn allocate(&self, bytes: u64, align: u64) -> Result<PoolBlock, PoolError> {
        self.request(&BlockRequest::new(bytes, align))
    }

    /// A block of `size` bytes at a multiple of 256, which serves any binding.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    #[track_caller]
    pub fn allocate_bucket(&self, size: u32) -> Result<PoolBlock, PoolError> {
        self.allocate(size.into(), 256)
    }

    /// A block as asked for. What lay there before is still there.
    ///
    /// Before it is refused because of the budget, or because the device has no memory, the device is polled, what the GPU is done with is taken
    /// back, and empty slabs are given back. It does not wait for the GPU.
    ///
    /// # Errors
    /// [`PoolError`]: the request makes no sense, no set of usages has what it asks for, it does not fit the budget, or wgpu does not make the
    /// slab that it needs. Nothing has changed then, but for the count of failures.
    #[track_caller]
    pub fn request(&self, request: &BlockRequest<'_>) -> Result<PoolBlock, PoolError> {
        let shared = &self.shared;
        let Reserved { heap, block, mut room, new } = shared.reserve(request)?;
        if let Some(new) = new {
            room = shared.make_slab(&new, request)?;
        }
        // A block of a slab that is not tracked would count as memory of its own.
        let tracked = room.within.is_some();
        let handle = PoolBlock::new(Arc::clone(shared), heap, block, request.bytes, tracked);
        if tracked {
            let new = New::buffer(request.bytes).within(room.within).label_opt(request.label);
            let ticket = shared.maker.probe.create(new);
            *shared.handles[handle.heap()].tickets.at(block.index()).lock() = Some(ticket);
            if self.generation() != room.generation {
                // Another thread may have ended the frame and moved it, before there was a ticket to tell.
                shared.tell_slab(handle.heap(), block);
            }
        }
        Ok(handle)
    }

    /// One more handle of a block that lives.
    ///
    /// # Errors
    /// [`PoolError::Foreign`] for a block of another pool, [`PoolError::Gone`] for one that has ended.
    pub fn find(&self, id: PoolBlockId) -> Result<PoolBlock, PoolError> {
        if id.pool != self.shared.id {
            return Err(PoolError::Foreign);
        }
        let state = self.shared.state.lock();
        let found = state.heaps.get(id.heap as usize).and_then(|heap| {
            let bytes = heap.layout.requested(id.block)?;
            let tracked = heap.records[id.block.index() as usize].tracked;
            let count = self.shared.handles[id.heap as usize].counts.at(id.block.index());
            count.add_to_some().then_some((bytes, tracked))
        });
        drop(state);
        let (bytes, tracked) = found.ok_or(PoolError::Gone)?;
        Ok(PoolBlock::new(Arc::clone(&self.shared), id.heap, id.block, bytes, tracked))
    }

    /// A frame has ended, and all of its commands have been submitted. Learns what the GPU is done with, moves the blocks whose copies are made,
    /// and gives slabs back that were empty for [long enough](super::layout::LayoutConfig::keep_empty_ticks).
    pub fn maintain(&self) {
        self.shared.catch_up();
        let mut state = self.shared.state.lock();
        let released = state.tick();
        self.shared.end_frame(state);
        drop(released);
    }

    /// Copies a few blocks together, so that slabs become empty: of at most [`defrag_bytes`](MemoryPoolConfig::defrag_bytes) bytes in at most
    /// [`defrag_moves`](MemoryPoolConfig::defrag_moves) copies, in a submission of its own. Nothing is copied where nothing is to be gained.
    /// Call it once a frame, before [`maintain`](Self::maintain).
    ///
    /// Blocks move when the GPU has made the copies, which the calls of later frames learn; they are used until then as ever. The result says
    /// what this call has planned, and what has truly moved and was recovered since the call before.
    pub fn defragment(&self) -> DefragStats {
        self.pass(|copies, proof, telling| {
            let record = |encoder: &mut wgpu::CommandEncoder| self.record(encoder, copies, proof, telling);
            self.shared.maker.submit(&self.shared.queue, "defragmentation", record);
        })
    }

    /// The same with the copies recorded in `encoder`, outside of any pass. Submit it whenever you like, or drop it: then nothing moves, and
    /// neither does it where wgpu refuses the commands or those submitted with them.
    pub fn defragment_in(&self, encoder: &mut wgpu::CommandEncoder) -> DefragStats {
        self.pass(|copies, proof, telling| self.record(encoder, copies, proof, telling))
    }

    /// Defragments until nothing more is to be gained, waiting for the GPU, and gives all empty slabs back: for loading screens. All commands
    /// that use blocks must have been submitted. Stops after `timeout` at a point where the pool is as good as at any other.
    pub fn compact(&self, timeout: Duration) -> DefragStats {
        let shared = &self.shared;
        let end = Instant::now() + timeout.min(LONGEST_COMPACTION);
        let mut sum = DefragStats::default();
        let mut fruitless = 0;
        loop {
            let before = self.stats();
            shared.end_frame(shared.state.lock());
            let left = end.saturating_duration_since(Instant::now());
            // What the device says to this shows in what is done.
            let _ = shared.maker.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(left) });
            let did = self.defragment();
            sum += did;
            let now = self.stats();
            let moved = now.defrag.moved > before.defrag.moved;
            let changed = now.memory != before.memory || did.planned > 0;
            // All is done, or it waits for what waiting does not bring: commands that nobody submits, a device that is lost, other writers.
            fruitless = if moved { 0 } else { fruitless + 1 };
            if !(moved || changed) || fruitless >= FRUITLESS_ROUNDS || left.is_zero() {
                break;
            }
        }
        drop(self.release_empty());
        let mut state = shared.state.lock();
        sum += std::mem::take(&mut state.since_pass);
        sum
    }

    /// Gives all empty slabs back now. Returns their bytes.
    #[expect(clippy::must_use_candidate, reason = "giving back is what it is for")]
    pub fn trim(&self) -> u64 {
        self.release_empty().iter().map(|slab| slab.buffer.size()).sum()
    }

    /// Changes what all slabs together may have. Where more is reserved already, no slab is made until enough was given back.
    pub fn set_budget(&self, budget_bytes: Option<u64>) {
        self.shared.state.lock().budget = budget_bytes;
    }

    /// Its name in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Grows whenever a block of the pool moves. One load: while it stays the same, all locations are what they were.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// The figures as they are now. Costs a few nanoseconds for each set of usages.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared.state.lock().stats()
    }

    /// The size classes that have slabs, for each set of usages, the smallest first. Looks at every slab.
    #[must_use]
    pub fn buckets(&self) -> Vec<(wgpu::BufferUsages, Vec<Bucket>)> {
        self.shared.state.lock().heaps.iter().map(|heap| (heap.usage, heap.layout.buckets())).collect()
    }

    /// The longest run of free bytes in one buffer. Looks at every slab, a few at a time: others use the pool meanwhile, so that it is what each
    /// slab had when it was looked at.
    #[must_use]
    pub fn largest_free_bytes(&self) -> u64 {
        self.shared.largest_free_bytes()
    }

    /// Every slab with its blocks and their owners, to be kept as JSON or drawn. Looks at every cell.
    #[must_use]
    pub fn map(&self) -> PoolMap {
        PoolMap::of(&self.shared.name, &self.shared.state.lock())
    }

    fn pass(&self, carry_out: impl FnOnce(&[Copy], Proof, Vec<Telling>)) -> DefragStats {
        let shared = &self.shared;
        shared.catch_up();
        let mut state = shared.state.lock();
        let (copies, telling) = state.plan(shared.defrag_bytes, shared.defrag_moves);
        let did = std::mem::take(&mut state.since_pass);
        drop(state);
        // Without a proof nothing is copied: what was planned is told to stay.
        if !copies.is_empty()
            && let Some(proof) = shared.proofs.take(&shared.maker, &shared.name)
        {
            carry_out(&copies, proof, telling);
        }
        did
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, copies: &[Copy], proof: Proof, telling: Vec<Telling>) {
        for Copy { from, to, bytes } in copies {
            encoder.copy_buffer_to_buffer(&from.0, from.1, &to.0, to.1, *bytes);
        }
        self.shared.proofs.record(proof, encoder, telling);
    }

    fn release_empty(&self) -> Released {
        self.shared.catch_up();
        self.shared.state.lock().release_empty()
    }
}

impl fmt::Debug for MemoryPool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MemoryPool")
            .field("name", &self.shared.name)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
