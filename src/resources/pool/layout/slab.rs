//! One slab: cells of one size, which are free or belong to a block.

/// Who owns a cell that no block has: it waits for the GPU, or a copy is on its way there. Also: no slab.
pub(super) const NOBODY: u32 = u32::MAX;

/// Cells that a slab may have.
pub(super) const MOST_CELLS: u32 = 64 * 64;

#[derive(Debug)]
pub(super) struct Slab {
    /// Which of the words of `free` are not zero.
    any_free: u64,
    /// A bit for each cell.
    free: Box<[u64]>,
    /// The block of each cell that is not free.
    pub(super) owners: Box<[u32]>,
    pub(super) cell_bytes: u64,
    /// Cells that are not free.
    pub(super) used: u32,
    /// The number of its class, and its position there.
    pub(super) row: u32,
    pub(super) position: u32,
    /// Its blocks are being moved elsewhere, and it takes no new ones: those below this cell are done.
    pub(super) drained_to: Option<u32>,
    /// It takes no blocks yet: its caller is making it.
    pub(super) closed: bool,
    pub(super) bytes: u64,
    /// Its position among the empty ones and the tick in which it became one, while it is.
    pub(super) empty_position: u32,
    pub(super) empty_since: u64,
    /// Pins of its blocks.
    pub(super) pins: u64,
    /// The last submission that was said to use one of its blocks.
    pub(super) last_use: u64,
}

impl Slab {
    /// As many cells as `bytes` have room for, at most [`MOST_CELLS`].
    pub(super) fn new(row: u32, position: u32, cell_bytes: u64, bytes: u64) -> Self {
        let cells = cells(cell_bytes, bytes);
        let bit = |cell: u32| 1_u64.checked_shl(cell).map_or(u64::MAX, |bit| bit - 1);
        let free: Box<[u64]> = (0..cells.div_ceil(64)).map(|word| bit(cells - 64 * word)).collect();
        Self {
            any_free: bit(cells.div_ceil(64)),
            free,
            owners: vec![NOBODY; cells as usize].into_boxed_slice(),
            cell_bytes,
            used: 0,
            row,
            position,
            drained_to: None,
            closed: false,
            bytes,
            empty_position: 0,
            empty_since: 0,
            pins: 0,
            last_use: 0,
        }
    }

    #[inline]
    pub(super) fn cells(&self) -> u32 {
        self.owners.len() as u32
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

    pub(super) fn is_free(&self, cell: u32) -> bool {
        self.free.get(cell as usize / 64).is_some_and(|word| word >> (cell % 64) & 1 == 1)
    }

    /// Takes the lowest free cell, which there must be.
    #[inline]
    pub(super) fn take(&mut self, owner: u32) -> u32 {
        debug_assert!(!self.is_full(), "only open slabs are asked");
        let index = self.any_free.trailing_zeros();
        let word = &mut self.free[index as usize];
        let cell = 64 * index + word.trailing_zeros();
        *word &= *word - 1;
        if *word == 0 {
            self.any_free &= self.any_free - 1;
        }
        self.owners[cell as usize] = owner;
        self.used += 1;
        cell
    }

    #[inline]
    pub(super) fn give_back(&mut self, cell: u32) {
        let (index, bit) = (cell / 64, 1 << (cell % 64));
        let word = &mut self.free[index as usize];
        debug_assert!(*word & bit == 0, "cell {cell} was given back twice");
        *word |= bit;
        self.any_free |= 1 << index;
        self.used -= 1;
    }

    /// The most free cells that are neighbours.
    pub(super) fn longest_run(&self) -> u32 {
        let (mut longest, mut run) = (0, 0);
        for &word in &self.free {
            match word {
                u64::MAX => run += 64,
                0 => (longest, run) = (run.max(longest), 0),
                _ => {
                    longest = longest.max(run + word.trailing_ones()).max(longest_run_in(word));
                    run = word.leading_ones();
                }
            }
        }
        run.max(longest)
    }
}

/// The most bits that are set side by side.
fn longest_run_in(mut word: u64) -> u32 {
    let mut longest = 0;
    // Each step takes the last bit off all runs.
    while word != 0 {
        word &= word << 1;
        longest += 1;
    }
    longest
}

/// The cells of a slab of so many bytes.
pub(super) fn cells(cell_bytes: u64, bytes: u64) -> u32 {
    u32::try_from(bytes / cell_bytes).unwrap_or(u32::MAX).min(MOST_CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cells_are_given_out_from_the_lowest_and_taken_back_in_any_order() {
        for cells in [1, 2, 63, 64, 65, 127, 128, 4_095, 4_096] {
            let mut slab = Slab::new(0, 0, 16, 16 * u64::from(cells) + 15);
            assert_eq!((slab.cells(), slab.longest_run(), slab.left_over()), (cells, cells, 15));
            for cell in 0..cells {
                assert!(slab.is_free(cell) && !slab.is_full());
                assert_eq!(slab.take(7), cell);
                assert!(!slab.is_free(cell));
            }
            assert!(slab.is_full() && !slab.is_free(cells));
            assert_eq!(slab.longest_run(), 0);
            for cell in (0..cells).step_by(3) {
                slab.give_back(cell);
            }
            assert_eq!((slab.used, slab.longest_run()), (cells - cells.div_ceil(3), 1));
            for cell in (0..cells).step_by(3) {
                assert_eq!(slab.take(8), cell);
            }
            (0..cells).rev().for_each(|cell| slab.give_back(cell));
            assert_eq!((slab.used, slab.longest_run()), (0, cells));
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
                run = if slab.is_free(cell) { run + 1 } else { 0 };
                longest = run.max(longest);
            }
            assert_eq!(slab.longest_run(), longest);
        }
    }

    #[test]
    fn a_slab_has_no_more_cells_than_it_can_number() {
        assert_eq!(Slab::new(0, 0, 16, 1 << 40).cells(), MOST_CELLS);
    }
}
