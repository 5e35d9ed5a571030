//! A bounded ring with one producer and any number of readers, each of which counts exactly what it lost.
//!
//! The producer never waits: it overwrites the oldest entry. Position `p` is written with version `2p + 2`, so a reader
//! that wants position `p` and finds another version knows that the entry was overwritten, never that it is early: it
//! asks only for positions below a `head` that it has seen.

use super::seqcell::SeqCell;
use crate::sync::{AtomicU64, Ordering, own};

/// The ring of one thread.
#[derive(Debug)]
pub(crate) struct Ring<const N: usize> {
    /// Entries produced so far; the next position.
    head: AtomicU64,
    cells: Box<[SeqCell<N>]>,
}

impl<const N: usize> Ring<N> {
    /// A ring of `capacity` entries, rounded up to a power of two of at least 2.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(2).next_power_of_two();
        Self { head: AtomicU64::new(0), cells: (0..capacity).map(|_| SeqCell::new()).collect() }
    }

    /// Where the next entry goes. The caller is the only producer.
    #[inline]
    pub(crate) fn next(&self) -> Place<'_, N> {
        let position = own(&self.head);
        Place { head: &self.head, position, cell: self.cell(position) }
    }

    /// Entries produced so far.
    pub(crate) fn produced(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// Entries that the ring keeps at most.
    pub(crate) fn capacity(&self) -> u64 {
        self.cells.len() as u64
    }

    /// Entry `position`, which must lie below a head that the caller has seen; `None` if it was overwritten.
    fn read(&self, position: u64) -> Option<[u64; N]> {
        let (version, words, ()) = self.cell(position).read_with(|_| ())?;
        (version == version_of(position)).then_some(words)
    }

    #[inline]
    fn cell(&self, position: u64) -> &SeqCell<N> {
        // The length is a power of two, so the mask stays within the slice.
        &self.cells[position as usize & (self.cells.len() - 1)]
    }
}

/// The place of the next entry, while none is made.
#[derive(Debug)]
pub(crate) struct Place<'a, const N: usize> {
    head: &'a AtomicU64,
    position: u64,
    cell: &'a SeqCell<N>,
}

impl<const N: usize> Place<'_, N> {
    /// Makes the entry: its first `words.len()` words; the others are left as an earlier entry had them.
    #[inline]
    pub(crate) fn fill(self, words: &[u64]) {
        self.cell.write_as(version_of(self.position), words);
        self.head.store(self.position + 1, Ordering::Release);
    }
}

#[inline]
fn version_of(position: u64) -> u64 {
    position.wrapping_mul(2).wrapping_add(2)
}

/// One reader's place in one ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Follower {
    position: u64,
}

impl Follower {
    /// A reader that wants entries from `position` on.
    pub(crate) fn at(position: u64) -> Self {
        Self { position }
    }

    /// Delivers every entry up to the present head in order, and returns how many were overwritten before they could be
    /// read. The position moves by exactly what was delivered and lost.
    pub(crate) fn drain<const N: usize>(&mut self, ring: &Ring<N>, mut deliver: impl FnMut(&[u64; N])) -> u64 {
        let head = ring.produced();
        let oldest = head.saturating_sub(ring.capacity());
        let mut lost = oldest.saturating_sub(self.position);
        self.position = self.position.max(oldest);
        while self.position < head {
            match ring.read(self.position) {
                Some(words) => deliver(&words),
                None => lost += 1,
            }
            self.position += 1;
        }
        lost
    }
}
