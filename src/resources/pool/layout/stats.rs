//! What a pool holds, in figures.

use super::{Layout, SlabId, State};

/// The figures of a pool.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// Slabs.
    pub slabs: u64,
    /// Blocks that were freed while the GPU uses them still.
    pub waiting_blocks: u64,
    /// Moves planned and not committed.
    pub moves_under_way: u64,
}

impl LayoutStats {
    /// Bytes of free cells. Each of them serves any request of its class, so none of them is lost.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.reserved_bytes - self.allocated_bytes
    }

    /// Bytes lost to rounding up.
    #[must_use]
    pub fn lost_bytes(&self) -> u64 {
        self.allocated_bytes - self.requested_bytes
    }

    /// The lost bytes as a share of the reserved; `None` where nothing is reserved.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.reserved_bytes > 0).then(|| self.lost_bytes() as f64 / self.reserved_bytes as f64)
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
    /// The longest run of free cells, in bytes.
    pub largest_free_bytes: u64,
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
    /// Its live blocks: their cell, and the bytes asked for.
    pub blocks: Vec<(u32, u64)>,
    /// Cells that are not free and whose block was freed: the GPU still uses them.
    pub waiting_cells: Vec<u32>,
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
            slabs: self.sums.slabs,
            waiting_blocks: self.waiting.len() as u64,
            moves_under_way: self.sums.moves_under_way,
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
                let free = u64::from(slab.free.longest_run(slab.cells())) * slab.cell_bytes;
                bucket.largest_free_bytes = bucket.largest_free_bytes.max(free);
            }
            buckets.push(bucket);
        }
        buckets
    }

    /// Every slab with its blocks. Looks at every cell.
    #[must_use]
    pub fn view(&self) -> Vec<SlabView> {
        let slabs = self.slabs.iter().enumerate().filter_map(|(id, slab)| Some((id, slab.as_ref()?)));
        slabs
            .map(|(id, slab)| {
                let mut view = SlabView {
                    slab: SlabId(id as u32),
                    cell_bytes: slab.cell_bytes,
                    cells: slab.cells(),
                    blocks: Vec::new(),
                    waiting_cells: Vec::new(),
                };
                for cell in (0..slab.cells()).filter(|&cell| !slab.free.contains(cell)) {
                    let entry = self.entries.get(slab.owners[cell as usize] as usize);
                    match entry.filter(|entry| entry.state != State::Free) {
                        Some(entry) => view.blocks.push((cell, entry.requested)),
                        None => view.waiting_cells.push(cell),
                    }
                }
                view
            })
            .collect()
    }
}
