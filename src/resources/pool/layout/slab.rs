//! One slab: cells of one size, which are free or belong to a block.

/// Who owns a cell that no block has: it waits for the GPU, or a copy is on its way there. Also: no slab, no cell.
pub(super) const NOBODY: u32 = FREE - 1;

/// In [`Slab::cells`]: the cell is free, and the other bits say which free one follows.
const FREE: u32 = 1 << 31;

/// Cells that a slab may have.
pub(super) const MOST_CELLS: u32 = 64 * 64;

#[derive(Debug)]
pub(super) struct Slab {
    /// The block of each cell, or the next free one. The list of free cells lies in the cells themselves, the last one given back first: what a
    /// block needs was touched when the block before it went.
    cells: Box<[u32]>,
    /// The first free cell that was taken before, or [`NOBODY`].
    free: u32,
    /// This cell and those behind it were never taken, and are not in the list.
    fresh: u32,
    pub(super) cell_bytes: u64,
    /// Cells that are not free.
    pub(super) used: u32,
    /// The number of its class, and its position there.
    pub(super) row: u32,
    pub(super) position: u32,
    /// It takes no blocks yet: its caller is making it.
    pub(super) closed: bool,
    /// Its blocks are being moved elsewhere, and it takes no new ones: those below this cell are done.
    pub(super) drained_to: Option<u32>,
    pub(super) bytes: u64,
    /// The tick in which it became empty, while it is.
    pub(super) empty_since: u64,
    /// Copies that are made into its cells.
    pub(super) incoming: u32,
    /// Pins of its blocks.
    pub(super) pins: u64,
    /// The last submission that was said to use one of its blocks.
    pub(super) last_use: u64,
}

impl Slab {
    /// As many cells as `bytes` have room for, at most [`MOST_CELLS`].
    pub(super) fn new(row: u32, position: u32, cell_bytes: u64, bytes: u64) -> Self {
        Self {
            cells: vec![0; cells(cell_bytes, bytes) as usize].into_boxed_slice(),
            free: NOBODY,
            fresh: 0,
            cell_bytes,
            used: 0,
            row,
            position,
            closed: false,
            drained_to: None,
            bytes,
            empty_since: 0,
            incoming: 0,
            pins: 0,
            last_use: 0,
        }
    }

    #[inline]
    pub(super) fn cells(&self) -> u32 {
        self.cells.len() as u32
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.used == self.cells()
    }

    /// The part of its cells that is not free.
    pub(super) fn used_part(&self) -> f64 {
        f64::from(self.used) / f64::from(self.cells())
    }

    /// Bytes behind the last cell.
    pub(super) fn left_over(&self) -> u64 {
        self.bytes - self.cell_bytes * u64::from(self.cells())
    }

    /// Bytes of its free cells.
    pub(super) fn free_bytes(&self) -> u64 {
        self.cell_bytes * u64::from(self.cells() - self.used)
    }

    /// The longest run of free bytes, or `known` if that is more. A slab that takes no blocks has none.
    pub(super) fn largest_free_bytes(&self, known: u64) -> u64 {
        if self.closed || self.free_bytes() <= known {
            return known;
        }
        known.max(u64::from(self.longest_run()) * self.cell_bytes)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drained_to.is_some()
    }

    /// Which block a cell is of, or [`NOBODY`]; `None` for a free one.
    pub(super) fn owner(&self, cell: u32) -> Option<u32> {
        let owner = self.cells.get(cell as usize).filter(|_| cell < self.fresh)?;
        (owner & FREE == 0).then_some(*owner)
    }

    /// The owner of a cell that is not free.
    pub(super) fn set_owner(&mut self, cell: u32, owner: u32) {
        debug_assert!(self.owner(cell).is_some() && owner <= NOBODY, "cell {cell} is free");
        self.cells[cell as usize] = owner;
    }

    /// Takes a free cell, which there must be.
    #[inline]
    pub(super) fn take(&mut self, owner: u32) -> u32 {
        debug_assert!(!self.is_full() && owner <= NOBODY, "only open slabs are asked");
        self.used += 1;
        if self.free == NOBODY {
            let cell = self.fresh;
            self.fresh += 1;
            self.cells[cell as usize] = owner;
            return cell;
        }
        let cell = self.free;
        self.free = std::mem::replace(&mut self.cells[cell as usize], owner) & !FREE;
        cell
    }

