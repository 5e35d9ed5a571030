//! What a pool's lock guards: the layouts with their slabs, what is copied, and which frame it is.
//!
//! Nothing in here calls into wgpu but to clone handles: whatever is made, recorded or dropped is handed to the caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::ThreadId;

use engine_vitals_core::probe::Context;

use super::block::{BlockLocation, PoolBlock};
use super::config::BlockRequest;
use super::layout::{Allocated, BlockId, Committed, Layout, LayoutError, LayoutStats, Move, SlabId};
use super::slab::SlabBuffer;
use super::stats::{DefragStats, PoolStats};

pub(super) struct State {
    pub(super) heaps: Vec<Heap>,
    /// Bytes that the slabs of all heaps may have together.
    pub(super) budget: Option<u64>,
    /// The frame under way, from 1. What ends or is written in it is at rest when the GPU is done with all that was submitted until its end.
    pub(super) frame: u64,
    /// Something waits for the end of this frame.
    pub(super) frame_used: bool,
    pub(super) batches: Vec<Batch>,
    /// Since the pass of defragmentation before.
    pub(super) since_pass: DefragStats,
    pub(super) counted: PoolStats,
    /// Threads that are making slabs.
    pub(super) making: Vec<ThreadId>,
    pub(super) owners: Owners,
    /// Tracked blocks that lie in another slab, whose tickets are to be told so, with their heaps.
    pub(super) moved: Vec<(usize, BlockId)>,
    pub(super) next_heap: usize,
}

/// Slabs of one set of usages.
pub(super) struct Heap {
    pub(super) usage: wgpu::BufferUsages,
    pub(super) layout: Layout,
    /// By number; `None` while there is no such slab, and while it is made.
    pub(super) slabs: Vec<Option<SlabBuffer>>,
    /// By the number of the block.
    pub(super) records: Vec<Record>,
}

/// What is known of a block beside its place.
#[derive(Default)]
pub(super) struct Record {
    pub(super) label: Option<Arc<str>>,
    /// Times that it has moved.
    pub(super) generation: u64,
    pins: u64,
    /// Its owner's number.
    pub(super) owner: u8,
    /// It may have a ticket.
    pub(super) tracked: bool,
}

/// Copies that were recorded together.
pub(super) struct Batch {
    pub(super) heap: usize,
    pub(super) moves: Vec<Move>,
    pub(super) fate: Arc<Fate>,
}

/// What has become of recorded copies.
#[derive(Default)]
pub(super) struct Fate(AtomicU8);

const MADE: u8 = 1;
const NOT_MADE: u8 = 2;

/// Tells what has become of copies, at the latest when it is dropped, since their commands were.
pub(super) struct Telling(Option<Arc<Fate>>);

/// A slab that is no more.
pub(super) type Released = Vec<SlabBuffer>;

impl State {
    pub(super) fn new(heaps: Vec<Heap>, budget: Option<u64>) -> Self {
        Self {
            heaps,
            budget,
            frame: 1,
            frame_used: false,
            batches: Vec::new(),
            since_pass: DefragStats::default(),
            counted: PoolStats::default(),
            making: Vec::new(),
            owners: Owners::default(),
            moved: Vec::new(),
            next_heap: 0,
        }
    }

    /// The first heap whose blocks may be used for all of that.
    pub(super) fn heap_for(&self, usage: wgpu::BufferUsages) -> Option<usize> {
        let copies = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.heaps.iter().position(|heap| (heap.usage | copies).contains(usage))
    }

    /// Gives out a block. It counts as written in this frame.
    #[inline(always)]
    pub(super) fn place(&mut self, heap: usize, request: &BlockRequest<'_>) -> Result<Allocated, LayoutError> {
        self.share_budget(heap);
        let frame = self.frame;
        // What is no power of two is refused as it is.
        let least = if request.align.is_power_of_two() { wgpu::COPY_BUFFER_ALIGNMENT } else { 0 };
        let owner = self.owners.of(request.owner);
        let heap = &mut self.heaps[heap];
        let allocated = heap.layout.allocate(request.bytes, request.align.max(least))?;
        heap.layout.used(allocated.block, frame);
        let slab = allocated.place.slab.0 as usize;
        if heap.slabs.len() <= slab {
            heap.slabs.resize_with(slab + 1, || None);
        }
        let record = allocated.block.index() as usize;
        if heap.records.len() <= record {
            heap.records.resize_with(record + 1, Record::default);
        }
        let tracked = heap.slabs[slab].as_ref().is_some_and(|slab| slab.id.is_some());
        // Field by field: what is put together first has to wait for its small fields before it is copied.
        let record = &mut heap.records[record];
        record.label = request.label.map(Arc::from);
        record.generation = 0;
        record.pins = 0;
        record.owner = owner;
        record.tracked = tracked;
        self.frame_used = true;
        Ok(allocated)
    }

