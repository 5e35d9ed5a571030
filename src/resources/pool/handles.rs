//! What handles of a block share: their count, and the block's ticket. Both lie in tables by the number of the block, which only grow: making a
//! block allocates nothing where there was one of its number, and handles get there without the pool's lock.

use std::sync::OnceLock;

use engine_vitals_core::probe::Ticket;
use parking_lot::Mutex;

use super::count::Count;

/// Rows of a table's first part. Each part has twice as many as the one before.
const FIRST: u64 = 64;
/// So many parts have room for all numbers.
const PARTS: usize = 27;

/// The handles of the blocks of one heap.
#[derive(Default)]
pub(super) struct Handles {
    pub(super) counts: Table<Count>,
    /// `None` where the block is not tracked, and when its last handle was given up. Locked before the pool's state, never after.
    pub(super) tickets: Table<Mutex<Option<Ticket>>>,
}

/// One for each number, made where it is asked for.
pub(super) struct Table<T>([OnceLock<Box<[T]>>; PARTS]);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; PARTS])
    }
}

impl<T: Default> Table<T> {
    #[inline]
    pub(super) fn at(&self, number: u32) -> &T {
        let number = u64::from(number);
        let part = (number / FIRST + 1).ilog2();
        let rows = FIRST << part;
        let before = rows - FIRST;
        let part = self.0[part as usize].get_or_init(|| (0..rows).map(|_| T::default()).collect());
        &part[(number - before) as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_number_has_a_row_of_its_own() {
        let table: Table<AtomicU32> = Table::default();
        for number in 0..10_000 {
            assert_eq!(table.at(number).swap(number + 1, Ordering::Relaxed), 0, "{number}");
        }
        for number in 0..10_000 {
            assert_eq!(table.at(number).load(Ordering::Relaxed), number + 1);
        }
        // The last number of all lies in the last part.
        assert_eq!((u64::from(u32::MAX) / FIRST + 1).ilog2() as usize, PARTS - 1);
    }
}