    #[inline]
    pub(super) fn give_back(&mut self, cell: u32) {
        debug_assert!(self.owner(cell).is_some(), "cell {cell} was given back twice");
        self.used -= 1;
        if self.used == 0 {
            (self.free, self.fresh) = (NOBODY, 0);
            return;
        }
        self.cells[cell as usize] = FREE | self.free;
        self.free = cell;
    }

    /// The most free cells that are neighbours.
    pub(super) fn longest_run(&self) -> u32 {
        let (mut longest, mut run) = (0, 0);
        for &owner in self.cells.get(..self.fresh as usize).unwrap_or_default() {
            run = if owner & FREE == 0 { 0 } else { run + 1 };
            longest = run.max(longest);
        }
        longest.max(run + self.cells() - self.fresh)
    }
}

/// The cells of a slab of so many bytes.
pub(super) fn cells(cell_bytes: u64, bytes: u64) -> u32 {
    u32::try_from(bytes / cell_bytes).unwrap_or(u32::MAX).min(MOST_CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cells_are_given_out_once_and_taken_back_in_any_order() {
        for cells in [1, 2, 63, 64, 65, 127, 128, 4_095, 4_096] {
            let mut slab = Slab::new(0, 0, 16, 16 * u64::from(cells) + 15);
            assert_eq!((slab.cells(), slab.longest_run(), slab.left_over()), (cells, cells, 15));
            for cell in 0..cells {
                assert!(slab.owner(cell).is_none() && !slab.is_full());
                assert_eq!(slab.take(7), cell, "one after the other, the first time");
                assert_eq!(slab.owner(cell), Some(7));
            }
            assert!(slab.is_full() && slab.owner(cells).is_none());
            assert_eq!(slab.longest_run(), 0);
            if cells > 1 {
                (0..cells).step_by(3).for_each(|cell| slab.give_back(cell));
                assert_eq!((slab.used, slab.longest_run()), (cells - cells.div_ceil(3), 1));
                let mut taken: Vec<u32> = (0..cells).step_by(3).map(|_| slab.take(8)).collect();
                taken.sort_unstable();
                assert_eq!(taken, (0..cells).step_by(3).collect::<Vec<_>>());
                assert!((0..cells).all(|cell| slab.owner(cell) == Some(if cell % 3 == 0 { 8 } else { 7 })));
            }
            (0..cells).rev().for_each(|cell| slab.give_back(cell));
            assert_eq!((slab.used, slab.longest_run()), (0, cells));
            assert!((0..cells).all(|cell| slab.owner(cell).is_none()));
        }
    }

    #[test]
    fn the_longest_run_is_that_of_a_walk_over_all_cells() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut slab = Slab::new(0, 0, 16, 16 * random.u64(1..400));
            for _ in 0..slab.cells() {
                slab.take(7);
            }
            let most = random.u32(2..100);
            let mut free = false;
            for cell in 0..slab.cells() {
                free ^= random.u32(..most) == 0;
                if free {
                    slab.give_back(cell);
                }
            }
            let (mut longest, mut run) = (0, 0);
            for cell in 0..slab.cells() {
                run = if slab.owner(cell).is_none() { run + 1 } else { 0 };
                longest = run.max(longest);
            }
            assert_eq!(slab.longest_run(), longest);
        }
    }

    #[test]
    fn the_longest_run_goes_on_into_what_was_never_taken() {
        let mut slab = Slab::new(0, 0, 16, 160);
        (0..6).for_each(|_| _ = slab.take(NOBODY));
        assert_eq!((slab.longest_run(), slab.owner(0)), (4, Some(NOBODY)));
        slab.give_back(5);
        slab.give_back(1);
        assert_eq!(slab.longest_run(), 5);
    }

    #[test]
    fn a_slab_has_no_more_cells_than_it_can_number() {
        assert_eq!(Slab::new(0, 0, 16, 1 << 40).cells(), MOST_CELLS);
    }
}