    /// Where a block lies now.
    pub(super) fn location(&self, handle: &PoolBlock) -> BlockLocation {
        let heap = &self.heaps[handle.heap()];
        #[expect(clippy::expect_used, reason = "a handle keeps its block, and a block its slab")]
        let (offset, buffer) = heap
            .layout
            .place(handle.block())
            .and_then(|place| Some((place.offset, heap.slab(place.slab)?.buffer.clone())))
            .expect("a block lives as long as its handles");
        BlockLocation { buffer, offset, size: handle.size(), generation: self.record(handle).generation }
    }

    /// What is known of a block that there is a handle of.
    pub(super) fn record(&self, handle: &PoolBlock) -> &Record {
        &self.heaps[handle.heap()].records[handle.block().index() as usize]
    }

    /// This frame writes to the block. False if it has moved since it was there.
    pub(super) fn touch(&mut self, handle: &PoolBlock, known: &BlockLocation) -> bool {
        self.mark(handle);
        self.record(handle).generation == known.generation
    }

    pub(super) fn pin(&mut self, handle: &PoolBlock) {
        // A copy that was planned before is of no use: it may be pinned to be written.
        self.mark(handle);
        let Heap { layout, records, .. } = &mut self.heaps[handle.heap()];
        let pins = &mut records[handle.block().index() as usize].pins;
        *pins += 1;
        if *pins == 1 {
            layout.pin(handle.block());
        }
    }

    pub(super) fn unpin(&mut self, handle: &PoolBlock) {
        // It may be written by what is submitted next.
        self.mark(handle);
        let Heap { layout, records, .. } = &mut self.heaps[handle.heap()];
        let pins = &mut records[handle.block().index() as usize].pins;
        *pins -= 1;
        if *pins == 0 {
            layout.unpin(handle.block());
        }
    }

    fn mark(&mut self, handle: &PoolBlock) {
        self.frame_used = true;
        self.heaps[handle.heap()].layout.used(handle.block(), self.frame);
    }

    /// A request goes without: room in any heap is room for all.
    pub(super) fn refused(&mut self) {
        self.heaps.iter_mut().for_each(|heap| heap.layout.refused());
    }

    /// A block has ended.
    #[inline]
    pub(super) fn free(&mut self, heap: usize, block: BlockId) {
        self.frame_used = true;
        let heap = &mut self.heaps[heap];
        heap.layout.free(block, self.frame);
        heap.records[block.index() as usize].label = None;
    }

    /// A heap may have what the others have not taken of the budget. Asked for whenever it matters to the heap.
    fn share_budget(&mut self, heap: usize) {
        let others = self.heaps.iter().enumerate().filter(|&(other, _)| other != heap);
        let others: u64 = others.map(|(_, other)| other.layout.reserved_bytes()).sum();
        self.heaps[heap].layout.set_budget(self.budget.map(|budget| budget.saturating_sub(others)));
    }

    /// The GPU is done with the frames up to that one, and copies may have been made. Returns how many blocks have moved.
    pub(super) fn catch_up(&mut self, done: u64) -> u64 {
        let emptied: u64 = self.heaps.iter().map(|heap| heap.layout.emptied_bytes()).sum();
        for heap in &mut self.heaps {
            heap.layout.completed(done);
        }
        let before = self.counted.defrag.moved;
        let mut index = 0;
        while let Some(batch) = self.batches.get(index) {
            let fate = batch.fate.0.load(Ordering::Acquire);
            if fate == 0 {
                index += 1;
            } else {
                let batch = self.batches.remove(index);
                self.commit(batch, fate == MADE);
            }
        }
        let emptied = self.heaps.iter().map(|heap| heap.layout.emptied_bytes()).sum::<u64>() - emptied;
        self.count(DefragStats { recovered_bytes: emptied, ..DefragStats::default() });
        self.counted.defrag.moved - before
    }

    fn commit(&mut self, batch: Batch, made: bool) {
        let heap = &mut self.heaps[batch.heap];
        let mut did = DefragStats::default();
        for planned in batch.moves {
            let (block, bytes) = (planned.block, planned.bytes);
            match heap.layout.commit(planned, !made, self.frame) {
                Committed::Moved => {
                    did.moved += 1;
                    did.moved_bytes += bytes;
                    let record = &mut heap.records[block.index() as usize];
                    record.generation += 1;
                    if record.tracked {
                        self.moved.push((batch.heap, block));
                    }
                }
                Committed::Stayed => did.stayed += 1,
                Committed::Gone => did.gone += 1,
            }
        }
        self.count(did);
        self.frame_used = true;
    }

    /// A frame has ended: what was empty for long enough is given back.
    pub(super) fn tick(&mut self) -> Released {
        self.release(|layout, gone| layout.tick(gone))
    }

    /// So many bytes of what is empty are given back, or all of it.
    pub(super) fn release_bytes(&mut self, bytes: u64) -> Released {
        let mut left = bytes;
        self.release(|layout, gone| {
            let before = layout.reserved_bytes();
            layout.release_bytes(left, gone);
            left = left.saturating_sub(before - layout.reserved_bytes());
        })
    }

    /// All that is empty is given back.
    pub(super) fn release_empty(&mut self) -> Released {
        self.release(|layout, gone| layout.release_empty(gone))
    }

