//! Where the blocks of a pool lie: plain data, no graphics API, no clock.
//!
//! A slab is a buffer that is cut into cells of one size class. All cells of a slab have the same size, so that a free one serves any
//! request of its class: what a pool loses is what rounding up to a class costs, and nothing to holes. Emptied slabs are given back, and
//! where live blocks keep too many slabs half empty, [`Layout::plan`] says which blocks to move together.
//!
//! This folder owns the arithmetic. The buffers, the copies and the submissions are its caller's: slabs are named by number, and time is
//! the number of a submission (for what the GPU still uses) or of a tick (for what is not needed any more).

mod bits;
mod classes;
mod defrag;
mod entries;
mod error;
mod room;
mod slab;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use self::bits::Bits;
use self::classes::Classes;
pub use self::defrag::{Committed, DefragRules, Move};
use self::entries::{Entries, Entry};
pub use self::error::LayoutError;
use self::slab::Slab;
pub use self::stats::{BlockView, Bucket, LayoutStats, SlabView};

/// What a pool is made with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayoutConfig {
    /// Size classes in a doubling: 32 by default, which waste 1 % in the mean and 3 % at worst; 16 waste 2 and 6 %, 8 waste 4 and 11 %.
    pub classes_per_octave: u32,
    /// The least step from one class to the next, in bytes; 16 by default.
    pub granularity: u64,
    /// Bytes of a class's first slab, at the least one cell; 16 KiB by default.
    pub first_slab_bytes: u64,
    /// Bytes of the largest slab, but for one that holds a single larger block; 4 MiB by default.
    pub largest_slab_bytes: u64,
    /// Bytes of the largest block, rounded up to its class; 256 MiB by default (what a wgpu device takes by default), and never 1 TiB or more.
    pub largest_block_bytes: u64,
    /// A new slab holds at most this part of what its class has already: 1/16 by default.
    pub growth_divisor: u64,
    /// Empty slabs of at most this part of the recent peak, or 1 MiB, are kept, and of less where the pool has more than the peak and twice that:
    /// 1/12 by default. The recent peak is the most that was allocated in the last 1,024 to 2,048 ticks.
    pub spare_divisor: u64,
    /// Bytes that all slabs together may have; no limit by default.
    pub budget_bytes: Option<u64>,
    /// Ticks that an empty slab is kept at most; 600 by default.
    pub keep_empty_ticks: u64,
    /// When moving is worth it.
    pub defrag: DefragRules,
}

impl Default for LayoutConfig {
    fn default() -> Self {
        Self {
            classes_per_octave: 32,
            granularity: 16,
            first_slab_bytes: 16 << 10,
            largest_slab_bytes: 4 << 20,
            largest_block_bytes: 256 << 20,
            growth_divisor: 16,
            spare_divisor: 12,
            budget_bytes: None,
            keep_empty_ticks: 600,
            defrag: DefragRules::default(),
        }
    }
}

/// A slab by number. Numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlabId(pub u32);

/// A block. One that was freed is told apart from the one that took its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockId {
    index: u32,
    generation: u32,
}

impl BlockId {
    /// Its number. Live blocks have different ones, and those of freed blocks are used again: a place in a table.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many blocks had that number before it.
    #[must_use]
    pub fn generation(self) -> u32 {
        self.generation
    }
}

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// In which slab.
    pub slab: SlabId,
    /// From which byte of it.
    pub offset: u64,
    /// For how many bytes: those of its cell.
    pub bytes: u64,
}

/// A block that was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocated {
    /// The block.
    pub block: BlockId,
    /// Where it lies.
    pub place: Place,
    /// Bytes of the slab, if that is new: the caller makes it, or says [`Layout::slab_failed`].
    pub new_slab: Option<u64>,
}

/// The blocks and slabs of one pool.
#[derive(Debug)]
pub struct Layout {
    config: LayoutConfig,
    classes: Classes,
    /// By the number of the class.
    rows: Vec<Row>,
    slabs: Vec<Option<Slab>>,
    free_slabs: Vec<u32>,
    entries: Entries,
    /// Cells that are free once a submission is done, by its number, in the order that their blocks ended.
    waiting: BTreeMap<u64, Vec<Waiting>>,
    /// An emptied list of them, to be used again.
    no_waiting: Vec<Waiting>,
    /// Slabs without a block, and since which tick: the oldest first.
    empty: BTreeSet<(u64, u32)>,
    tick: u64,
    /// The most that was allocated in the ticks since the last multiple of so many, and in as many before.
    peaks: [u64; 2],
    completed: u64,
    sums: Sums,
    /// Blocks that ended while they were copied, and the last submission that uses them.
    orphans: HashMap<BlockId, u64>,
    /// The tick until which plans hurry because a request was refused.
    hurry_until: u64,
    /// The class that the next plan begins with, where the last one did not get to all of them.
    plan_from: Option<u32>,
    /// The slab whose blocks are being moved elsewhere, until all of its moves are planned.
    draining: Option<u32>,
    /// Plans that its next block did not fit, one after the other.
    held_up: u32,
}

