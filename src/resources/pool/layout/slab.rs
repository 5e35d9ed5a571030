//! One slab: cells of one size, which are free or belong to a block.

use super::bits::Bits;

/// Who owns a cell that no block has: it is free, or waits for the GPU.
pub(super) const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Slab {
    /// The number of its class, and its position there.
    pub(super) row: u32,
    pub(super) position: u32,
    pub(super) cell_bytes: u64,
    pub(super) free: Bits,
    /// The block of each cell.
    pub(super) owners: Box<[u32]>,
    /// Cells that are not free.
    pub(super) used: u32,
    /// Grows with each time that it becomes empty.
    pub(super) epoch: u64,
    /// Its blocks are being moved elsewhere, and it takes no new ones.
    pub(super) draining: bool,
    /// It takes no blocks yet: its caller is making it.
    pub(super) closed: bool,
}

impl Slab {
    pub(super) fn new(row: u32, position: u32, cell_bytes: u64, cells: u32) -> Self {
        Self {
            row,
            position,
            cell_bytes,
            free: Bits::full(cells),
            owners: vec![NOBODY; cells as usize].into_boxed_slice(),
            used: 0,
            epoch: 0,
            draining: false,
            closed: false,
        }
    }

    pub(super) fn cells(&self) -> u32 {
        self.owners.len() as u32
    }

    pub(super) fn bytes(&self) -> u64 {
        self.cell_bytes * u64::from(self.cells())
    }

    /// The longest run of free bytes, or `known` if that is more. A slab that takes no blocks has none.
    pub(super) fn largest_free_bytes(&self, known: u64) -> u64 {
        if self.draining || self.closed || u64::from(self.free.count()) * self.cell_bytes <= known {
            return known;
        }
        known.max(u64::from(self.free.longest_run(self.cells())) * self.cell_bytes)
    }

    /// Takes the lowest free cell.
    #[inline]
    #[expect(clippy::expect_used, reason = "only open slabs are asked")]
    pub(super) fn take(&mut self, owner: u32) -> u32 {
        let cell = self.free.first().expect("an open slab has a free cell");
        self.free.remove(cell);
        self.owners[cell as usize] = owner;
        self.used += 1;
        cell
    }

    #[inline]
    pub(super) fn give_back(&mut self, cell: u32) {
        let was_taken = self.free.insert(cell);
        debug_assert!(was_taken, "cell {cell} was given back twice");
        self.owners[cell as usize] = NOBODY;
        self.used -= 1;
    }
}
