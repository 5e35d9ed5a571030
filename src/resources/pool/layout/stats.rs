//! What a pool holds, in figures.

use std::ops::Range;

use super::{BlockId, Layout, SlabId};

/// The figures of a pool.
///
/// # Loss
/// The loss is (the sum over live blocks of allocated less requested bytes) + (the sum over slabs of the free space that the largest request of
/// that slab's class could not use), as a share of the reserved bytes. Free space that such a request can use is not lost, and is reported
/// apart ([`free_bytes`](Self::free_bytes)). Cells that wait for the GPU or that a copy is made into count by their rounding too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LayoutStats {
    /// Bytes of all slabs.
    pub reserved_bytes: u64,
    /// Bytes of cells that are not free: those of live blocks, of freed ones that the GPU still uses, and of copies under way.
    pub allocated_bytes: u64,
    /// Bytes that were asked for, of the same cells.
    pub requested_bytes: u64,
    /// What [`reserved_bytes`](Self::reserved_bytes) may be at most; `None` without a limit.
    pub budget_bytes: Option<u64>,
    /// Blocks given out and not freed.
    pub live_blocks: u64,
    /// Bytes that they asked for.
    pub live_requested_bytes: u64,
    /// Slabs.
    pub slabs: u64,
    /// Blocks that were freed while the GPU uses them still.
    pub waiting_blocks: u64,
    /// Bytes of their cells: a part of the allocated.
    pub waiting_bytes: u64,
    /// Moves planned and not committed.
    pub moves_under_way: u64,
    /// Bytes of the cells that they copy into: a part of the allocated.
    pub moving_bytes: u64,
    /// Free bytes that no request of their slab's class gets: what is left over behind the last cell of a slab that was cut anew for another
    /// class. Each free cell serves the largest request of its class, those of a slab that defragmentation is emptying too: a request that would
    /// need a new slab ends that.
    pub unusable_bytes: u64,
}

impl LayoutStats {
    /// Bytes of free cells that serve any request of their class.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.reserved_bytes - self.allocated_bytes - self.unusable_bytes
    }

    /// Bytes lost: to rounding up, and to free space that no request gets.
    #[must_use]
    pub fn lost_bytes(&self) -> u64 {
        self.allocated_bytes - self.requested_bytes + self.unusable_bytes
    }

    /// The lost bytes, and all of the cells that no block has and nobody gets until the GPU is done: those that wait, and those that copies are made
    /// into. The strictest figure: what is reserved, less what live blocks asked for and what the next request can get.
    #[must_use]
    pub fn lost_or_in_flight_bytes(&self) -> u64 {
        self.allocated_bytes - self.live_requested_bytes + self.unusable_bytes
    }

    /// The lost bytes as a share of the reserved; `None` where nothing is reserved.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.reserved_bytes > 0).then(|| self.lost_bytes() as f64 / self.reserved_bytes as f64)
    }
}

impl std::ops::AddAssign for LayoutStats {
    /// Adds another pool's figures. The budget stays.
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that a figure that is added to them is not forgotten here.
        let Self {
            reserved_bytes,
            allocated_bytes,
            requested_bytes,
            budget_bytes: _,
            live_blocks,
            live_requested_bytes,
            slabs,
            waiting_blocks,
            waiting_bytes,
            moves_under_way,
            moving_bytes,
            unusable_bytes,
        } = other;
        self.reserved_bytes += reserved_bytes;
        self.allocated_bytes += allocated_bytes;
        self.requested_bytes += requested_bytes;
        self.live_blocks += live_blocks;
        self.live_requested_bytes += live_requested_bytes;
        self.slabs += slabs;
        self.waiting_blocks += waiting_blocks;
        self.waiting_bytes += waiting_bytes;
        self.moves_under_way += moves_under_way;
        self.moving_bytes += moving_bytes;
        self.unusable_bytes += unusable_bytes;
    }
}

/// One size class that has slabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// Bytes of its cells.
    pub cell_bytes: u64,
    /// Slabs.
    pub slabs: u64,
    /// Cells of them.
    pub cells: u64,
    /// Cells that are not free.
    pub used_cells: u64,
    /// The longest run of free cells in one slab that takes blocks, in bytes.
    pub largest_free_bytes: u64,
}

impl Bucket {
    /// Cells that are not free, as a share of all.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn occupancy(&self) -> f64 {
        if self.cells == 0 { 0.0 } else { self.used_cells as f64 / self.cells as f64 }
    }
}