/// One class.
#[derive(Debug)]
struct Row {
    /// The first of the open ones, or [`NOBODY`](slab::NOBODY).
    next: u32,
    /// Its position; where there is none, one beyond all.
    next_position: u32,
    bytes: u64,
    /// Bytes of the free cells in slabs that are not empty.
    holes: u64,
    /// Slabs that are being emptied.
    draining: u32,
    /// Positions of slabs with a free cell that take blocks.
    open: Bits,
    /// Its slabs by position; a position without one is used again.
    slabs: Vec<u32>,
    /// The position that the next plan begins to look at.
    looked_to: usize,
    free_positions: Vec<u32>,
}

impl Row {
    const NONE: Self = Self {
        next: slab::NOBODY,
        next_position: u32::MAX,
        bytes: 0,
        holes: 0,
        draining: 0,
        open: Bits::NONE,
        slabs: Vec::new(),
        looked_to: 0,
        free_positions: Vec::new(),
    };

    /// The slab of that number, which lies at that position, takes blocks.
    #[inline]
    fn open(&mut self, position: u32, id: u32) {
        self.open.insert(position);
        // Which of the two is chance: both are written, so that nothing has to be guessed.
        let is_first = position < self.next_position;
        self.next = if is_first { id } else { self.next };
        self.next_position = if is_first { position } else { self.next_position };
    }

    /// The slab at that position takes none.
    #[inline]
    fn close(&mut self, position: u32) {
        self.open.remove(position);
        if position == self.next_position {
            self.next_position = self.open.first().unwrap_or(u32::MAX);
            self.next = self.slabs.get(self.next_position as usize).copied().unwrap_or(slab::NOBODY);
        }
    }
}

/// The cell of a block that ended, and the bytes that it asked for.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    slab: u32,
    cell: u32,
    requested: u64,
}

/// What is added up along the way.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    reserved: u64,
    allocated: u64,
    requested: u64,
    empty: u64,
    emptied: u64,
    live_blocks: u64,
    live_requested: u64,
    slabs: u64,
    moves_under_way: u64,
    moving: u64,
    waiting: u64,
    waiting_blocks: u64,
    unusable: u64,
}

impl Layout {
    /// An empty pool: nothing is made before the first block.
    #[must_use]
    pub fn new(config: LayoutConfig) -> Self {
        let classes = Classes::new(config.classes_per_octave, config.granularity);
        let largest_block_bytes = config.largest_block_bytes.min(entries::MOST_REQUESTED);
        Self {
            config: LayoutConfig { largest_block_bytes, ..config },
            classes,
            rows: Vec::new(),
            slabs: Vec::new(),
            free_slabs: Vec::new(),
            entries: Entries::default(),
            waiting: BTreeMap::new(),
            no_waiting: Vec::new(),
            empty: BTreeSet::new(),
            tick: 0,
            peaks: [0; 2],
            completed: 0,
            sums: Sums::default(),
            orphans: HashMap::new(),
            hurry_until: 0,
            plan_from: None,
            draining: None,
            held_up: 0,
        }
    }

    /// Gives out a block of at least `bytes` bytes at a multiple of `align`.
    ///
    /// # Errors
    /// [`LayoutError`]; nothing has changed then. Where the budget is exceeded and there are empty slabs, [giving back](Self::release_bytes) as
    /// much of them as is asked for may help.
    #[inline]
    pub fn allocate(&mut self, bytes: u64, align: u64) -> Result<Allocated, LayoutError> {
        if bytes == 0 || !align.is_power_of_two() || bytes > self.config.largest_block_bytes {
            return Err(LayoutError::refused(bytes, align, &self.config));
        }
        if self.entries.is_full() {
            return Err(LayoutError::Full);
        }
        let largest = self.config.largest_block_bytes;
        let cell = self.classes.cell(bytes, align).filter(|&cell| cell <= largest);
        let cell_bytes = cell.ok_or(LayoutError::TooLarge { bytes, align, largest })?;
        let row = self.classes.index(cell_bytes);
        let (slab, new_slab) = match self.rows.get(row).map_or(slab::NOBODY, |row| row.next) {
            slab::NOBODY => self.make_room(row, cell_bytes, bytes, align)?,
            slab => (slab, None),
        };
        Ok(self.take(slab, bytes, new_slab))
    }

