//! One thread's part of what the program spends time on: each word is written by that thread and read by any.

use super::Activity;
use crate::sync::{AtomicU64, Ordering, own};

/// The place of the cells in which a thread counts what it spends time on.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Efforts {
    cells: [Cell; Activity::ALL.len()],
}

/// Calls, bytes and nanoseconds, which only grow (but for wrapping). A reader may see one more call in the one than in the other.
#[derive(Debug, Default)]
struct Cell {
    calls: AtomicU64,
    bytes: AtomicU64,
    nanos: AtomicU64,
}

/// What a reader sums up.
pub(crate) type EffortSums = [[u64; 3]; Activity::ALL.len()];

impl Efforts {
    pub(crate) fn new() -> Self {
        Self { cells: std::array::from_fn(|_| Cell::default()) }
    }

    /// So many more calls: one, or none for a part of one.
    #[inline]
    pub(crate) fn add(&self, activity: Activity, calls: u64, bytes: u64, nanos: u64) {
        let Some(cell) = self.cells.get(activity as usize) else { return };
        add(&cell.calls, calls);
        add(&cell.bytes, bytes);
        add(&cell.nanos, nanos);
    }

    pub(crate) fn sum_into(&self, sums: &mut EffortSums) {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        for (sums, cell) in sums.iter_mut().zip(&self.cells) {
            for (sum, word) in sums.iter_mut().zip([&cell.calls, &cell.bytes, &cell.nanos]) {
                *sum = sum.wrapping_add(load(word));
            }
        }
    }
}

#[inline]
fn add(word: &AtomicU64, amount: u64) {
    if amount > 0 {
        word.store(own(word).wrapping_add(amount), Ordering::Relaxed);
    }
}