/// A live block in a [`SlabView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockView {
    /// The block.
    pub block: BlockId,
    /// Its cell.
    pub cell: u32,
    /// Bytes that were asked for.
    pub requested_bytes: u64,
    /// It is pinned.
    pub pinned: bool,
    /// A copy of it is under way.
    pub moving: bool,
}

/// One slab, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlabView {
    /// Its number.
    pub slab: SlabId,
    /// Bytes of its cells.
    pub cell_bytes: u64,
    /// Its cells.
    pub cells: u32,
    /// Bytes of all of it: those behind the last cell are left over.
    pub bytes: u64,
    /// Its live blocks, by cell.
    pub blocks: Vec<BlockView>,
    /// Cells that are not free and have no block: the GPU still uses them for a freed one, or a copy is made into them.
    pub waiting_cells: Vec<u32>,
    /// Its blocks are being moved elsewhere, and it takes no new ones.
    pub draining: bool,
}

impl Layout {
    /// The figures as they are now. Costs a few nanoseconds.
    #[must_use]
    pub fn stats(&self) -> LayoutStats {
        LayoutStats {
            reserved_bytes: self.sums.reserved,
            allocated_bytes: self.sums.allocated,
            requested_bytes: self.sums.requested,
            budget_bytes: self.config.budget_bytes,
            live_blocks: self.sums.live_blocks,
            live_requested_bytes: self.sums.live_requested,
            slabs: self.sums.slabs,
            waiting_blocks: self.sums.waiting_blocks,
            waiting_bytes: self.sums.waiting,
            moves_under_way: self.sums.moves_under_way,
            moving_bytes: self.sums.moving,
            unusable_bytes: self.sums.unusable,
        }
    }

    /// The classes that have slabs, the smallest first. Looks at every slab.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = Vec::new();
        for row in self.rows.iter().filter(|row| row.bytes > 0) {
            let mut bucket = Bucket { cell_bytes: 0, slabs: 0, cells: 0, used_cells: 0, largest_free_bytes: 0 };
            for (_, slab) in self.slabs_of(row) {
                bucket.cell_bytes = slab.cell_bytes;
                bucket.slabs += 1;
                bucket.cells += u64::from(slab.cells());
                bucket.used_cells += u64::from(slab.used);
                bucket.largest_free_bytes = slab.largest_free_bytes(bucket.largest_free_bytes);
            }
            buckets.push(bucket);
        }
        buckets
    }

    /// The longest run of free bytes in one slab that takes blocks; 0 without one. Looks at slabs that have more free bytes than that.
    #[must_use]
    pub fn largest_free_bytes(&self) -> u64 {
        self.largest_free_bytes_among(0..self.slab_numbers(), 0)
    }

    /// The same of the slabs of these numbers, or `known` if that is more: for a caller that lets others in between, so that none waits until all
    /// slabs are looked at.
    #[must_use]
    pub fn largest_free_bytes_among(&self, numbers: Range<u32>, known: u64) -> u64 {
        let slabs = self.slabs.iter().skip(numbers.start as usize).take(numbers.len());
        slabs.flatten().fold(known, |largest, slab| slab.largest_free_bytes(largest))
    }

    /// All slabs have numbers below this one.
    #[must_use]
    pub fn slab_numbers(&self) -> u32 {
        self.slabs.len() as u32
    }

    /// Every slab with its blocks, by number. Looks at every cell.
    #[must_use]
    pub fn view(&self) -> Vec<SlabView> {
        let slabs = self.slabs.iter().enumerate().filter_map(|(id, slab)| Some((id, slab.as_ref()?)));
        slabs
            .map(|(id, slab)| {
                let mut view = SlabView {
                    slab: SlabId(id as u32),
                    cell_bytes: slab.cell_bytes,
                    cells: slab.cells(),
                    bytes: slab.bytes,
                    blocks: Vec::new(),
                    waiting_cells: Vec::new(),
                    draining: slab.is_draining(),
                };
                for (cell, owner) in (0..slab.cells()).filter_map(|cell| Some((cell, slab.owner(cell)?))) {
                    match self.entries.numbered(owner) {
                        Some((block, entry)) => view.blocks.push(BlockView {
                            block,
                            cell,
                            requested_bytes: entry.requested(),
                            pinned: self.entries.uses(block).pins > 0,
                            moving: entry.is_moving(),
                        }),
                        None => view.waiting_cells.push(cell),
                    }
                }
                view
            })
            .collect()
    }
}
