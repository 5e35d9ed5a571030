//! Room for a block: in a slab that is there, or in one that is made with no lock held.

use std::sync::atomic::Ordering;
use std::time::Duration;

use engine_vitals_core::probe::ResourceId;
use parking_lot::MutexGuard;
use web_time::Instant;

use super::config::BlockRequest;
use super::error::PoolError;
use super::layout::{Allocated, BlockId, LayoutError};
use super::shared::Shared;
use super::slab::{NoBuffer, SlabBuffer};
use super::state::State;

/// How long a request that does not fit the budget waits for a slab that another thread is making.
const OTHERS_MAKE: Duration = Duration::from_secs(1);

/// A block that is counted and has one handle. Few words, since each costs on its way.
pub(super) struct Reserved {
    pub(super) heap: u32,
    pub(super) block: BlockId,
    pub(super) room: Room,
    /// It lies in a slab that has to be made.
    pub(super) new: Option<Box<NewSlab>>,
}

/// A slab that has to be made, and the block in it.
pub(super) struct NewSlab {
    heap: usize,
    allocated: Allocated,
    bytes: u64,
}

/// What a block was put into.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// The resource that the slab is; `None` where it is not tracked.
    pub(super) within: Option<ResourceId>,
    /// The pool's generation at that moment.
    pub(super) generation: u64,
}

/// What a request that the budget has no room for does before it is refused, one after the other.
enum Effort {
    /// Takes back what is known to be done.
    CatchUp,
    /// Asks the device what is done.
    Poll,
    /// Gives empty slabs back, and waits for those that other threads make.
    Release,
}

impl Shared {
    /// Finds room for a block. If that is in a new slab, nobody else gets it until it is made.
    #[inline]
    pub(super) fn reserve(&self, request: &BlockRequest<'_>) -> Result<Reserved, PoolError> {
        let mut state = self.state.lock();
        let Some(heap) = state.heap_for(request.usage) else {
            state.counted.failures += 1;
            let sets = state.heaps.iter().map(|heap| heap.usage).collect();
            return Err(PoolError::Usage { asked: request.usage, sets });
        };
        match state.place(heap, request) {
            Ok(allocated) => Ok(self.reserved(&mut state, heap, allocated)),
            Err(LayoutError::OverBudget { .. }) => self.reserve_at_last(state, heap, request),
            Err(error) => {
                state.counted.failures += 1;
                Err(PoolError::Request(error))
            }
        }
    }

    #[inline(always)]
    fn reserved(&self, state: &mut State, heap: usize, allocated: Allocated) -> Reserved {
        let block = allocated.block;
        self.handles[heap].counts.at(block.index()).begin();
        let (within, new) = match allocated.new_slab {
            None => {
                state.counted.allocations += 1;
                (state.heaps[heap].slab(allocated.place.slab).and_then(|slab| slab.id), None)
            }
            Some(bytes) => {
                state.heaps[heap].layout.close(allocated.place.slab);
                state.making.push(std::thread::current().id());
                (None, Some(Box::new(NewSlab { heap, allocated, bytes })))
            }
        };
        let room = Room { within, generation: self.generation.load(Ordering::Relaxed) };
        Reserved { heap: heap as u32, block, room, new }
    }

    /// Makes every effort to find room, where the budget had none.
    #[cold]
    fn reserve_at_last<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        heap: usize,
        request: &BlockRequest<'_>,
    ) -> Result<Reserved, PoolError> {
        // Dropped after the lock: which a parameter would hold for longer than what is declared in here.
        let mut released = Vec::new();
        let mut state = state;
        let mut waited = None;
        let mut effort = Effort::CatchUp;
        loop {
            effort = match effort {
                Effort::CatchUp => {
                    self.catch_up_in(&mut state);
                    Effort::Poll
                }
                Effort::Poll => {
                    drop(state);
                    self.poll();
                    state = self.state.lock();
                    Effort::Release
                }
                Effort::Release => {
                    let empty = state.release_bytes(request.bytes);
                    if !empty.is_empty() {
                        released.push(empty);
                    } else if !self.wait_for_others(&mut state, &mut waited) {
                        state.counted.failures += 1;
                        state.refused();
                        let stats = Box::new(state.stats());
                        return Err(PoolError::OverBudget { bytes: request.bytes, align: request.align, stats });
                    }
                    Effort::Release
                }
            };
            match state.place(heap, request) {
                Ok(allocated) => return Ok(self.reserved(&mut state, heap, allocated)),
                Err(LayoutError::OverBudget { .. }) => (),
                Err(error) => {
                    state.counted.failures += 1;
                    return Err(PoolError::Request(error));
                }
            }
        }
    }

    /// Waits until another thread has made a slab, in which there may be room. False if none does, or if that takes too long. A thread that is
    /// making one itself (in a callback of a soft budget) does not wait: others may wait for it.
    fn wait_for_others(&self, state: &mut MutexGuard<'_, State>, until: &mut Option<Instant>) -> bool {
        if state.making.is_empty() || state.making.contains(&std::thread::current().id()) {
            return false;
        }
        let until = *until.get_or_insert_with(|| Instant::now() + OTHERS_MAKE);
        !self.made.wait_for(state, until.saturating_duration_since(Instant::now())).timed_out()
    }

    /// Makes the slab that was reserved for a block.
    #[cold]
    pub(super) fn make_slab(&self, new: &NewSlab, request: &BlockRequest<'_>) -> Result<Room, PoolError> {
        let making = Making { shared: self, new };
        let bytes = new.bytes;
        let usage = self.state.lock().heaps[new.heap].usage;
        let mut made = self.maker.buffer(&self.name, bytes, usage);
        if matches!(made, Err(NoBuffer::OutOfMemory)) {
            // What is empty may be just what is missing.
            self.poll();
            let released = self.state.lock().release_empty();
            if !released.is_empty() {
                drop(released);
                made = self.maker.buffer(&self.name, bytes, usage);
            }
        }
        match made {
            Ok(slab) => Ok(making.done(slab)),
            Err(error) => {
                drop(making);
                Err(match error {
                    NoBuffer::OutOfMemory => {
                        let stats = Box::new(self.state.lock().stats());
                        PoolError::OutOfMemory { slab_bytes: bytes, bytes: request.bytes, stats }
                    }
                    NoBuffer::Refused(message) => PoolError::Buffer { slab_bytes: bytes, message },
                })
            }
        }
    }
}

/// A slab that is being made. Dropped before it is done, it was not made, and its block is gone.
struct Making<'a> {
    shared: &'a Shared,
    new: &'a NewSlab,
}

impl Making<'_> {
    fn done(self, slab: SlabBuffer) -> Room {
        let mut state = self.shared.state.lock();
        state.counted.slabs_made += 1;
        state.counted.allocations += 1;
        let heap = &mut state.heaps[self.new.heap];
        let room = Room { within: slab.id, generation: self.shared.generation.load(Ordering::Relaxed) };
        heap.records[self.new.allocated.block.index() as usize].tracked = slab.id.is_some();
        heap.slabs[self.new.allocated.place.slab.0 as usize] = Some(slab);
        heap.layout.open(self.new.allocated.place.slab);
        room
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let own = std::thread::current().id();
        if let Some(position) = state.making.iter().position(|&thread| thread == own) {
            state.making.swap_remove(position);
        }
        let heap = &mut state.heaps[self.new.heap];
        if heap.slab(self.new.allocated.place.slab).is_none() {
            heap.layout.slab_failed(&self.new.allocated);
            state.refused();
            state.counted.failures += 1;
        }
        self.shared.made.notify_all();
    }
}