    fn release(&mut self, mut which: impl FnMut(&mut Layout, &mut dyn FnMut(SlabId))) -> Released {
        let mut released = Vec::new();
        for Heap { layout, slabs, .. } in &mut self.heaps {
            which(layout, &mut |SlabId(slab)| released.extend(slabs[slab as usize].take()));
        }
        self.counted.slabs_released += released.len() as u64;
        self.counted.released_bytes += released.iter().map(|slab| slab.buffer.size()).sum::<u64>();
        released
    }

    /// Chooses blocks to copy, heap by heap, and counts them as being copied until `Telling` tells. The first heap is another one each time.
    pub(super) fn plan(&mut self, mut bytes: u64, mut moves: usize) -> (Vec<Copy>, Vec<Telling>) {
        let (mut copies, mut telling) = (Vec::new(), Vec::new());
        let heaps = self.heaps.len();
        let mut did = DefragStats::default();
        for step in 0..heaps {
            let index = (self.next_heap + step) % heaps;
            self.share_budget(index);
            let heap = &mut self.heaps[index];
            let mut planned = Vec::new();
            for one in heap.layout.plan(bytes, moves) {
                let Some(copy) = heap.copy(&one) else {
                    debug_assert!(false, "a block without a buffer is to be copied: {one:?}");
                    heap.layout.abandon(one);
                    continue;
                };
                did.planned += 1;
                did.planned_bytes += one.bytes;
                bytes -= one.bytes;
                moves -= 1;
                copies.push(copy);
                planned.push(one);
            }
            if planned.is_empty() {
                continue;
            }
            let fate = Arc::new(Fate::default());
            telling.push(Telling(Some(Arc::clone(&fate))));
            self.batches.push(Batch { heap: index, moves: planned, fate });
        }
        self.next_heap = (self.next_heap + 1) % heaps.max(1);
        self.count(did);
        (copies, telling)
    }

    pub(super) fn stats(&self) -> PoolStats {
        let mut memory = LayoutStats { budget_bytes: self.budget, ..LayoutStats::default() };
        for heap in &self.heaps {
            memory += heap.layout.stats();
        }
        PoolStats { memory, ..self.counted }
    }

    fn count(&mut self, did: DefragStats) {
        self.since_pass += did;
        self.counted.defrag += did;
    }
}

impl Heap {
    pub(super) fn new(usage: wgpu::BufferUsages, layout: Layout) -> Self {
        Self { usage, layout, slabs: Vec::new(), records: Vec::new() }
    }

    pub(super) fn slab(&self, SlabId(slab): SlabId) -> Option<&SlabBuffer> {
        self.slabs.get(slab as usize)?.as_ref()
    }

    fn copy(&self, planned: &Move) -> Option<Copy> {
        let buffer = |slab| self.slab(slab).map(|slab| slab.buffer.clone());
        Some(Copy {
            from: (buffer(planned.from.slab)?, planned.from.offset),
            to: (buffer(planned.to.slab)?, planned.to.offset),
            // Cells are multiples of four bytes.
            bytes: planned.bytes.next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT),
        })
    }
}

/// A copy to be recorded.
pub(super) struct Copy {
    pub(super) from: (wgpu::Buffer, u64),
    pub(super) to: (wgpu::Buffer, u64),
    pub(super) bytes: u64,
}

impl Telling {
    /// The copies were made.
    pub(super) fn made(mut self) {
        self.tell(MADE);
    }

    fn tell(&mut self, what: u8) {
        if let Some(fate) = self.0.take() {
            fate.0.store(what, Ordering::Release);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.tell(NOT_MADE);
    }
}

/// The names of whom blocks belong to, by number.
pub(super) struct Owners {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u8>,
    /// Who was asked for last: most likely the next one too.
    last: u8,
}

impl Default for Owners {
    fn default() -> Self {
        let mut owners = Self { names: Vec::new(), numbers: HashMap::new(), last: 0 };
        for name in ["unowned", "other"] {
            owners.number(name);
        }
        owners
    }
}

impl Owners {
    const OTHER: u8 = 1;

    pub(super) fn name(&self, number: u8) -> Arc<str> {
        Arc::clone(&self.names[usize::from(number)])
    }

    /// The owner of that name, by default the kind of the calling thread's owner.
    fn of(&mut self, name: Option<&str>) -> u8 {
        let owner = Context::current().owner();
        match name {
            Some(name) => self.number(name),
            None if owner.is_none() => 0,
            None => self.number(owner.kind().name()),
        }
    }

    fn number(&mut self, name: &str) -> u8 {
        if self.names.get(usize::from(self.last)).is_some_and(|last| **last == *name) {
            return self.last;
        }
        self.last = match self.numbers.get(name) {
            Some(&number) => number,
            None => self.add(name),
        };
        self.last
    }

    fn add(&mut self, name: &str) -> u8 {
        match u8::try_from(self.names.len()) {
            Ok(number) => {
                let name: Arc<str> = name.into();
                self.names.push(Arc::clone(&name));
                self.numbers.insert(name, number);
                number
            }
            Err(_) => Self::OTHER,
        }
    }
}
