//! The table of blocks: which one has a number, and where it lies.
//!
//! An entry has 16 bytes, so that four of them share a cache line: with many blocks to read it is most of what a block costs. Pins and the last
//! submission that uses a block lie in a table of their own, which is written and read only for blocks that were said to have one.

use super::BlockId;

/// Bits of [`Entry::flags`].
const LIVE: u8 = 1;
const MOVING: u8 = 2;
/// There is something in [`Entries::uses`].
const USED: u8 = 4;

/// The most bytes that a block may ask for.
pub(super) const MOST_REQUESTED: u64 = (1 << 40) - 1;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    generation: u32,
    pub(super) slab: u32,
    requested: u32,
    cell: u16,
    requested_above: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Entry>() == 16 && super::slab::MOST_CELLS <= 1 << 16);

/// What the GPU, and whoever pinned it, does with a block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// The last submission that was said to use it.
    pub(super) last: u64,
    pub(super) pins: u16,
}

impl Entry {
    const NONE: Self = Self { generation: 0, slab: 0, requested: 0, cell: 0, requested_above: 0, flags: 0 };

    pub(super) fn cell(&self) -> u32 {
        self.cell.into()
    }

    pub(super) fn requested(&self) -> u64 {
        u64::from(self.requested) | u64::from(self.requested_above) << 32
    }

    /// A copy of it is under way.
    pub(super) fn is_moving(&self) -> bool {
        self.flags & MOVING != 0
    }

    pub(super) fn set_moving(&mut self, moving: bool) {
        self.flags = if moving { self.flags | MOVING } else { self.flags & !MOVING };
    }

    #[inline]
    pub(super) fn lies_in(&mut self, slab: u32, cell: u32) {
        (self.slab, self.cell) = (slab, cell as u16);
    }
}

#[derive(Debug, Default)]
pub(super) struct Entries {
    table: Vec<Entry>,
    /// By the same numbers, as far as there was one to write down.
    uses: Vec<Use>,
    free: Vec<u32>,
}

impl Entries {
    /// There are no more numbers.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.table.len() >= super::slab::NOBODY as usize && self.free.is_empty()
    }

    /// The number of the next block, where they are not [all taken](Self::is_full).
    #[inline]
    pub(super) fn next(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.table.push(Entry::NONE);
            self.table.len() as u32 - 1
        })
    }

    /// The block of that number, which [`next`](Self::next) gave, lives.
    #[inline]
    pub(super) fn begin(&mut self, index: u32, slab: u32, cell: u32, requested: u64) -> BlockId {
        debug_assert!(requested <= MOST_REQUESTED);
        let entry = &mut self.table[index as usize];
        let generation = entry.generation;
        *entry = Entry {
            generation,
            slab,
            requested: requested as u32,
            cell: cell as u16,
            requested_above: (requested >> 32) as u8,
            flags: LIVE,
        };
        BlockId { index, generation }
    }

    /// Ends a live block: what it was.
    #[inline]
    pub(super) fn end(&mut self, block: BlockId) -> Option<(Entry, Use)> {
        let entry = self.table.get_mut(block.index as usize)?;
        if entry.generation != block.generation || entry.flags & LIVE == 0 {
            return None;
        }
        let ended = *entry;
        entry.flags = 0;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(block.index);
        Some((ended, self.uses_of(block.index, &ended)))
    }

    #[inline]
    pub(super) fn get(&self, block: BlockId) -> Option<&Entry> {
        let entry = self.table.get(block.index as usize)?;
        (entry.generation == block.generation && entry.flags & LIVE != 0).then_some(entry)
    }

    pub(super) fn get_mut(&mut self, block: BlockId) -> Option<&mut Entry> {
        let entry = self.table.get_mut(block.index as usize)?;
        (entry.generation == block.generation && entry.flags & LIVE != 0).then_some(entry)
    }

    /// The live block of that number.
    pub(super) fn numbered(&self, index: u32) -> Option<(BlockId, &Entry)> {
        let entry = self.table.get(index as usize).filter(|entry| entry.flags & LIVE != 0)?;
        Some((BlockId { index, generation: entry.generation }, entry))
    }

    #[inline]
    fn uses_of(&self, index: u32, entry: &Entry) -> Use {
        if entry.flags & USED == 0 {
            return Use::default();
        }
        self.uses.get(index as usize).copied().unwrap_or_default()
    }

    /// What uses a live block.
    pub(super) fn uses(&self, block: BlockId) -> Use {
        self.get(block).map_or_else(Use::default, |entry| self.uses_of(block.index, entry))
    }

    /// The slab of a live block, and what uses it, to be changed.
    pub(super) fn uses_mut(&mut self, block: BlockId) -> Option<(u32, &mut Use)> {
        let entry = self.table.get_mut(block.index as usize)?;
        if entry.generation != block.generation || entry.flags & LIVE == 0 {
            return None;
        }
        let index = block.index as usize;
        if self.uses.len() <= index {
            self.uses.resize(index + 1, Use::default());
        }
        if entry.flags & USED == 0 {
            entry.flags |= USED;
            self.uses[index] = Use::default();
        }
        Some((entry.slab, &mut self.uses[index]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_any_size_keeps_what_it_asked_for() {
        for requested in [1, u32::MAX.into(), 1 << 32, (5 << 30) + 1, MOST_REQUESTED] {
            let mut entries = Entries::default();
            let index = entries.next();
            let block = entries.begin(index, 7, 4_095, requested);
            let entry = entries.get(block).unwrap();
            assert_eq!((entry.requested(), entry.slab, entry.cell()), (requested, 7, 4_095));
            let (ended, uses) = entries.end(block).unwrap();
            assert_eq!((ended.requested(), uses.last, uses.pins), (requested, 0, 0));
            assert!(entries.get(block).is_none() && entries.end(block).is_none());
        }
    }

    #[test]
    fn what_used_a_block_does_not_use_the_next_of_its_number() {
        let mut entries = Entries::default();
        let index = entries.next();
        let first = entries.begin(index, 0, 0, 1);
        *entries.uses_mut(first).unwrap().1 = Use { last: 9, pins: 3 };
        let (_, uses) = entries.end(first).unwrap();
        assert_eq!((uses.last, uses.pins), (9, 3));
        let index = entries.next();
        let second = entries.begin(index, 0, 0, 1);
        assert_eq!((second.index(), second.generation()), (0, 1));
        assert_eq!(entries.uses(second).last, 0);
        assert!(entries.uses_mut(first).is_none());
        let (_, uses) = entries.uses_mut(second).unwrap();
        assert_eq!((uses.last, uses.pins), (0, 0));
    }
}