    /// Where a block lies now; `None` for one that was freed.
    #[must_use]
    pub fn place(&self, block: BlockId) -> Option<Place> {
        self.entries.get(block).and_then(|entry| self.cell_place(entry.slab, entry.cell()))
    }

    /// Bytes that were asked for; `None` for a block that was freed.
    #[must_use]
    pub fn requested(&self, block: BlockId) -> Option<u64> {
        self.entries.get(block).map(Entry::requested)
    }

    /// A submission uses the block.
    pub fn used(&mut self, block: BlockId, submission: u64) -> bool {
        let Some((slab, uses)) = self.entries.uses_mut(block) else { return false };
        uses.last = uses.last.max(submission);
        if let Some(slab) = self.slab_mut(slab) {
            slab.last_use = slab.last_use.max(submission);
        }
        true
    }

    /// The block stays where it is until it is unpinned as often. False for a block that was freed, or that is pinned 65,535 times.
    pub fn pin(&mut self, block: BlockId) -> bool {
        let Some((slab, uses)) = self.entries.uses_mut(block) else { return false };
        let Some(pins) = uses.pins.checked_add(1) else { return false };
        uses.pins = pins;
        if let Some(slab) = self.slab_mut(slab) {
            slab.pins += 1;
        }
        true
    }

    /// Takes a pin back; false where there is none.
    pub fn unpin(&mut self, block: BlockId) -> bool {
        let Some((slab, uses)) = self.entries.uses_mut(block) else { return false };
        let Some(pins) = uses.pins.checked_sub(1) else { return false };
        uses.pins = pins;
        if let Some(slab) = self.slab_mut(slab) {
            slab.pins -= 1;
        }
        true
    }

    /// Ends a block. Its bytes are free once the submissions up to `after`, and those that were said to use it, are done.
    /// False, and nothing changes, for a block that was freed before.
    #[inline]
    pub fn free(&mut self, block: BlockId, after: u64) -> bool {
        let Some((entry, uses)) = self.entries.end(block) else { return false };
        let (slab, cell, requested) = (entry.slab, entry.cell(), entry.requested());
        self.sums.live_blocks -= 1;
        self.sums.live_requested -= requested;
        if uses.pins > 0
            && let Some(slab) = self.slab_mut(slab)
        {
            slab.pins -= u64::from(uses.pins);
        }
        if entry.is_moving() {
            // Its copy reads the cell until the move is committed, which gives it back.
            self.disown(slab, cell);
            self.orphans.insert(block, after.max(uses.last));
        } else {
            self.give_back_after(after.max(uses.last), slab, cell, requested);
        }
        true
    }

