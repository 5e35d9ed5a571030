//! What a pool, its clones and its blocks share: what the GPU is done with, and what is reported.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_vitals_core::contract::{MemoryPoolReport, Store, StoreReport};
use engine_vitals_core::probe::ResourceId;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::handles::Handles;
use super::layout::BlockId;
use super::proof::Proofs;
use super::slab::Maker;
use super::state::{Heap, State};
use super::stats::PoolStats;

/// A report looks at so many slabs, some ten microseconds long, before it lets others have the lock.
const SLABS_AT_ONCE: u32 = 16;

/// What a pool, its clones and its blocks share.
pub(super) struct Shared {
    pub(super) id: u64,
    pub(super) queue: wgpu::Queue,
    pub(super) name: Arc<str>,
    pub(super) maker: Maker,
    pub(super) defrag_bytes: u64,
    pub(super) defrag_moves: usize,
    pub(super) proofs: Proofs,
    /// Grows with each block that moves, under the lock of `state`.
    pub(super) generation: AtomicU64,
    /// The last frame that the GPU is done with.
    pub(super) done: Arc<AtomicU64>,
    /// By heap.
    pub(super) handles: Vec<Handles>,
    pub(super) state: Mutex<State>,
    /// A slab was made, or could not be.
    pub(super) made: Condvar,
}

impl Shared {
    pub(super) fn catch_up(&self) {
        let moved = {
            let mut state = self.state.lock();
            self.catch_up_in(&mut state);
            std::mem::take(&mut state.moved)
        };
        // No ticket is told under the lock.
        for (heap, block) in moved {
            self.tell_slab(heap, block);
        }
    }

    /// Asks the device what the GPU is done with, which may call whatever callbacks wait for that: hold no lock.
    pub(super) fn poll(&self) {
        // What the device says to this shows in what is done.
        let _ = self.maker.device.poll(wgpu::PollType::Poll);
        self.catch_up();
    }

    pub(super) fn catch_up_in(&self, state: &mut State) {
        let moved = state.catch_up(self.done.load(Ordering::Acquire));
        // Under the lock: who sees the new places sees the new generation.
        self.generation.fetch_add(moved, Ordering::Release);
    }

    /// Tells the ticket within which resource the block lies now. Not under the pool's lock.
    pub(super) fn tell_slab(&self, heap: usize, block: BlockId) {
        let mut ticket = self.handles[heap].tickets.at(block.index()).lock();
        // Asked under the ticket's lock: of two threads that tell, the last one tells the truth, and nobody ends the block and has its number
        // given to another meanwhile.
        if let (Some(ticket), Some(slab)) = (&mut *ticket, self.slab_id(heap, block)) {
            ticket.moved_within(slab);
        }
    }

    /// The resource that a block lies within.
    fn slab_id(&self, heap: usize, block: BlockId) -> Option<ResourceId> {
        let state = self.state.lock();
        let heap = &state.heaps[heap];
        heap.slab(heap.layout.place(block)?.slab)?.id
    }

    /// What has happened in this frame is at rest when the GPU is done with all that was submitted until now.
    pub(super) fn end_frame(&self, mut state: MutexGuard<'_, State>) {
        if !std::mem::take(&mut state.frame_used) {
            return;
        }
        let fence = Fence { frame: state.frame, done: Arc::clone(&self.done) };
        state.frame += 1;
        drop(state);
        self.queue.on_submitted_work_done(move || drop(fence));
    }

    pub(super) fn largest_free_bytes(&self) -> u64 {
        let mut largest = 0;
        let mut heap = 0;
        let mut from = 0;
        loop {
            let state = self.state.lock();
            let Some(Heap { layout, .. }) = state.heaps.get(heap) else { return largest };
            let end = layout.slab_numbers().min(from + SLABS_AT_ONCE);
            largest = layout.largest_free_bytes_among(from..end, largest);
            (heap, from) = if end == layout.slab_numbers() { (heap + 1, 0) } else { (heap, end) };
            // Whoever waits gets it first: an unlock that is not fair lets this thread have it again before others are awake.
            MutexGuard::unlock_fair(state);
        }
    }
}

/// The GPU is done with a frame when it is dropped: it was told so, or the device is no more.
struct Fence {
    frame: u64,
    done: Arc<AtomicU64>,
}

impl Drop for Fence {
    fn drop(&mut self) {
        self.done.fetch_max(self.frame, Ordering::AcqRel);
    }
}

impl Store for Shared {
    fn report(&self) -> StoreReport {
        let largest_free_bytes = self.largest_free_bytes();
        let PoolStats { memory, allocations, failures, released_bytes, defrag, .. } = self.state.lock().stats();
        StoreReport::MemoryPool(MemoryPoolReport {
            name: Arc::clone(&self.name),
            reserved_bytes: memory.reserved_bytes,
            allocated_bytes: memory.allocated_bytes,
            requested_bytes: memory.requested_bytes,
            unusable_bytes: memory.unusable_bytes,
            largest_free_bytes,
            budget_bytes: memory.budget_bytes,
            blocks: memory.live_blocks,
            waiting_blocks: memory.waiting_blocks,
            slabs: memory.slabs,
            allocations,
            failures,
            defrag_moves: defrag.moved,
            defrag_moved_bytes: defrag.moved_bytes,
            released_bytes,
        })
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Shared")
            .field("name", &self.name)
            .field("stats", &self.state.lock().stats())
            .finish_non_exhaustive()
    }
}