    /// The submissions up to this one are done: what waited for them is free.
    pub fn completed(&mut self, submission: u64) {
        self.completed = self.completed.max(submission);
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= self.completed) {
            let mut cells = first.remove();
            for Waiting { slab, cell, requested } in cells.drain(..) {
                self.sums.waiting_blocks -= 1;
                self.sums.waiting -= self.slab(slab).map_or(0, |slab| slab.cell_bytes);
                self.give_back(slab, cell, requested);
            }
            self.no_waiting = cells;
        }
    }

    /// The new slab of an allocation could not be made: slab and block are gone.
    pub fn slab_failed(&mut self, allocated: &Allocated) {
        let slab = allocated.place.slab;
        if let Some((_, uses)) = self.entries.uses_mut(allocated.block) {
            // No submission can use what was never made.
            uses.last = 0;
        }
        self.free(allocated.block, 0);
        if self.slabs.get(slab.0 as usize).is_some_and(|slot| slot.as_ref().is_some_and(|slab| slab.used == 0)) {
            self.remove_slab(slab);
        }
    }

    /// A slab takes no more blocks until it is [opened](Self::open): its caller is making it.
    pub fn close(&mut self, SlabId(id): SlabId) {
        let Some(slab) = self.slabs.get_mut(id as usize).and_then(Option::as_mut) else { return };
        slab.closed = true;
        self.rows[slab.row as usize].close(slab.position);
    }

    /// A slab that was [closed](Self::close) takes blocks again.
    pub fn open(&mut self, SlabId(id): SlabId) {
        let Some(slab) = self.slabs.get_mut(id as usize).and_then(Option::as_mut) else { return };
        slab.closed = false;
        if !slab.is_full() && !slab.is_draining() {
            self.rows[slab.row as usize].open(slab.position, id);
        }
    }

    /// Bytes of all slabs.
    #[must_use]
    pub fn reserved_bytes(&self) -> u64 {
        self.sums.reserved
    }

    /// Bytes of the slabs that became empty while defragmentation emptied them, over life.
    #[must_use]
    pub fn emptied_bytes(&self) -> u64 {
        self.sums.emptied
    }

    /// Changes what all slabs together may have. Where more is reserved already, nothing is added until enough was given back.
    pub fn set_budget(&mut self, budget_bytes: Option<u64>) {
        self.config.budget_bytes = budget_bytes;
    }

    /// What it was made with.
    #[must_use]
    pub fn config(&self) -> &LayoutConfig {
        &self.config
    }

    fn slab(&self, slab: u32) -> Option<&Slab> {
        self.slabs.get(slab as usize)?.as_ref()
    }

    fn slab_mut(&mut self, slab: u32) -> Option<&mut Slab> {
        self.slabs.get_mut(slab as usize)?.as_mut()
    }

    fn cell_place(&self, slab: u32, cell: u32) -> Option<Place> {
        let bytes = self.slab(slab)?.cell_bytes;
        Some(Place { slab: SlabId(slab), offset: bytes * u64::from(cell), bytes })
    }

    /// Takes a free cell of an open slab for a new block.
    #[inline]
    fn take(&mut self, slab: u32, requested: u64, new_slab: Option<u64>) -> Allocated {
        let index = self.entries.next();
        let (cell, bytes) = self.take_cell(slab, index, requested);
        let block = self.entries.begin(index, slab, cell, requested);
        self.sums.live_blocks += 1;
        self.sums.live_requested += requested;
        Allocated { block, place: Place { slab: SlabId(slab), offset: bytes * u64::from(cell), bytes }, new_slab }
    }

    #[expect(clippy::expect_used, reason = "only open slabs are asked")]
    #[inline]
    fn take_cell(&mut self, id: u32, owner: u32, requested: u64) -> (u32, u64) {
        let slab = self.slabs[id as usize].as_mut().expect("an open slab");
        let cell = slab.take(owner);
        let (cell_bytes, first) = (slab.cell_bytes, slab.used == 1);
        let row = &mut self.rows[slab.row as usize];
        self.sums.allocated += cell_bytes;
        self.sums.requested += requested;
        if slab.is_full() {
            row.close(slab.position);
        }
        if first {
            row.holes += slab.free_bytes();
            self.no_longer_empty(id);
        } else {
            row.holes -= cell_bytes;
        }
        (cell, cell_bytes)
    }

    /// The cell belongs to no block any more, and is not free yet.
    fn disown(&mut self, slab: u32, cell: u32) {
        if let Some(slab) = self.slabs.get_mut(slab as usize).and_then(Option::as_mut) {
            slab.set_owner(cell, slab::NOBODY);
        }
    }

    fn give_back_after(&mut self, submission: u64, slab: u32, cell: u32, requested: u64) {
        if submission > self.completed {
            self.disown(slab, cell);
            self.sums.waiting += self.slab(slab).map_or(0, |slab| slab.cell_bytes);
            self.sums.waiting_blocks += 1;
            let waiting = Waiting { slab, cell, requested };
            match self.waiting.last_entry().filter(|last| *last.key() == submission) {
                Some(mut last) => last.get_mut().push(waiting),
                None => {
                    let spare = &mut self.no_waiting;
                    self.waiting.entry(submission).or_insert_with(|| std::mem::take(spare)).push(waiting);
                }
            }
        } else {
            self.give_back(slab, cell, requested);
        }
    }

    #[expect(clippy::expect_used, reason = "a slab with a taken cell is there")]
    #[inline]
    fn give_back(&mut self, id: u32, cell: u32, requested: u64) {
        let slab = self.slabs[id as usize].as_mut().expect("a slab with a taken cell");
        let was_full = slab.is_full();
        slab.give_back(cell);
        self.sums.allocated -= slab.cell_bytes;
        self.sums.requested -= requested;
        let row = &mut self.rows[slab.row as usize];
        row.holes += slab.cell_bytes;
        if was_full && !slab.is_draining() && !slab.closed {
            row.open(slab.position, id);
        }
        if slab.used == 0 {
            row.holes -= slab.free_bytes();
            if slab.drained_to.take().is_some() {
                row.draining -= 1;
                self.sums.emptied += slab.bytes;
                row.open(slab.position, id);
            }
            self.became_empty(id);
        }
    }
}
